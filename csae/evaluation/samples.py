"""How good generated images are: as a distribution, one by one, and whether they are copies.

Distributions are compared by features that a classifier of the same data has of images. Values
depend on that classifier and on the number of images, so they are compared with nothing that was
measured with another one; least of all with the Fréchet *Inception* distance.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from csae import checks

_ROWS = 1000  # rows of a table of distances that are held at once


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """Squared Fréchet distance between Gaussians fitted to two sets of features.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), with means m and covariances C (Dowson and Landau
    1982; on features of a network, Heusel et al. 2017). All is computed in float64, and the trace
    of the root from the eigenvalues of C1^(1/2) C2 C1^(1/2), which is symmetric: dimensions that
    hardly vary do no harm.

    Two samples of one distribution are at a positive distance, the smaller the larger they are:
    measure it, too, between two sets of real images of the same sizes.

    Equations: frechet-distance.

    Args:
        first: (N, d) features, N at least 2.
        second: (M, d) features, M at least 2.

    Returns:
        The squared distance, 0 or more.

    Raises:
        ValueError: An argument is something else.
    """
    _check_features("first", first, 2)
    _check_features("second", second, 2, first.shape[1])
    one, other = (_moments(features) for features in (first, second))
    root = symmetric_root(one.covariance)
    common = torch.linalg.eigvalsh(root @ other.covariance @ root).clamp(min=0).sqrt().sum()
    traces = one.covariance.trace() + other.covariance.trace()
    distance: float = ((one.mean - other.mean).square().sum() + traces - 2 * common).item()
    return max(0.0, distance)  # rounding may leave a little less than 0


class ManifoldScores(NamedTuple):
    """Two sides of the quality of samples.

    Attributes:
        precision: Share of the generated features, in 0..1, that lie among the real ones: quality.
        recall: Share of the real features, in 0..1, that lie among the generated ones: variety.
    """

    precision: float
    recall: float


def precision_recall(real: Tensor, generated: Tensor, neighbours: int = 3) -> ManifoldScores:
    """Improved precision and recall of generated images (Kynkäänniemi et al. 2019).

    A set of features is taken for the manifold of all balls around them that reach to their k-th
    nearest neighbour in the same set. Both values depend on the sizes of the sets.

    Args:
        real: (N, d) features of real images, N above ``neighbours``.
        generated: (M, d) features of generated images, M above ``neighbours``.
        neighbours: k, at least 1.

    Raises:
        ValueError: An argument is something else.
    """
    neighbours = checks.integer("neighbours", neighbours, 1)
    _check_features("real", real, neighbours + 1)
    _check_features("generated", generated, neighbours + 1, real.shape[1])
    real, generated = real.detach().cpu().double(), generated.detach().cpu().double()
    return ManifoldScores(
        precision=_share_inside(generated, real, neighbours),
        recall=_share_inside(real, generated, neighbours),
    )


def _share_inside(points: Tensor, manifold: Tensor, neighbours: int) -> float:
    """Return the share of points that lie in one of the balls around those of the manifold."""
    # Each point is its own nearest neighbour, at distance 0.
    radii = torch.cat(
        [
            _distances(rows, manifold).kthvalue(neighbours + 1, dim=1).values
            for rows in _parts(manifold)
        ]
    )
    inside = [(_distances(rows, manifold) <= radii).any(dim=1) for rows in _parts(points)]
    return torch.cat(inside).double().mean().item()


def _parts(points: Tensor) -> tuple[Tensor, ...]:
    return torch.split(points, _ROWS)


def _distances(rows: Tensor, columns: Tensor) -> Tensor:
    # The fast way through a matrix product would leave points at a distance from themselves.
    return torch.cdist(rows, columns, compute_mode="donot_use_mm_for_euclid_dist")


class Nearest(NamedTuple):
    """The training image nearest to each of M images.

    Attributes:
        distances: (M,) float64, the Euclidean distance over pixels in [0, 1].
        rows: (M,) int64, which training image it is.
    """

    distances: Tensor
    rows: Tensor


def nearest_images(images: Tensor, training: Tensor) -> Nearest:
    """Find the training image nearest to each image, pixel by pixel.

    Args:
        images: (M, C, H, W) floating point in [0, 1].
        training: (N, C, H, W) floating point in [0, 1], or a data set's uint8.

    Returns:
        Distances and rows, on the CPU.

    Raises:
        ValueError: An argument is something else.
    """
    return _nearest("images", images, training)


def _nearest(name: str, images: Tensor, training: Tensor) -> Nearest:
    checks.tensor(name, images, ("M", "C", "H", "W"), floating=True, finite=True)
    shape = ("N", *images.shape[1:])
    checks.tensor("training", training, shape, dtype=torch.uint8 if _bytes(training) else None)
    if not _bytes(training):
        checks.tensor("training", training, floating=True, finite=True)
    wanted = images.detach().cpu().flatten(1).float()
    best = torch.full((len(wanted),), torch.inf)
    rows = torch.zeros(len(wanted), dtype=torch.int64)
    for start in range(0, len(training), _ROWS):
        block = _pixels(training[start : start + _ROWS])
        # |x - y|^2 without |x|^2, which is the same for all y.
        scores = block.square().sum(dim=1) - 2 * wanted @ block.T
        found = scores.min(dim=1)
        nearer = found.values < best
        best = torch.where(nearer, found.values, best)
        rows = torch.where(nearer, found.indices + start, rows)
    # Exactly: the difference of large squares would leave an image at a distance from itself.
    exact = (wanted.double() - _pixels(training[rows.to(training.device)]).double()).norm(dim=1)
    return Nearest(exact, rows)


def memorisation_ratio(samples: Tensor, held_out: Tensor, training: Tensor) -> float:
    """Median distance of samples to their nearest training images, over that of real new images.

    Near 0, samples are copies. Somewhat below 1 says little: blurred images are nearer to all
    others.

    Args:
        samples: (M, C, H, W) floating point in [0, 1].
        held_out: (L, C, H, W) floating point in [0, 1]: real images that are not for training.
        training: (N, C, H, W) floating point in [0, 1], or a data set's uint8.

    Returns:
        The ratio, 0 or more.

    Raises:
        ValueError: An argument is something else, or half of the images that are not for training
            are among those for training.
    """
    usual = _nearest("held_out", held_out, training).distances.median().item()
    if usual == 0:
        raise ValueError("held_out must hold new images, got images of which half are in training")
    return _nearest("samples", samples, training).distances.median().item() / usual


def symmetric_root(matrix: Tensor) -> Tensor:
    """Return the symmetric square root (d, d) of a covariance (d, d), rounding below 0 cut off."""
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    return root


class _Moments(NamedTuple):
    mean: Tensor
    covariance: Tensor


def _moments(features: Tensor) -> _Moments:
    features = features.detach().cpu().double()
    return _Moments(features.mean(dim=0), torch.cov(features.T).reshape(2 * features.shape[1:]))


def _check_features(name: str, features: Tensor, least: int, width: int | str = "d") -> None:
    checks.tensor(name, features, ("N", width), floating=True, finite=True)
    if len(features) < least:
        raise ValueError(f"{name} must be at least {least} rows, got {checks.show(features)}")


def _bytes(images: object) -> bool:
    return isinstance(images, Tensor) and images.dtype == torch.uint8


def _pixels(images: Tensor) -> Tensor:
    pixels = images.detach().cpu().flatten(1)
    return pixels.float() / 255 if _bytes(images) else pixels.float()
