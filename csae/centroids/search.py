"""Spherical codes: a search for the arrangement with the largest smallest angle."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from operator import itemgetter
from typing import Any

import numpy as np
import scipy  # its submodules load when used: `import csae` stays quick
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import Tensor

from csae import checks
from csae.centroids.constructions import check_size, polygon, random_directions, simplex
from csae.centroids.cosines import extreme_cosines, pair_gaps
from csae.progress import bar as progress_bar

# Where a start of `spherical_code` begins, in turn. Soft starts see the whole arrangement and find
# symmetric codes, sharp starts see near neighbours only and find codes without symmetry.
_FIRST_EXPONENTS = (8.0, 2.0, 32.0, 0.5, 128.0)
_COARSE, _FINE = 3e4, 1.3e8  # largest exponents, to compare starts and before the polish
# Where L-BFGS may stop at an exponent: starts are told apart long before machine precision.
_ROUGHLY, _CLOSELY = {"ftol": 1e-8, "gtol": 1e-5}, {"ftol": 1e-13, "gtol": 1e-9}
_POLISHED_COORDINATES = 20_000  # beyond, a polish would take longer than the search
_SEARCHING = threading.Lock()


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
    num_classes, latent_dim = check_size(num_classes, latent_dim, scale)
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
            best.append((extreme_cosines(points)[1], points))
            best = sorted(best, key=itemgetter(0))[:finalists]
        codes = [points for _, points in best]
        if fine:
            codes = [_polish(sharpen(points, fine)) for points in codes]
        return scale * min(codes, key=lambda points: extreme_cosines(points)[1])


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

    tolerances = _ROUGHLY if exponent <= _COARSE else _CLOSELY
    found = scipy.optimize.minimize(
        objective,
        points.numpy().ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": iterations} | tolerances,
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
    for first, gaps in pair_gaps(unit):
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
    best, highest = points, extreme_cosines(points)[1]
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
        if extreme_cosines(moved)[1] >= highest:  # rounding decides from here on
            break
        best, highest = moved, extreme_cosines(moved)[1]
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
