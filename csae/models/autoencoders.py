"""The plain autoencoder, with all that every kind of model has.

Taught in the chapter on autoencoder design.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from csae import checks
from csae.networks import NetworkConfig, decoder, encoder
from csae.noise import GaussianNoise


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
        takes_labels: Whether encoder and decoder need the labels beside images and codes.
        takes_noise: Whether there may be noise on the codes.
        decodes: Whether there is a decoder.
        classifies: Whether ``classify`` names the class of an image.
        terms: Names of the terms of a loss that the model's output has something for.
        options: Further arguments of ``for_classes``, beside those that all kinds have.

    Args:
        config: Sizes of the networks; the published convolutional pair by default.
        noise: Standard deviation of the Gaussian noise on each dimension of a code, zero or more.
            It acts in training mode only.

    Raises:
        ValueError: ``noise`` is negative or not finite, or ``config`` is none.
    """

    replayable: ClassVar[bool] = True
    takes_labels: ClassVar[bool] = False
    takes_noise: ClassVar[bool] = True
    decodes: ClassVar[bool] = True
    classifies: ClassVar[bool] = False
    terms: ClassVar[tuple[str, ...]] = ("reconstruction", "wavelet", "sobel")
    options: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: NetworkConfig | None = None, *, noise: float = 0.0) -> None:
        super().__init__()
        noise = checks.number("noise", noise, least=0)
        self.config = NetworkConfig() if config is None else config
        self.encoder = encoder(self.encoder_config)
        self.noise = GaussianNoise(noise)
        if self.decodes:
            self.decoder = decoder(self.decoder_config)
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
    def encoder_config(self) -> NetworkConfig:
        """Sizes of the encoder, of which a kind of model may ask more than a code of an image."""
        return self.config

    @property
    def decoder_config(self) -> NetworkConfig:
        """Sizes of the decoder, which may take more than a code."""
        return self.config

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
        self._check_images(images)
        latents: Tensor = self.encoder(images)
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        """Return images as the encoder takes them, nominally in [-1, 1], from codes (N, d).

        Raises:
            ValueError: The codes have another shape or another type than the weights, or there is
                no decoder.
        """
        check_decodes(self)
        self._check_input("latents", latents, ("N", self.latent_dim))
        images: Tensor = self.decoder(latents)
        return images

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Encode and reconstruct; the code is noisy in training mode.

        Returns:
            A named tuple: `AutoencoderOutput`, or what a kind of model has in its place.
        """
        latents = self.encode(images)
        return AutoencoderOutput(self.decode(self.noise(latents)), latents)

    def _check_images(self, images: Tensor) -> None:
        shape = ("N", self.config.channels, self.image_size, self.image_size)
        hint = "csae.data.prepare makes such images, in [-1, 1], from those of a data set"
        self._check_input("images", images, shape, hint)

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


def check_decodes(model: Autoencoder) -> None:
    """Check that a model has a decoder.

    Raises:
        ValueError: It has none.
    """
    if not model.decodes:
        raise ValueError(
            f"model must have a decoder, got {type(model).__name__}, which makes no images"
        )
