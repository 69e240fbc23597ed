"""Classification by the nearest centroid."""

from __future__ import annotations

import torch
from torch import Tensor

from csae import checks


def nearest_centroid(latents: Tensor, centroids: Tensor) -> Tensor:
    """Classify codes by their nearest centroid.

    Where all centroids have the same norm it is also the most similar one, which
    `csae.models.CSAE.similarities` finds with one matrix product.

    Equations: nearest-centroid.

    Args:
        latents: (N, d) codes.
        centroids: (K, d) one point a class; norms may differ.

    Returns:
        (N,) int64 labels in 0..K-1; the first of several that are equally near.

    Raises:
        ValueError: The arguments do not fit together.
    """
    checks.tensor("centroids", centroids, ("K", "d"), floating=True)
    width = centroids.shape[1]
    checks.tensor("latents", latents, ("N", width), dtype=centroids.dtype, least=0)
    return torch.cdist(latents, centroids).argmin(dim=1)
