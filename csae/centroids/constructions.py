"""Centroids in closed form, and in random directions."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from csae import checks


class PEDCC(NamedTuple):
    """Centroids and where they come from.

    Attributes:
        centroids: Float64 tensor (K, d).
        construction: ``"simplex"``, ``"orthoplex"``, ``"polygon"`` or ``"spherical_code"``: the
            function of `csae.centroids` that made them. The first three are best possible.
    """

    centroids: Tensor
    construction: str


def simplex(num_classes: int, latent_dim: int, *, scale: float = 1.0, seed: int = 0) -> Tensor:
    """Place centroids on the vertices of a regular simplex, in closed form.

    Every pair of centroids then has the same cosine, -1/(K - 1), the smallest that K points can
    share (Rankin 1955). A regular simplex of K points exists only when d >= K - 1.

    Equations: simplex-cosine, helmert-vertices, centroid-distance.

    Args:
        num_classes: Number of centroids K, at least 1. A single centroid points anywhere.
        latent_dim: Dimension d of the space they live in, at least K - 1.
        scale: Norm of every centroid, from 1e-100 to 1e100.
        seed: Chooses the rotation of the simplex. The same seed gives the same centroids.

    Returns:
        Float64 tensor of shape (K, d) with rows of norm ``scale`` that sum to zero if K > 1.

    Raises:
        ValueError: An argument is out of range, or ``latent_dim`` is too small for the classes.
    """
    num_classes, latent_dim = check_size(num_classes, latent_dim, scale)
    if latent_dim < num_classes - 1:
        raise ValueError(
            f"latent_dim={latent_dim} is too small for num_classes={num_classes}: a regular "
            f"simplex of {num_classes} centroids needs latent_dim of at least {num_classes - 1}; "
            "csae.pedcc arranges them in fewer dimensions"
        )
    if num_classes == 1:
        return random_directions(1, latent_dim, scale=scale, seed=seed)
    # Vertex k of the standard simplex, in the basis of Helmert: the matrix product with this basis
    # is a running sum, because row j of it is (1, ..., 1, -j, 0, ..., 0) / sqrt(j (j + 1)).
    count = torch.arange(1, num_classes, dtype=torch.float64, device="cpu").unsqueeze(1)  # j
    axes = _random_frame(latent_dim, num_classes - 1, seed).T  # (K-1, d)
    axes *= scale * math.sqrt(num_classes / (num_classes - 1)) / (count * (count + 1)).sqrt()
    vertices = torch.zeros(num_classes, latent_dim, dtype=torch.float64, device="cpu")
    torch.cumsum(axes.flip(0), 0, out=vertices[1:])  # in place: fresh memory costs time
    vertices = vertices.flip(0)
    vertices[1:] -= axes.mul_(count)
    return vertices


def orthoplex(num_classes: int, latent_dim: int, *, scale: float = 1.0, seed: int = 0) -> Tensor:
    """Place centroids on vertices of an orthoplex (cross-polytope), in closed form.

    The first d centroids are orthogonal, the others are opposite to the first ones. The largest
    cosine is exactly 0, which cannot be beaten when d + 2 <= K <= 2d (Rankin 1955). For fewer
    centroids `simplex` is better.

    Equations: orthoplex-cosine.

    Args:
        num_classes: Number of centroids K, at least 1 and at most 2d.
        latent_dim: Dimension d of the space they live in, at least 1.
        scale: Norm of every centroid, from 1e-100 to 1e100.
        seed: Chooses the order and signs of the axes. There is no further rotation: rounding
            would make orthogonal centroids only nearly so.

    Returns:
        Float64 tensor of shape (K, d) with rows of norm ``scale``, one entry each that is not zero.

    Raises:
        ValueError: An argument is out of range, or there are more centroids than vertices.
    """
    num_classes, latent_dim = check_size(num_classes, latent_dim, scale)
    if num_classes > 2 * latent_dim:
        raise ValueError(
            f"num_classes={num_classes} is too large for latent_dim={latent_dim}: an orthoplex has "
            f"{2 * latent_dim} vertices; csae.pedcc finds an arrangement for more"
        )
    generator = _generator(seed)
    axes = torch.randperm(latent_dim, generator=generator, device="cpu")
    coins = torch.randint(2, (latent_dim,), generator=generator, device="cpu")
    signs = 1 - 2 * coins.double()
    vertices = torch.diag(scale * signs)[axes]
    return torch.cat((vertices, -vertices))[:num_classes]


def polygon(num_classes: int, *, scale: float = 1.0, seed: int = 0) -> Tensor:
    """Place centroids on the corners of a regular polygon, the best arrangement in the plane.

    Args:
        num_classes: Number of centroids K, at least 1.
        scale: Norm of every centroid, from 1e-100 to 1e100.
        seed: Chooses the rotation.

    Returns:
        Float64 tensor of shape (K, 2) with rows of norm ``scale``.

    Raises:
        ValueError: An argument is out of range.
    """
    num_classes, _ = check_size(num_classes, 2, scale)
    generator = _generator(seed)
    first = torch.rand((), dtype=torch.float64, generator=generator, device="cpu")
    turns = torch.arange(num_classes, dtype=torch.float64, device="cpu") / num_classes + first
    return scale * torch.stack(((2 * math.pi * turns).cos(), (2 * math.pi * turns).sin()), dim=1)


def random_directions(
    num_classes: int, latent_dim: int, *, scale: float = 1.0, seed: int = 0
) -> Tensor:
    """Place centroids in independent, uniformly random directions: the baseline.

    The cosine of two of them has mean 0 and variance 1/d; the largest among all pairs is rarely
    above sqrt(4 log(K) / d).

    Equations: random-cosine, random-largest-cosine.

    Args:
        num_classes: Number of centroids K, at least 1.
        latent_dim: Dimension d of the space they live in, at least 1.
        scale: Norm of every centroid, from 1e-100 to 1e100.
        seed: Chooses the directions.

    Returns:
        Float64 tensor of shape (K, d) with rows of norm ``scale``.

    Raises:
        ValueError: An argument is out of range.
    """
    num_classes = checks.integer("num_classes", num_classes, 1)
    latent_dim = checks.integer("latent_dim", latent_dim, 1)
    _check_scale(scale)
    generator = _generator(seed)
    gaussian = torch.randn(
        num_classes, latent_dim, dtype=torch.float64, generator=generator, device="cpu"
    )
    return scale * torch.nn.functional.normalize(gaussian, dim=1)


def check_size(
    num_classes: Any, latent_dim: Any, scale: Any = 1.0, *, least: int = 1
) -> tuple[int, int]:
    """Check how many points in how many dimensions, and their norm."""
    num_classes = checks.integer("num_classes", num_classes, least)
    latent_dim = checks.integer("latent_dim", latent_dim, 1)
    _check_scale(scale)
    if latent_dim == 1 and num_classes > 2:
        raise ValueError(
            f"num_classes must be at most 2 for latent_dim=1, got {num_classes}: on a line only "
            "two points have the same norm; take latent_dim of at least 2"
        )
    return num_classes, latent_dim


def _check_scale(scale: Any) -> None:
    # Squares of norms neither vanish nor overflow.
    checks.number("scale", scale, least=1e-100, most=1e100)


def field_hint(centroids: object) -> str:
    """Say in an error where the centroids are, if a `PEDCC` was passed."""
    return "pass its field centroids" if isinstance(centroids, PEDCC) else ""


def _generator(seed: Any) -> torch.Generator:
    return torch.Generator().manual_seed(checks.seed("seed", seed))


def _random_frame(dim: int, count: int, seed: int) -> Tensor:
    """Uniformly random orthonormal columns, shape (dim, count)."""
    generator = _generator(seed)
    # Drawn in float32, several times as fast; the frame is orthonormal to float64's precision.
    gaussian = torch.randn(dim, count, dtype=torch.float32, generator=generator, device="cpu")
    frame, triangle = torch.linalg.qr(gaussian.double())
    # QR leaves the sign of each column open; fixing it makes the frame uniform and repeatable.
    frame *= torch.sign(torch.diagonal(triangle))
    uniform: Tensor = frame
    return uniform
