"""Gaussian noise on latent codes, during training only.

Taught in the chapter on noise injection. This module knows nothing of the rest of the package.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class GaussianNoise(nn.Module):
    """Adds independent Gaussian noise in training mode; passes codes through in evaluation mode.

    Args:
        std: Standard deviation of the noise in each dimension, zero or more.

    Raises:
        ValueError: ``std`` is negative or not finite.
    """

    def __init__(self, std: float) -> None:
        super().__init__()
        if not (math.isfinite(std) and std >= 0):
            raise ValueError(f"std must be a finite number of at least 0, got {std!r}")
        self.std = std

    def forward(self, latents: Tensor) -> Tensor:
        """Return ``latents``, of any shape, with noise added in training mode."""
        if not self.training or self.std == 0:
            return latents
        return latents + self.std * torch.randn_like(latents)

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows between the brackets."""
        return f"std={self.std:.4g}"
