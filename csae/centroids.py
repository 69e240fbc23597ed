"""Class centroids: points spread as evenly as possible over a hypersphere.

Taught in the chapter on PEDCC geometry. This module knows nothing of the rest of the package.
"""

from __future__ import annotations

import math
from numbers import Integral
from typing import Any

import torch
from torch import Tensor


def simplex(num_classes: int, latent_dim: int, *, scale: float = 1.0, seed: int = 0) -> Tensor:
    """Place centroids on the vertices of a regular simplex, in closed form.

    Every pair of centroids then has the same cosine, -1/(K - 1), the smallest that K points can
    share (Rankin 1955). A regular simplex of K points exists only when d >= K - 1.

    Args:
        num_classes: Number of centroids K, at least 2.
        latent_dim: Dimension d of the space they live in, at least K - 1.
        scale: Norm of every centroid, positive.
        seed: Chooses the rotation of the simplex. The same seed gives the same centroids.

    Returns:
        Float64 tensor of shape (K, d) with rows of norm ``scale`` that sum to zero.

    Raises:
        ValueError: An argument is out of range, or ``latent_dim`` is too small for the classes.
    """
    _check_count("num_classes", num_classes, 2)
    _check_count("latent_dim", latent_dim, 1)
    if latent_dim < num_classes - 1:
        raise ValueError(
            f"latent_dim={latent_dim} is too small for num_classes={num_classes}: a regular "
            f"simplex of {num_classes} centroids needs latent_dim of at least {num_classes - 1}"
        )
    if not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"scale must be a positive, finite number, got {scale!r}")

    vertices = _helmert(num_classes).T * math.sqrt(num_classes / (num_classes - 1))  # (K, K-1)
    return scale * vertices @ _random_frame(latent_dim, num_classes - 1, seed).T  # (K, d)


def _check_count(name: str, value: Any, least: int) -> None:
    # Integral, not int, lets NumPy's integers in.
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")


def _helmert(size: int) -> Tensor:
    """Orthonormal basis, shape (size - 1, size), of the vectors whose entries sum to zero."""
    k = torch.arange(1, size, dtype=torch.float64).unsqueeze(1)
    columns = torch.arange(size).unsqueeze(0)
    rows = (columns < k).to(torch.float64) - k * (columns == k)
    basis: Tensor = rows / torch.sqrt(k * (k + 1))
    return basis


def _random_frame(dim: int, count: int, seed: int) -> Tensor:
    """Uniformly random orthonormal columns, shape (dim, count)."""
    generator = torch.Generator().manual_seed(seed)
    gaussian = torch.randn(dim, count, dtype=torch.float64, generator=generator)
    frame, triangle = torch.linalg.qr(gaussian)
    # QR leaves the sign of each column open; fixing it makes the frame uniform and repeatable.
    uniform: Tensor = frame * torch.sign(torch.diagonal(triangle))
    return uniform
