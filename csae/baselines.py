"""Models to compare a CSAE with.

Taught in the chapters on classification supervision and on results.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from csae import checks
from csae.models import ClassifyingAutoencoder
from csae.networks import NetworkConfig


class SupervisedAutoencoder(ClassifyingAutoencoder):
    """Autoencoder whose code also feeds a trained linear classifier (Le et al. 2018).

    It differs from a CSAE in one thing: the fixed centroids are replaced by a linear layer that is
    trained with the rest. The same losses and measures apply to it.

    Args:
        num_classes: Number of classes K, at least 2.
        config: Sizes of the networks; the published convolutional pair by default.
        noise: Standard deviation of the Gaussian noise on each dimension of a code, zero or more.
            It acts in training mode only. A CSAE's is a fraction of its centroids' norm; here there
            is no such norm, so it is absolute.

    Raises:
        ValueError: ``num_classes`` or ``noise`` is out of range.
    """

    def __init__(
        self, num_classes: int, config: NetworkConfig | None = None, *, noise: float = 0.0
    ) -> None:
        num_classes = checks.integer("num_classes", num_classes, 2)
        super().__init__(config, noise=noise)
        self.num_classes = num_classes
        self.head = nn.Linear(self.latent_dim, num_classes)
        self.settings = {"noise": self.noise.std}

    @classmethod
    def for_classes(
        cls,
        num_classes: int,
        config: NetworkConfig | None = None,
        *,
        noise: float = 0.0,
        seed: int = 0,
    ) -> SupervisedAutoencoder:
        """Build the model for a data set; the arguments are those of `csae.CSAE.for_classes`."""
        config = cls._checked(config)
        return cls(num_classes, config, noise=cls._absolute(noise, config))

    @classmethod
    def restore(
        cls, config: NetworkConfig, settings: dict[str, Any], tensors: dict[str, Tensor]
    ) -> SupervisedAutoencoder:
        """Build the model again; its number of classes is that of the rows of its head."""
        if "head.bias" not in tensors:
            raise ValueError("head.bias is missing among its tensors")
        return cls(tensors["head.bias"].numel(), config, **settings)

    def similarities(self, latents: Tensor) -> Tensor:
        """Return the head's scores (N, K) of codes (N, d), the place of a CSAE's similarities.

        Raises:
            ValueError: The codes have another shape or another type than the weights.
        """
        self._check_codes(latents)
        scores: Tensor = self.head(latents)
        return scores
