"""Bounds on the largest cosine, and how close centroids come to them."""

from __future__ import annotations

import math
from typing import NamedTuple

import scipy  # its submodules load when used: `import csae` stays quick
import torch
from torch import Tensor

from csae import checks
from csae.centroids.constructions import check_size, field_hint
from csae.centroids.cosines import extreme_cosines


class Bound(NamedTuple):
    """What no arrangement can beat: a lower limit on the largest cosine.

    Attributes:
        cosine: The largest cosine between two of K points is at least this, so their smallest
            angle at most its arccosine.
        name: Whose bound it is.
    """

    cosine: float
    name: str


class Separation(NamedTuple):
    """How far apart centroids point.

    Attributes:
        smallest_angle: Angle of the closest pair, in degrees.
        largest_cosine: Cosine of the closest pair.
        deviation: Largest distance of a pair's cosine from -1/(K - 1), the simplex's.
        bound: The bound on the largest cosine that applies.
        gap: Degrees between the smallest angle and the largest that the bound allows; 0 is optimal.
        tightness: In (0, 1]; 1 when the centroids are a tight frame of the space they span, so
            that every direction in it meets them equally.
    """

    smallest_angle: float
    largest_cosine: float
    deviation: float
    bound: Bound
    gap: float
    tightness: float


def bound(num_classes: int, latent_dim: int) -> Bound:
    """Return the tightest simple bound on the largest cosine between K points in d dimensions.

    Rankin's (1955) for K <= 2d, attained by `simplex` and `orthoplex`. Beyond, the larger of
    Levenshtein's universal bound and, in three dimensions, that of Fejes Toth; in the plane, the
    angle of a regular polygon.

    Equations: rankin-bound, levenshtein-bound, fejes-toth-bound.

    Args:
        num_classes: Number of points K, at least 2.
        latent_dim: Dimension d, at least 1.

    Returns:
        The bound and its name.

    Raises:
        ValueError: An argument is out of range, or K > 2 points should lie on a line.
    """
    num_classes, latent_dim = check_size(num_classes, latent_dim, least=2)
    if num_classes <= latent_dim + 1:
        return Bound(-1 / (num_classes - 1), "Rankin")
    if num_classes <= 2 * latent_dim:
        return Bound(0.0, "Rankin")
    if latent_dim == 2:
        return Bound(math.cos(2 * math.pi / num_classes), "regular polygon")
    if latent_dim > 3:
        return Bound(_levenshtein(num_classes, latent_dim), "Levenshtein")
    fejes_toth = Bound(_fejes_toth(num_classes), "Fejes Tóth")
    if num_classes > 100:  # from 25 points on it is always the tighter one, and quick
        return fejes_toth
    return max(fejes_toth, Bound(_levenshtein(num_classes, 3), "Levenshtein"))


def separation(centroids: Tensor) -> Separation:
    """Measure how far apart centroids point, against what is possible.

    Only directions count: each centroid is divided by its norm.

    Equations: frame-tightness.

    Args:
        centroids: Floating-point tensor (K, d) of at least two centroids, none of them zero.

    Returns:
        Smallest angle, largest cosine, deviation from the simplex, bound, gap, and tightness.

    Raises:
        ValueError: ``centroids`` is not such a tensor.
    """
    checks.tensor("centroids", centroids, ("K", "d"), floating=True, hint=field_hint(centroids))
    if centroids.layout != torch.strided:
        raise ValueError(f"centroids must be dense, got {centroids.layout}")
    count, dim = centroids.shape
    if count < 2:
        raise ValueError(f"centroids must be at least 2 to be apart, got shape ({count}, {dim})")
    if dim == 1 and count > 2:
        raise ValueError(f"centroids must be at most 2 in one dimension, got {count}")
    points = centroids.detach().double().cpu()
    largest = points.abs().amax(dim=1, keepdim=True)
    if not (largest.isfinite().all() and (largest > 0).all()):
        raise ValueError("centroids must be finite and none of them zero")
    # Two steps, because squares of very large or small entries overflow or vanish.
    points = torch.nn.functional.normalize(points / largest, dim=1)

    lowest, highest, (i, j) = extreme_cosines(points)
    ideal = -1 / (len(points) - 1)
    limit = bound(*points.shape)
    # Kahan's formula: the arccosine would lose half the digits near 0 and 180 degrees.
    apart, together = (points[i] - points[j]).norm(), (points[i] + points[j]).norm()
    smallest = math.degrees(2 * math.atan2(apart, together))
    return Separation(
        smallest_angle=smallest,
        largest_cosine=min(max(highest, -1.0), 1.0),  # rounding passes 1
        deviation=max(highest - ideal, ideal - lowest),
        bound=limit,
        gap=math.degrees(math.acos(limit.cosine)) - smallest,
        tightness=_tightness(points),
    )


