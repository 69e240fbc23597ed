"""New images: codes drawn around the centroids, then decoded.

Taught in the chapter on generation.
"""

from __future__ import annotations

import torch
from torch import Tensor

from csae import checks


def sample_latents(latents: Tensor, labels: Tensor, per_class: int, *, seed: int = 0) -> Tensor:
    """Draw new codes of each class from a Gaussian fitted to that class's codes.

    Args:
        latents: (N, d) codes of training images.
        labels: (N,) int64 classes of those images, 0..K-1, every class with two codes or more.
        per_class: Number of new codes for each class, at least 1.
        seed: Chooses the codes.

    Returns:
        (K, per_class, d) float32 codes, on the CPU.

    Raises:
        ValueError: An argument is something else, or a class has fewer than two codes.
    """
    checks.tensor("latents", latents, ("N", "d"), floating=True, finite=True)
    checks.tensor("labels", labels, (len(latents),), dtype=torch.int64)
    # No label can be larger than the rows are many: each class needs two.
    checks.labels("labels", labels, len(latents), len(latents))
    per_class = checks.integer("per_class", per_class, 1)
    generator = torch.Generator().manual_seed(checks.seed("seed", seed))
    latents, labels = latents.detach().cpu(), labels.cpu()
    codes = []
    for label, count in enumerate(torch.bincount(labels).tolist()):
        if count < 2:
            raise ValueError(f"labels must name every class twice or more; class {label}: {count}")
        members = latents[labels == label].double()
        # One code is the mean plus a random mix of the deviations: its covariance is theirs,
        # also when there are fewer codes than dimensions.
        deviations = (members - members.mean(dim=0)) / (count - 1) ** 0.5
        mix = torch.randn(per_class, count, generator=generator, dtype=torch.float64, device="cpu")
        codes.append(members.mean(dim=0) + mix @ deviations)
    return torch.stack(codes).float()
