"""The class subspace, which centroids span, and the part of codes in it."""

from __future__ import annotations

import torch
from torch import Tensor

from csae import checks
from csae.centroids.constructions import field_hint


def class_subspace(centroids: Tensor) -> Tensor:
    """Return an orthonormal basis of the space that centroids span, the *class subspace*.

    ``latents @ basis`` are the coordinates of codes in it. Similarities to the centroids depend on
    nothing else.

    Args:
        centroids: (K, d) floating-point points, not all of them zero.

    Returns:
        Float64 tensor (d, r) with orthonormal columns. The rank r is K - 1 for a simplex.
        Directions in which the centroids extend less than 1e-5 times as far as in their longest
        one count as rounding and are left out.

    Raises:
        ValueError: ``centroids`` has another shape, is not floating-point, not finite, or all zero.
    """
    checks.tensor("centroids", centroids, ("K", "d"), floating=True, hint=field_hint(centroids))
    points = centroids.detach().to("cpu", torch.float64)
    if not (points.isfinite().all() and points.any()):
        raise ValueError("centroids must be finite and not all zero")
    _, extents, axes = torch.linalg.svd(points, full_matrices=False)
    basis: Tensor = axes[extents > 1e-5 * extents[0]].T
    return basis.contiguous()


def class_component(latents: Tensor, centroids: Tensor) -> Tensor:
    """Project codes on the class subspace; ``latents`` minus the result is their other component.

    The two components are orthogonal, so squared distances split into a part in the class subspace
    and a part outside of it.

    Equations: two-components.

    Args:
        latents: (N, d) floating-point codes.
        centroids: (K, d) points that span the subspace, see `class_subspace`.

    Returns:
        (N, d) projections, of the type and on the device of ``latents``.

    Raises:
        ValueError: The shapes do not match, or see `class_subspace`.
    """
    basis = class_subspace(centroids)
    dims = "the dimensions of the centroids"
    checks.tensor("latents", latents, ("N", len(basis)), floating=True, least=0, hint=dims)
    basis = basis.to(latents)
    return latents @ basis @ basis.T
