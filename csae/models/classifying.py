"""Autoencoders whose code names a class; the CSAE above all.

Taught in the chapter on classification supervision.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from csae import checks
from csae.centroids import pedcc, random_directions
from csae.models.autoencoders import Autoencoder
from csae.networks import NetworkConfig

ARRANGEMENTS = ("pedcc", "random")
# Squares of norms in between neither vanish nor overflow in float32.
_SMALLEST_NORM, _LARGEST_NORM = 1e-15, 1e15


class CSAEOutput(NamedTuple):
    """What one forward pass yields for a batch of N images.

    Attributes:
        reconstructions: As the images, nominally in [-1, 1]; not clipped.
        similarities: (N, K) similarities of the codes to the centroids, 1 on a centroid itself.
        latents: (N, d) codes, before any noise.
    """

    reconstructions: Tensor
    similarities: Tensor
    latents: Tensor


class ClassifyingAutoencoder(Autoencoder):
    """Autoencoder whose code also names the class. Subclasses say how, in `similarities`.

    Attributes:
        num_classes: Number of classes K.
    """

    classifies = True
    terms = (*Autoencoder.terms, "classification")
    num_classes: int

    def similarities(self, latents: Tensor) -> Tensor:
        """Return scores (N, K) of codes (N, d); the largest names the class."""
        raise NotImplementedError

    def classify(self, images: Tensor) -> Tensor:
        """Return int64 labels (N,) in 0..K-1: the class of the largest score."""
        return self.similarities(self.encode(images)).argmax(dim=1)

    def forward(self, images: Tensor) -> CSAEOutput:
        """Encode, then classify and reconstruct from the same code, noisy in training mode."""
        latents = self.encode(images)
        noisy = self.noise(latents)
        return CSAEOutput(self.decode(noisy), self.similarities(noisy), latents)


class CSAE(ClassifyingAutoencoder):
    """Classification-supervised autoencoder on fixed class centroids.

    One code per image serves two purposes: its nearest centroid names the class, and the decoder
    turns it back into the image. The centroids are fixed; they are never trained.

    Args:
        centroids: (K, d) class centroids of one common norm, such as ``simplex`` returns.
        noise: Standard deviation of the latent noise in each dimension, as a fraction of the
            centroids' norm; zero or more. It acts in training mode only.
        config: Sizes of the networks; its ``latent_dim`` is that of the centroids. The published
            convolutional pair by default.

    Raises:
        ValueError: The centroids are not a finite (K, d) tensor of K >= 2 different rows of one
            common norm between 1e-15 and 1e15, they do not fit ``config``, or ``noise`` is
            negative or not finite.
    """

    terms = (*ClassifyingAutoencoder.terms, "centroid")
    options = ("arrangement",)
    centroids: Tensor

    def __init__(
        self, centroids: Tensor, *, noise: float = 0.04, config: NetworkConfig | None = None
    ) -> None:
        norm = _common_norm(centroids)
        noise = checks.number("noise", noise, least=0)
        latent_dim = centroids.shape[1]
        if config is None:
            config = NetworkConfig(latent_dim=latent_dim)
        checks.instance("config", config, NetworkConfig)
        if config.latent_dim != latent_dim:
            raise ValueError(
                f"centroids have {latent_dim} dimensions, but config.latent_dim is "
                f"{config.latent_dim}"
            )
        super().__init__(config, noise=noise * norm)
        self.num_classes = len(centroids)
        self.settings = {"noise": noise}
        self.register_buffer("centroids", centroids.float())

    @classmethod
    def for_classes(
        cls,
        num_classes: int,
        config: NetworkConfig | None = None,
        *,
        noise: float = 0.04,
        seed: int = 0,
        arrangement: str = "pedcc",
    ) -> CSAE:
        """Build a CSAE on the centroids of `csae.pedcc`, whose norm is the root of ``latent_dim``.

        So the mean square of a centroid's coordinates is 1, as is that of a standard Gaussian's.

        Args:
            num_classes: Number of classes K, at least 2.
            config: Sizes of the networks; the published convolutional pair by default.
            noise: As a fraction of the centroids' norm.
            seed: Turns the centroids, or chooses their directions.
            arrangement: ``"pedcc"``, or ``"random"`` for `csae.centroids.random_directions`
                instead: what even spacing is compared with.

        Raises:
            ValueError: An argument is out of range.
        """
        checks.choice("arrangement", arrangement, ARRANGEMENTS)
        config = cls._checked(config)
        size: dict[str, Any] = {"scale": math.sqrt(config.latent_dim), "seed": seed}
        if arrangement == "random":
            centroids = random_directions(num_classes, config.latent_dim, **size)
        else:
            centroids = pedcc(num_classes, config.latent_dim, **size).centroids
        return cls(centroids, noise=noise, config=config)

    @classmethod
    def restore(
        cls, config: NetworkConfig, settings: dict[str, Any], tensors: dict[str, Tensor]
    ) -> CSAE:
        """Build the model again; its centroids are among the tensors."""
        if "centroids" not in tensors:
            raise ValueError("centroids are missing among its tensors")
        return cls(tensors["centroids"], config=config, **settings)

    def similarities(self, latents: Tensor) -> Tensor:
        """Return the similarity (N, K) of codes (N, d) to the centroids: z . c_k / |c_k|^2.

        Codes may have more axes than two; the similarities have the same ones before the last.

        It is 1 on a centroid itself, and -1/(K - 1) on the other centroids of a simplex. As all
        centroids have the same norm, the most similar centroid is also the nearest one.

        Equations: nearest-is-most-similar.

        Raises:
            ValueError: The codes have other dimensions or another type than the weights.
        """
        self._check_codes(latents)
        return latents @ (self.centroids / self.centroids.square().sum(dim=1, keepdim=True)).T


def _common_norm(centroids: Tensor) -> float:
    """Check centroids; return the norm that they share."""
    hint = "csae.pedcc and csae.simplex make them"
    checks.tensor("centroids", centroids, ("K", "d"), floating=True, hint=hint)
    if len(centroids) < 2:
        raise ValueError(f"centroids must be at least 2, got {checks.show(centroids)}")
    norms = centroids.detach().double().norm(dim=1)
    norm: float = norms.mean().item()
    # Nearest centroid and largest similarity agree only when all norms are equal.
    shared = torch.allclose(norms, norms.mean(), rtol=1e-5, atol=0)
    if not (shared and _SMALLEST_NORM <= norm <= _LARGEST_NORM):
        raise ValueError(
            "centroids must be finite with rows of one common positive norm, from "
            f"{_SMALLEST_NORM:g} to {_LARGEST_NORM:g}, got norms from {norms.min().item():.6g} to "
            f"{norms.max().item():.6g}"
        )
    if len(torch.unique(centroids.detach().float(), dim=0)) < len(centroids):
        raise ValueError("centroids must differ from each other, got some that are the same")
    return norm
