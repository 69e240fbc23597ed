"""New images: codes drawn around the centroids, then decoded.

Taught in the chapter on generation.
"""

from __future__ import annotations

import torch
from torch import Tensor


def sample_latents(latents: Tensor, labels: Tensor, per_class: int, *, seed: int = 0) -> Tensor:
    """Draw new codes of each class from a Gaussian fitted to that class's codes.

    Args:
        latents: (N, d) codes of training images.
        labels: (N,) int64 classes of those images, 0..K-1, every class with two codes or more.
        per_class: Number of new codes for each class, at least 1.
        seed: Chooses the codes.

    Returns:
        (K, per_class, d) float32 codes.

    Raises:
        ValueError: ``per_class`` is below 1, or a class has fewer than two codes.
    """
    if per_class < 1:
        raise ValueError(f"per_class must be at least 1, got {per_class!r}")
    generator = torch.Generator().manual_seed(seed)
    codes = []
    for label, count in enumerate(torch.bincount(labels).tolist()):
        if count < 2:
            raise ValueError(f"labels must name every class twice or more; class {label}: {count}")
        members = latents[labels == label].double()
        # One code is the mean plus a random mix of the deviations: its covariance is theirs,
        # also when there are fewer codes than dimensions.
        deviations = (members - members.mean(dim=0)) / (count - 1) ** 0.5
        mix = torch.randn(per_class, count, generator=generator, dtype=torch.float64)
        codes.append(members.mean(dim=0) + mix @ deviations)
    return torch.stack(codes).float()
