"""Class centroids: points spread as evenly as possible over a hypersphere.

Taught in the chapter on PEDCC geometry (predefined, evenly distributed class centroids). This
module needs nothing of the package but its argument checks. Everything is computed in float64, on
the CPU.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import scipy  # its submodules load when used: `import csae` stays quick
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import Tensor

from csae import checks
from csae.progress import bar as progress_bar

# Where a start of `spherical_code` begins, in turn. Soft starts see the whole arrangement and find
# symmetric codes, sharp starts see near neighbours only and find codes without symmetry.
_FIRST_EXPONENTS = (8.0, 2.0, 32.0, 0.5, 128.0)
_COARSE, _FINE = 3e4, 1.3e8  # largest exponents, to compare starts and before the polish
_POLISHED_COORDINATES = 20_000  # beyond, a polish would take longer than the search
_SEARCHING = threading.Lock()
_CHUNK_NUMBERS = 2**22  # pairs looked at together: 32 MB a buffer


class PEDCC(NamedTuple):
    """Centroids and where they come from.

    Attributes:
        centroids: Float64 tensor (K, d).
        construction: ``"simplex"``, ``"orthoplex"``, ``"polygon"`` or ``"spherical_code"``: the
            function of this module that made them. The first three are best possible.
    """

    centroids: Tensor
    construction: str


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


def pedcc(
    num_classes: int,
    latent_dim: int,
    *,
    scale: float = 1.0,
    seed: int = 0,
    progress: bool = True,
) -> PEDCC:
    """Place class centroids by the construction with the best guarantee.

    For K <= d + 1 that is `simplex`, for K <= 2d `orthoplex` and in the plane `polygon`: no
    arrangement has a larger smallest angle. Beyond, `spherical_code` searches for the best
    arrangement, and `separation` says how far a proven bound leaves room for a better one.

    Args:
        num_classes: Number of centroids K, at least 1.
        latent_dim: Dimension d of the space they live in, at least 1.
        scale: Norm of every centroid, from 1e-100 to 1e100.
        seed: Chooses the rotation; in a search, also where it starts.
        progress: Show a progress bar when a search takes more than a few seconds.

    Returns:
        The float64 centroids (K, d) and the name of the construction.

    Raises:
        ValueError: An argument is out of range, or K > 2 points should lie on a line.
    """
    num_classes, latent_dim = _check(num_classes, latent_dim, scale)
    progress = checks.flag("progress", progress)
    if num_classes <= latent_dim + 1:
        return PEDCC(simplex(num_classes, latent_dim, scale=scale, seed=seed), "simplex")
    if num_classes <= 2 * latent_dim:
        return PEDCC(orthoplex(num_classes, latent_dim, scale=scale, seed=seed), "orthoplex")
    if latent_dim == 2:
        return PEDCC(polygon(num_classes, scale=scale, seed=seed), "polygon")
    code = spherical_code(num_classes, latent_dim, scale=scale, seed=seed, progress=progress)
    return PEDCC(code, "spherical_code")


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
    num_classes, latent_dim = _check(num_classes, latent_dim, scale)
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
    num_classes, latent_dim = _check(num_classes, latent_dim, scale)
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
    num_classes, _ = _check(num_classes, 2, scale)
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
    checks.tensor("centroids", centroids, ("K", "d"), floating=True, hint=_hint(centroids))
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


def charge_model(
    num_classes: int,
    latent_dim: int,
    *,
    scale: float = 1.0,
    seed: int = 0,
    step: float = 0.01,
    steps: int = 200,
    trajectory: bool = False,
) -> Tensor:
    """Let equal charges on a sphere repel each other, after the original construction of PEDCC.

    Charges start in random directions and at rest. In each step they move by their velocities,
    return to the sphere, and gain ``step`` times the part of the force along the sphere in
    velocity. The force of each pair falls with the square of the distance. There is no friction;
    but velocities come to point outwards as charges move on, and the return to the sphere cancels
    that part.

    Equations: charge-step.

    Args:
        num_classes: Number of charges K, at least 1.
        latent_dim: Dimension d of the space they live in, at least 2.
        scale: Norm of every centroid, from 1e-100 to 1e100.
        seed: Chooses the start.
        step: Gain of velocity per unit of force, from 1e-100 to 1e100.
        steps: Number of steps, at least 0.
        trajectory: Return the positions before and after each step, not only the last ones.

    Returns:
        Float64 tensor (K, d) with rows of norm ``scale``, or (steps + 1, K, d) with ``trajectory``.

    Raises:
        ValueError: An argument is out of range.
    """
    num_classes, latent_dim = _check(num_classes, latent_dim, scale)
    if latent_dim < 2:
        raise ValueError("latent_dim must be at least 2 for charges to move along, got 1")
    steps = checks.integer("steps", steps, 0)
    checks.number("step", step, least=1e-100, most=1e100)
    checks.flag("trajectory", trajectory)

    charges = random_directions(num_classes, latent_dim, seed=seed)  # (K, d)
    # Forces are sums of positions, so nothing leaves the span of the start: a charge needs K
    # coordinates only.
    span = torch.linalg.qr(charges.T).Q if latent_dim > num_classes else None  # (d, K)
    if span is not None:
        charges = charges @ span
    velocities = torch.zeros_like(charges)
    positions = [charges]
    for _ in range(steps):
        inverse = (2 - 2 * charges @ charges.T).fill_diagonal_(math.inf).rsqrt_()  # 1 / distance
        # The force on x_i is the sum of (x_i - x_j) / distance^3. Along x_i itself it is the sum of
        # (1 - cos) / distance^3 = 1 / (2 distance); what remains is tangential.
        strength = inverse.pow(3)  # (K, K)
        outward = (strength.sum(dim=1) - inverse.sum(dim=1) / 2).unsqueeze(1)
        tangential = torch.addmm(outward * charges, strength, charges, alpha=-1)  # (K, d)
        charges = torch.nn.functional.normalize(charges + velocities, dim=1)
        velocities.add_(tangential, alpha=step)
        if trajectory:
            positions.append(charges)
    path = torch.stack(positions) if trajectory else charges
    return scale * (path if span is None else path @ span.T)


def spherical_code(
    num_classes: int,
    latent_dim: int,
    *,
    scale: float = 1.0,
    seed: int = 0,
    starts: int | None = None,
    iterations: int | None = None,
    progress: bool = True,
) -> Tensor:
    """Search for the arrangement whose smallest angle is as large as possible.

    From each of several starts, L-BFGS minimises a repulsion energy whose exponent grows fourfold
    again and again, until the closest pairs alone count. The best arrangements are then polished:
    Newton's method makes all closest pairs of each equal to machine precision. Codes of more than
    20,000 coordinates (K times d) stay unpolished, and more ``iterations`` may still improve them.
    No search can promise the best arrangement there is: compare with the bound in `separation`.

    The memory needed grows with K d, not with K squared. Searches in several threads run one after
    the other.

    Equations: soft-closest-pair.

    Args:
        num_classes: Number of centroids K, at least 1.
        latent_dim: Dimension d of the space they live in, at least 1. In the plane the answer is
            known, and nothing is searched.
        scale: Norm of every centroid, from 1e-100 to 1e100.
        seed: Chooses the starts. Below 500 centroids, the same seed gives the same centroids on the
            same machine; larger codes are summed in parallel, and may differ a little.
        starts: Number of starts; by default between 60 for small codes and 1 for large ones.
        iterations: Most steps of L-BFGS at one exponent; by default between 1,000 for small codes
            and 30 for large ones.
        progress: Show a progress bar when the search takes more than a few seconds.

    Returns:
        Float64 tensor of shape (K, d) with rows of norm ``scale``.

    Raises:
        ValueError: An argument is out of range, or K > 2 points should lie on a line.
    """
    num_classes, latent_dim = _check(num_classes, latent_dim, scale)
    size = num_classes**2 * latent_dim  # what one evaluation of the energy costs
    if starts is None:
        starts = min(max(2_500_000 // size, 1), 60)
    if iterations is None:
        iterations = min(max(36_000_000_000 // size, 30), 1000)
    starts = checks.integer("starts", starts, 1)
    iterations = checks.integer("iterations", iterations, 1)
    seed = checks.seed("seed", seed)
    checks.flag("progress", progress)
    if num_classes == 1:
        return random_directions(1, latent_dim, scale=scale, seed=seed)
    if latent_dim == 1:
        return simplex(num_classes, 1, scale=scale, seed=seed)
    if latent_dim == 2:
        return polygon(num_classes, scale=scale, seed=seed)

    coarse = [list(_exponents(_first(start), _COARSE)) for start in range(starts)]
    fine = list(_exponents(4 * _COARSE, _FINE))
    if num_classes * latent_dim > _POLISHED_COORDINATES:
        fine = []
    finalists = min(max(starts // 4, 1), 5)
    bar = progress_bar(
        shown=progress,
        total=sum(map(len, coarse)) + finalists * len(fine),
        desc=f"spherical code ({num_classes}, {latent_dim})",
        delay=3,
    )

    def sharpen(points: Tensor, exponents: list[float]) -> Tensor:
        for exponent in exponents:
            points = _sharpen(points, exponent, iterations)
            bar.update()
        return points

    best: list[tuple[float, Tensor]] = []  # largest cosine and points, best first
    with bar, _threads(num_classes):
        for start, exponents in enumerate(coarse):
            points = sharpen(_start(num_classes, latent_dim, seed, start), exponents)
            best.append((_extreme_cosines(points)[1], points))
            best = sorted(best, key=itemgetter(0))[:finalists]
        codes = [points for _, points in best]
        if fine:
            codes = [_polish(sharpen(points, fine)) for points in codes]
        return scale * min(codes, key=lambda points: _extreme_cosines(points)[1])


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
    num_classes, latent_dim = _check(num_classes, latent_dim, least=2)
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
    checks.tensor("centroids", centroids, ("K", "d"), floating=True, hint=_hint(centroids))
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

    lowest, highest, (i, j) = _extreme_cosines(points)
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


def _check(
    num_classes: Any, latent_dim: Any, scale: Any = 1.0, *, least: int = 1
) -> tuple[int, int]:
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


def _hint(centroids: object) -> str:
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


def _first(start: int) -> float:
    return _FIRST_EXPONENTS[start // 2 % len(_FIRST_EXPONENTS)]


def _exponents(first: float, last: float) -> Iterator[float]:
    while first < last:
        yield first
        first *= 4


def _start(num_classes: int, latent_dim: int, seed: int, start: int) -> Tensor:
    """Random unit vectors; every second start has pairs of opposites, as many good codes have."""
    # Two numbers seed a start: start 1 of seed 0 is not start 0 of seed 1.
    (mixed,) = np.random.SeedSequence((seed, start)).generate_state(1, np.uint64)
    points = random_directions(num_classes, latent_dim, seed=int(mixed) // 2)
    half = num_classes // 2
    if start % 2:
        points[half : 2 * half] = -points[:half]
    return points


def _sharpen(points: Tensor, exponent: float, iterations: int) -> Tensor:
    """Minimise the energy of one exponent with L-BFGS, from unit vectors to unit vectors."""

    def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, gradient = _energy(torch.from_numpy(flat).view_as(points), exponent)
        return value, gradient.numpy().ravel()

    options = {"maxiter": iterations, "ftol": 1e-13, "gtol": 1e-9}
    found = scipy.optimize.minimize(
        objective, points.numpy().ravel(), jac=True, method="L-BFGS-B", options=options
    )
    return torch.nn.functional.normalize(torch.from_numpy(found.x).view_as(points), dim=1)


def _energy(points: Tensor, exponent: float) -> tuple[float, Tensor]:
    """Soft version of -log(1 - largest cosine), and its gradient (K, d), for points of any norm.

    It is log(sum of (1 - cosine)^-exponent over all ordered pairs) / exponent.
    """
    norms = points.norm(dim=1, keepdim=True)
    unit = points / norms
    pull = torch.empty_like(unit)  # (K, d)
    parts = []
    for first, gaps in _gaps(unit):
        # Powers of gaps overflow; powers of their ratios to the smallest one do not.
        least = gaps.min().item()
        weights = (least / gaps).log_().mul_(exponent).exp_()  # (rows, K) in [0, 1]
        parts.append((first, first + len(gaps), least, weights.sum().item()))
        torch.mm(weights.div_(gaps), unit, out=pull[first : first + len(gaps)])
    closest = min(least for _, _, least, _ in parts)
    total = 0.0
    for first, last, least, weight in parts:
        factor = (closest / least) ** exponent
        pull[first:last] *= factor
        total += factor * weight
    pull *= 2 / total
    pull -= (pull * unit).sum(dim=1, keepdim=True) * unit  # moving outwards changes no angle
    return math.log(total) / exponent - math.log(closest), pull / norms


def _gaps(unit: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Yield 1 - cosine of all pairs, (rows, K) at a time; infinity for a point with itself."""
    rows = max(_CHUNK_NUMBERS // len(unit), 1)
    for first in range(0, len(unit), rows):
        gaps = torch.addmm(unit.new_ones(()), unit[first : first + rows], unit.T, alpha=-1)
        gaps.diagonal(first).fill_(math.inf)
        # Points that coincide have no direction to part; rounding may even make the gap negative.
        yield first, gaps.clamp_(min=1e-300)


def _extreme_cosines(unit: Tensor) -> tuple[float, float, tuple[int, int]]:
    """Lowest and highest cosine of two different unit vectors (K, d), and the closest pair."""
    lowest, highest, closest = math.inf, -math.inf, (0, 0)
    rows = max(_CHUNK_NUMBERS // len(unit), 1)
    for first in range(0, len(unit), rows):
        cosines = unit[first : first + rows] @ unit.T
        cosines.diagonal(first).fill_(-math.inf)
        if cosines.max() > highest:
            highest = cosines.max().item()
            row, column = divmod(int(cosines.argmax()), len(unit))
            closest = first + row, column
        cosines.diagonal(first).fill_(math.inf)
        lowest = min(lowest, cosines.min().item())
    return lowest, highest, closest


@contextmanager
def _threads(num_classes: int) -> Iterator[None]:
    """Give the matrix products of large codes all threads, and everything else a single one.

    SciPy's pool of threads and PyTorch's would wait for each other, and for small codes handing
    out the work takes longer than the work: up to a hundred times, on a busy machine.
    """
    # One search at a time: a second one would take the first one's limits for the normal state.
    with _SEARCHING, threadpool_limits(1, user_api="blas"):
        before = torch.get_num_threads()
        if num_classes < 500:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def _polish(points: Tensor) -> Tensor:
    """Make the cosines of all closest pairs equal, to machine precision.

    Newton's method on the equations cos(i, j) = t, one for each pair that the energy of the last
    exponent still felt; the unknowns are all points and t. Each step is the shortest one that
    solves the linearised equations.
    """
    width = 60 / _FINE  # relative difference of 1 - cosine at which exp(-30) is left
    best, highest = points, _extreme_cosines(points)[1]
    for _ in range(20):
        unit = best.numpy()
        cosines = unit @ unit.T
        i, j = np.nonzero(np.triu(cosines >= highest - width * (1 - highest), 1))
        cosine = cosines[i, j, None]
        step = scipy.sparse.linalg.lsmr(
            _jacobian(unit, i, j), (cosine.mean() - cosine).ravel(), atol=1e-15, btol=1e-15
        )[0]
        moved = best + torch.from_numpy(step[:-1]).view_as(best)
        moved = torch.nn.functional.normalize(moved, dim=1)
        if _extreme_cosines(moved)[1] >= highest:  # rounding decides from here on
            break
        best, highest = moved, _extreme_cosines(moved)[1]
    return best


def _jacobian(unit: NDArray[np.float64], i: NDArray[np.intp], j: NDArray[np.intp]) -> Any:
    """Derivatives of cos(i, j) - t by all coordinates and by t, (pairs, K d + 1)."""
    pairs, dim = len(i), unit.shape[1]
    cosine = (unit[i] * unit[j]).sum(axis=1, keepdims=True)
    along = np.arange(dim)
    columns = np.hstack((i[:, None] * dim + along, j[:, None] * dim + along))
    columns = np.hstack((columns, np.full((pairs, 1), unit.size)))
    values = np.hstack((unit[j] - cosine * unit[i], unit[i] - cosine * unit[j]))
    values = np.hstack((values, np.full((pairs, 1), -1.0)))
    rows = np.repeat(np.arange(pairs), 2 * dim + 1)
    return scipy.sparse.csr_array(
        (values.ravel(), (rows, columns.ravel())), shape=(pairs, unit.size + 1)
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
