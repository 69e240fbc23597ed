"""Autoencoders: an encoder and a decoder, joined by a code that may name a class.

Taught in the chapters on autoencoder design and on classification supervision. `pca_autoencoder` is
the best linear autoencoder, in closed form.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from csae import checks
from csae.centroids import pedcc
from csae.networks import NetworkConfig, decoder, encoder
from csae.noise import GaussianNoise

# Squares of norms in between neither vanish nor overflow in float32.
_SMALLEST_NORM, _LARGEST_NORM = 1e-15, 1e15


class AutoencoderOutput(NamedTuple):
    """What one forward pass yields for a batch of N images.

    Attributes:
        reconstructions: As the images, nominally in [-1, 1]; not clipped.
        latents: (N, d) codes, before any noise.
    """

    reconstructions: Tensor
    latents: Tensor


class Autoencoder(nn.Module):
    """Encoder and decoder joined by a code; it learns without labels.

    An invertible map of the codes, undone by the decoder, changes no reconstruction: what the
    error fixes is the images, and the codes only up to such maps.

    Equations: latent-freedom.

    Attributes:
        replayable: Whether training steps differ in their values only, so that their kernels can
            be recorded and replayed, and the output is a named tuple of tensors. A subclass that
            decides things from step to step sets it to false.

        terms: Names of the terms of a loss that the model's output has something for.

    Args:
        config: Sizes of the networks; the published convolutional pair by default.
        noise: Standard deviation of the Gaussian noise on each dimension of a code, zero or more.
            It acts in training mode only.

    Raises:
        ValueError: ``noise`` is negative or not finite, or ``config`` is none.
    """

    replayable = True
    terms: ClassVar[tuple[str, ...]] = ("reconstruction", "wavelet", "sobel")

    def __init__(self, config: NetworkConfig | None = None, *, noise: float = 0.0) -> None:
        super().__init__()
        noise = checks.number("noise", noise, least=0)
        self.config = NetworkConfig() if config is None else config
        self.encoder = encoder(self.config)
        self.noise = GaussianNoise(noise)
        self.decoder = decoder(self.config)
        self.settings: dict[str, Any] = {"noise": noise}

    @classmethod
    def for_classes(
        cls,
        num_classes: int,
        config: NetworkConfig | None = None,
        *,
        noise: float = 0.0,
        seed: int = 0,
    ) -> Autoencoder:
        """Build the model for a data set: all kinds of model are built with the same arguments.

        Args:
            num_classes: Number of classes K, at least 2; one that learns without labels needs none.
            config: Sizes of the networks; the published convolutional pair by default.
            noise: Standard deviation of the noise on each dimension of a code, as a fraction of
                the square root of ``latent_dim``: the norm of the centroids of a CSAE, and that of
                codes whose dimensions have variance 1.
            seed: Turns the centroids, where there are any.

        Raises:
            ValueError: An argument is out of range.
        """
        config = cls._checked(config)
        return cls(config, noise=cls._absolute(noise, config))

    @staticmethod
    def _checked(config: NetworkConfig | None) -> NetworkConfig:
        """Return sizes of networks; the published ones by default."""
        if config is None:
            return NetworkConfig()
        return checks.instance("config", config, NetworkConfig)

    @staticmethod
    def _absolute(noise: object, config: NetworkConfig) -> float:
        """Return a standard deviation given as a fraction of the root of the dimensions."""
        return checks.number("noise", noise, least=0) * math.sqrt(config.latent_dim)

    @classmethod
    def restore(
        cls, config: NetworkConfig, settings: dict[str, Any], tensors: dict[str, Tensor]
    ) -> Autoencoder:
        """Build the model again that had these ``config`` and ``settings``; its weights are new.

        Args:
            config: Sizes of the networks.
            settings: What the model's attribute of that name said: further arguments.
            tensors: Weights and buffers, of which a kind of model may need some.
        """
        return cls(config=config, **settings)

    @property
    def latent_dim(self) -> int:
        """Dimensions of a code."""
        return self.config.latent_dim

    @property
    def image_size(self) -> int:
        """Height and width in pixels of the images that go in and come out."""
        return self.config.image_size

    def encode(self, images: Tensor) -> Tensor:
        """Return codes (N, d) of images (N, channels, image_size, image_size) in [-1, 1].

        Raises:
            ValueError: The images have another shape or another type than the weights.
        """
        shape = ("N", self.config.channels, self.image_size, self.image_size)
        hint = "csae.data.prepare makes such images, in [-1, 1], from those of a data set"
        self._check_input("images", images, shape, hint)
        latents: Tensor = self.encoder(images)
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        """Return images as the encoder takes them, nominally in [-1, 1], from codes (N, d).

        Raises:
            ValueError: The codes have another shape or another type than the weights.
        """
        self._check_input("latents", latents, ("N", self.latent_dim))
        images: Tensor = self.decoder(latents)
        return images

    def forward(self, images: Tensor) -> AutoencoderOutput | CSAEOutput:
        """Encode and reconstruct; the code is noisy in training mode."""
        latents = self.encode(images)
        return AutoencoderOutput(self.decode(self.noise(latents)), latents)

    def _check_input(
        self, argument: str, value: Tensor, shape: tuple[int | str, ...], hint: str = ""
    ) -> None:
        """Check shape and type; the values stay unread, so that no device has to be waited for."""
        checks.tensor(argument, value, shape, floating=True, least=0, hint=hint)
        self._check_type(argument, value)

    def _check_codes(self, latents: Tensor) -> None:
        """Check codes of any number of axes, as `_check_input` does."""
        checks.tensor("latents", latents, floating=True)
        if latents.shape[-1:] != (self.latent_dim,):
            raise ValueError(
                f"latents must have shape (N, {self.latent_dim}), got {checks.show(latents)}"
            )
        self._check_type("latents", latents)

    def _check_type(self, argument: str, value: Tensor) -> None:
        wanted = next(self.parameters(), value).dtype
        if value.dtype == wanted:
            return
        # Autocast converts all types but float64.
        if value.dtype == torch.float64 or not torch.is_autocast_enabled(value.device.type):
            own = str(wanted).removeprefix("torch.")
            raise ValueError(
                f"{argument} must be {own}, as the weights of the model are, got "
                f"{checks.show(value)}"
            )


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
    ) -> CSAE:
        """Build a CSAE on the centroids of `csae.pedcc`, whose norm is the root of ``latent_dim``.

        So the mean square of a centroid's coordinates is 1, as is that of a standard Gaussian's.

        Args:
            num_classes: Number of classes K, at least 2.
            config: Sizes of the networks; the published convolutional pair by default.
            noise: As a fraction of the centroids' norm.
            seed: Turns the centroids.

        Raises:
            ValueError: An argument is out of range.
        """
        config = cls._checked(config)
        norm = math.sqrt(config.latent_dim)
        centroids, _ = pedcc(num_classes, config.latent_dim, scale=norm, seed=seed)
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


@torch.no_grad()
def pca_autoencoder(images: Tensor, latent_dim: int) -> Autoencoder:
    """Return the linear autoencoder with the least squared error on some images.

    No linear encoder and decoder reconstruct these images better (Eckart and Young 1936). Its code
    holds the coordinates along the principal components, the one of largest variance first.

    Args:
        images: (N, C, S, S) floating-point, as `csae.data.prepare` returns them.
        latent_dim: Dimensions of a code, from 1 to the C * S * S pixels of an image.

    Returns:
        A fully connected network without hidden layers, in evaluation mode. The columns of its
        decoder's weight are orthonormal; in each, the entry of largest size is positive.

    Raises:
        ValueError: An argument is out of range.

    Equations: principal-code, discarded-variance.
    """
    checks.tensor("images", images, ("N", "C", "S", "S"), floating=True, finite=True)
    channels, size = images.shape[1:3]
    latent_dim = checks.integer("latent_dim", latent_dim, 1, channels * size**2)
    config = NetworkConfig("fully_connected", latent_dim, (), size, channels)
    pixels = images.flatten(1).double()  # (N, P)
    mean = pixels.mean(dim=0)
    centred = pixels - mean
    _, vectors = torch.linalg.eigh(centred.T @ centred / len(pixels))  # smallest variance first
    components = vectors.flip(1)[:, :latent_dim]  # (P, d)
    largest = components.gather(0, components.abs().argmax(dim=0, keepdim=True))
    components = components * largest.sign()
    model = Autoencoder(config)
    model.load_state_dict(
        {
            "encoder.1.weight": components.T,
            "encoder.1.bias": -components.T @ mean,
            "decoder.0.weight": components,
            "decoder.0.bias": mean,
        }
    )
    return model.eval()