def _levenshtein(num_classes: int, dim: int) -> float:
    """Levenshtein's lower bound on the largest cosine (Levenshtein 1998)."""

    def design(strength: int) -> int:  # fewest points of a spherical design of this strength
        half = strength // 2
        if strength % 2:
            return 2 * math.comb(dim + half - 1, dim - 1)
        return math.comb(dim + half - 1, dim - 1) + math.comb(dim + half - 2, dim - 1)

    degree = 1
    while design(degree + 1) < num_classes:
        degree += 1
    k, odd = (degree + 1) // 2, degree % 2

    def most_points(cosine: float) -> float:
        before, here, after = _gegenbauer(k, dim, cosine)
        if odd:
            factor, first = math.comb(k + dim - 3, k - 1), 2 * k + dim - 3
            ratio = (before - here) / ((1 - cosine) * here)
        else:
            factor, first = math.comb(k + dim - 2, k), 2 * k + dim - 1
            ratio = (1 + cosine) * (here - after) / ((1 - cosine) * (here + after))
        points: float = factor * (first / (dim - 1) - ratio)
        return points

    def largest_root(degree: int, right: int) -> float:
        if degree == 0:
            return -1.0
        index = (dim - 3) / 2
        return float(scipy.special.roots_jacobi(degree, 1 + index, right + index)[0].max())

    low, high = (k - 1, 1), (k, 0)
    if not odd:
        low, high = (k, 0), (k, 1)
    return float(
        scipy.optimize.brentq(
            lambda cosine: most_points(cosine) - num_classes,
            largest_root(*low) - 1e-9,
            largest_root(*high) + 1e-9,
            xtol=1e-15,
        )
    )


def _gegenbauer(degree: int, dim: int, x: float) -> tuple[float, float, float]:
    """Gegenbauer polynomials of degrees k - 1, k and k + 1 for dimension d, 1 at x = 1."""
    before, here = 1.0, x
    for k in range(1, degree):
        before, here = here, ((2 * k + dim - 2) * x * here - k * before) / (k + dim - 2)
    after = ((2 * degree + dim - 2) * x * here - degree * before) / (degree + dim - 2)
    return before, here, after


def _fejes_toth(num_classes: int) -> float:
    """Lower bound on the largest cosine in three dimensions: a sphere tiled by equal triangles."""
    angle = math.pi * num_classes / (6 * (num_classes - 2))
    return (1 / math.tan(angle) ** 2 - 1) / 2


def _tightness(unit: Tensor) -> float:
    """K^2 / (r sum of squared cosines over all ordered pairs), with r the rank."""
    frame = unit.T @ unit if len(unit) >= unit.shape[1] else unit @ unit.T  # same eigenvalues
    eigenvalues = torch.linalg.eigvalsh(frame)
    rank = int((eigenvalues > 1e-9 * eigenvalues.max()).sum())
    tightness: float = (eigenvalues.sum() ** 2 / (rank * eigenvalues.square().sum())).item()
    return min(tightness, 1.0)
