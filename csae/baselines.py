"""Models to compare a CSAE with.

Taught in the chapters on classification supervision and on results.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from csae import checks
from csae.models import CSAE, Autoencoder, ClassifyingAutoencoder
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


class ClassifierOutput(NamedTuple):
    """What one forward pass of a `Classifier` yields for a batch of N images.

    Attributes:
        similarities: (N, K) similarities of the codes to the centroids, 1 on a centroid itself.
        latents: (N, d) codes, before any noise.
    """

    similarities: Tensor
    latents: Tensor


class Classifier(CSAE):
    """A CSAE without its decoder: encoder and fixed centroids, and nothing to reconstruct.

    It shows what reconstruction costs, or brings, a classifier. With the same seed its encoder
    begins with the weights of a CSAE's. Its arguments are those of `csae.CSAE`.
    """

    decodes = False
    terms = ("classification", "centroid")

    def forward(self, images: Tensor) -> ClassifierOutput:  # type: ignore[override]
        """Encode and classify; the code is noisy in training mode."""
        latents = self.encode(images)
        return ClassifierOutput(self.similarities(self.noise(latents)), latents)


class RegularisedOutput(NamedTuple):
    """What one forward pass of a `RegularisedAutoencoder` yields for a batch of N images.

    Attributes:
        reconstructions: As the images, nominally in [-1, 1]; not clipped.
        latents: (N, d) codes, before any noise.
        decoder_norm: Scalar: the sum of the squares of the decoder's parameters.
    """

    reconstructions: Tensor
    latents: Tensor
    decoder_norm: Tensor


class RegularisedAutoencoder(Autoencoder):
    """Deterministic autoencoder with two penalties: the RAE with L2 of Ghosh et al. (2020).

    The squares of the codes keep them together around the origin, those of the decoder's parameters
    keep it smooth, so that new codes can be drawn from a density that is fitted to the codes
    afterwards. The penalties are the terms ``code_norm`` and ``decoder_norm`` of a loss. Before a
    batch normalisation they have little to hold on to: weights that shrink there, and codes, since
    the decoder's first layer is before one, change nothing of what is decoded. What they reach are
    the last normalisation and the layer behind it.

    Its arguments are those of `csae.Autoencoder`.
    """

    terms = (*Autoencoder.terms, "code_norm", "decoder_norm")

    def forward(self, images: Tensor) -> RegularisedOutput:
        """Encode and reconstruct; the code is noisy in training mode."""
        latents = self.encode(images)
        squares = [weights.square().sum() for weights in self.decoder.parameters()]
        reconstructions = self.decode(self.noise(latents))
        return RegularisedOutput(reconstructions, latents, torch.stack(squares).sum())
