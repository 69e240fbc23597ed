"""The arrangement with the best guarantee for a number of classes and dimensions."""

from __future__ import annotations

from csae import checks
from csae.centroids.constructions import PEDCC, check_size, orthoplex, polygon, simplex
from csae.centroids.search import spherical_code


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
    num_classes, latent_dim = check_size(num_classes, latent_dim, scale)
    progress = checks.flag("progress", progress)
    if num_classes <= latent_dim + 1:
        return PEDCC(simplex(num_classes, latent_dim, scale=scale, seed=seed), "simplex")
    if num_classes <= 2 * latent_dim:
        return PEDCC(orthoplex(num_classes, latent_dim, scale=scale, seed=seed), "orthoplex")
    if latent_dim == 2:
        return PEDCC(polygon(num_classes, scale=scale, seed=seed), "polygon")
    code = spherical_code(num_classes, latent_dim, scale=scale, seed=seed, progress=progress)
    return PEDCC(code, "spherical_code")
