"""Variational autoencoders: a code is drawn from a Gaussian, and a bound in nats is maximised.

The bound on log p(x) is E[log p(x|z)] - KL(q(z|x) | N(0, I)), both terms summed over dimensions
(Kingma and Welling 2014).

Taught in the chapter on variational autoencoders.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from csae import checks
from csae.distributed import mean_over_processes
from csae.models.autoencoders import Autoencoder
from csae.models.likelihoods import (
    LIKELIHOODS,
    gaussian_divergence,
    log_likelihood,
    squared_errors,
)
from csae.networks import NetworkConfig, at_least_float32
from csae.noise import standard_normal

_SMALLEST_VARIANCE = 1e-8  # of pixels: far below that of rounding to 256 grey values
_TAKEN = 0.1  # of each batch's variance into the running one, as batch normalisation does


class Posterior(NamedTuple):
    """Gaussians of N codes: their dimensions are independent.

    Attributes:
        means: (N, d).
        log_variances: (N, d) natural logarithms of their variances.
    """

    means: Tensor
    log_variances: Tensor


class VAEOutput(NamedTuple):
    """What one forward pass yields for a batch of N images.

    Attributes:
        reconstructions: As the images, nominally in [-1, 1], from the codes that were drawn.
        latents: (N, d) means of the codes.
        divergences: (N,) nats, `gaussian_divergence` of the codes.
        log_likelihoods: (N,) nats, `log_likelihood` of the images given the codes that were drawn.
    """

    reconstructions: Tensor
    latents: Tensor
    divergences: Tensor
    log_likelihoods: Tensor


class VAE(Autoencoder):
    """Variational autoencoder: the encoder gives a Gaussian for each image, not a point.

    Its networks are those of `Autoencoder`, but for the encoder's last layer, which is twice as
    wide: means and log-variances. In training mode a code is drawn from its Gaussian; otherwise it
    is the mean. It learns without labels; its loss is the sum of the terms ``kl`` and
    ``likelihood``, which is minus the bound where both have the weight 1.

    What it is depends on its likelihood above all. ``"bernoulli"``: pixels are probabilities, and
    the decoder's outputs their logits. ``"gaussian"``: all pixels have one fixed variance; a
    weight of the squared error would say the same. ``"gaussian-optimal"``: the variance is the mean
    squared error, under which images are most likely; of a batch in training (Rybkin et al. 2021),
    of the batches of late at other times.

    Attributes:
        likelihood: One of `LIKELIHOODS`.

    Args:
        config: Sizes of the networks; the published convolutional pair by default.
        likelihood: One of `LIKELIHOODS`.
        likelihood_std: Standard deviation of a pixel in [0, 1] under ``"gaussian"``, from 1e-4 to
            1e4; where ``"gaussian-optimal"`` begins.

    Raises:
        ValueError: An argument is out of range.
    """

    takes_noise = False  # codes are drawn already, and the divergence knows how widely
    terms = (*Autoencoder.terms, "kl", "likelihood")
    options = ("likelihood", "likelihood_std")
    running_variance: Tensor | None

    def __init__(
        self,
        config: NetworkConfig | None = None,
        *,
        likelihood: str = "bernoulli",
        likelihood_std: float = 0.1,
    ) -> None:
        checks.choice("likelihood", likelihood, LIKELIHOODS)
        std = checks.number("likelihood_std", likelihood_std, least=1e-4, most=1e4)
        super().__init__(self._checked(config))
        self.likelihood = likelihood
        self.settings = {"likelihood": likelihood, "likelihood_std": std}
        optimal = likelihood == "gaussian-optimal"
        self.register_buffer("running_variance", torch.tensor(std**2) if optimal else None)

    @classmethod
    def for_classes(
        cls,
        num_classes: int,
        config: NetworkConfig | None = None,
        *,
        noise: float = 0.0,
        seed: int = 0,
        likelihood: str = "bernoulli",
        likelihood_std: float = 0.1,
    ) -> VAE:
        """Build the model for a data set: all kinds of model are built with the same arguments.

        Args:
            num_classes: Number of classes K, at least 2.
            config: Sizes of the networks; the published convolutional pair by default.
            noise: Must be 0: codes are drawn from their Gaussians.
            seed: Decides nothing; there are no centroids.
            likelihood: One of `LIKELIHOODS`.
            likelihood_std: Standard deviation of a pixel in [0, 1] under ``"gaussian"``.

        Raises:
            ValueError: An argument is out of range.
        """
        _check_no_noise(noise)
        return cls(cls._checked(config), likelihood=likelihood, likelihood_std=likelihood_std)

    @property
    def encoder_config(self) -> NetworkConfig:
        """Sizes of the encoder: two outputs for each dimension of a code."""
        return dataclasses.replace(self.config, latent_dim=2 * self.latent_dim)

    def posterior(self, images: Tensor, labels: Tensor | None = None) -> Posterior:
        """Return the Gaussians q(z|x) of the codes of images; see `encode` for the arguments."""
        self._check_images(images)
        outputs = at_least_float32(self.encoder(self._with_labels(images, labels)))
        return Posterior(*outputs.chunk(2, dim=1))

    def encode(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the means (N, d) of the codes of images.

        Args:
            images: (N, channels, image_size, image_size) in [-1, 1].
            labels: (N,) int64 for a model with ``takes_labels``, else None.

        Raises:
            ValueError: The images have another shape or another type than the weights, or there
                are labels and should be none, or the other way round.
        """
        return self.posterior(images, labels).means

    def decode(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the mean images, nominally in [-1, 1], of codes (N, d); see `encode` for labels.

        Raises:
            ValueError: The codes have another shape or another type than the weights, or see
                `encode`.
        """
        self._check_input("latents", latents, ("N", self.latent_dim))
        return self._to_images(self._decoded(latents, labels))

    def forward(self, images: Tensor, labels: Tensor | None = None) -> VAEOutput:
        """Encode, draw codes in training mode, and decode them; see `encode` for the arguments."""
        means, log_variances = self.posterior(images, labels)
        latents = means
        if self.training:
            latents = means + (log_variances / 2).exp() * standard_normal(means)
        decoded = self._decoded(latents, labels)
        if self.training and self.running_variance is not None:
            variance = self._follow(decoded, images)
            likelihoods = log_likelihood(decoded, images, self.likelihood, variance)
        else:
            likelihoods = self._log_likelihood(decoded, images)
        divergences = gaussian_divergence(means, log_variances)
        return VAEOutput(self._to_images(decoded), means, divergences, likelihoods)

    def bounds(self, images: Tensor, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Estimate the bound on log p(x) of each image, or on log p(x|y), from one code each.

        The estimate has no bias. Minus its mean is the "negative ELBO" of other reports; see
        `log_likelihood` for what compares with them.

        Args:
            images: (N, channels, image_size, image_size) in [-1, 1].
            noise: (N, d) standard normal numbers that choose the codes from their Gaussians.
            labels: (N,) int64 for a model with ``takes_labels``, else None.

        Returns:
            (N,) nats.

        Raises:
            ValueError: An argument has another shape or type, or see `encode`.
        """
        means, log_variances = self.posterior(images, labels)
        checks.tensor("noise", noise, floating=True)
        checks.same_shape("noise", noise, "the codes", means)
        decoded = self._decoded(means + (log_variances / 2).exp() * noise, labels)
        likelihoods = self._log_likelihood(decoded, images)
        return likelihoods - gaussian_divergence(means, log_variances)

    def _with_labels(self, features: Tensor, labels: Tensor | None) -> Tensor:
        """Put labels beside images or codes, where a kind of model takes them."""
        if labels is not None:
            raise ValueError(
                f"labels must be None: a {type(self).__name__} takes none, got "
                f"{checks.show(labels)}"
            )
        return features

    def _decoded(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        """Return what the decoder puts out: means of pixels in [-1, 1], or logits."""
        return at_least_float32(self.decoder(self._with_labels(latents, labels)))

    def _to_images(self, decoded: Tensor) -> Tensor:
        # 2 sigmoid(x) - 1
        return torch.tanh(decoded / 2) if self.likelihood == "bernoulli" else decoded

    def _log_likelihood(self, decoded: Tensor, images: Tensor) -> Tensor:
        """Return the log-likelihood under the variance of the model itself, not of a batch."""
        variance: Tensor | float = float(self.settings["likelihood_std"]) ** 2
        if self.running_variance is not None:
            variance = self.running_variance.clamp(min=_SMALLEST_VARIANCE)
        return log_likelihood(decoded, images, self.likelihood, variance)

    def _follow(self, decoded: Tensor, images: Tensor) -> Tensor:
        """Return the best variance for a batch, and let the running one follow it.

        It may count as a constant: where the likelihood is largest, its slope is zero.
        """
        error = mean_over_processes(squared_errors(decoded, images).mean())
        variance = error.clamp(min=_SMALLEST_VARIANCE)
        if self.running_variance is not None:
            self.running_variance.lerp_(variance.to(self.running_variance), _TAKEN)
        return variance


class ConditionalVAE(VAE):
    """Variational autoencoder whose encoder and decoder are told the class (Sohn et al. 2015).

    The label enters as K numbers, of which one is 1: K planes beside the image, and K entries
    beside the code. So the code need not say the class, and an image of a class is made from a draw
    of the standard normal and the label. It classifies by the class under which the bound on
    log p(x|y) is largest.

    Attributes:
        num_classes: Number of classes K.

    Args:
        num_classes: Number of classes K, at least 2.
        config: Sizes of the networks; the published convolutional pair by default.
        likelihood: One of `LIKELIHOODS`.
        likelihood_std: As `VAE` takes it.

    Raises:
        ValueError: An argument is out of range.
    """

    takes_labels = True
    classifies = True

    def __init__(
        self,
        num_classes: int,
        config: NetworkConfig | None = None,
        *,
        likelihood: str = "bernoulli",
        likelihood_std: float = 0.1,
    ) -> None:
        # First: the sizes of the networks depend on it.
        self.num_classes = checks.integer("num_classes", num_classes, 2)
        super().__init__(config, likelihood=likelihood, likelihood_std=likelihood_std)
        self.settings = {"num_classes": self.num_classes} | self.settings

    @classmethod
    def for_classes(
        cls,
        num_classes: int,
        config: NetworkConfig | None = None,
        *,
        noise: float = 0.0,
        seed: int = 0,
        likelihood: str = "bernoulli",
        likelihood_std: float = 0.1,
    ) -> ConditionalVAE:
        """Build the model for a data set; the arguments are those of `VAE.for_classes`."""
        _check_no_noise(noise)
        config = cls._checked(config)
        return cls(num_classes, config, likelihood=likelihood, likelihood_std=likelihood_std)

    @property
    def encoder_config(self) -> NetworkConfig:
        """Sizes of the encoder: a plane for each class beside the image."""
        channels = self.config.channels + self.num_classes
        return dataclasses.replace(super().encoder_config, channels=channels)

    @property
    def decoder_config(self) -> NetworkConfig:
        """Sizes of the decoder: an entry for each class beside the code."""
        return dataclasses.replace(self.config, latent_dim=self.latent_dim + self.num_classes)

    def classify(self, images: Tensor, *, seed: int = 0) -> Tensor:
        """Return int64 labels (N,) in 0..K-1: the class of the largest bound.

        Args:
            images: (N, channels, image_size, image_size) in [-1, 1].
            seed: Chooses the noise of `class_bounds`, drawn on the CPU.
        """
        generator = torch.Generator().manual_seed(checks.seed("seed", seed))
        noise = torch.randn(len(images), self.latent_dim, generator=generator, device="cpu")
        return self.class_bounds(images, noise.to(images)).argmax(dim=1)

    def class_bounds(self, images: Tensor, noise: Tensor) -> Tensor:
        """Estimate the bound on log p(x|y) for each of the K classes.

        The same noise for all classes: what it does to one bound, it mostly does to the others.

        Args:
            images: (N, channels, image_size, image_size) in [-1, 1].
            noise: (N, d) standard normal numbers.

        Returns:
            (N, K) nats.

        Raises:
            ValueError: See `bounds`.
        """
        labels = torch.arange(self.num_classes, device=images.device)
        every = [self.bounds(images, noise, label.expand(len(images))) for label in labels]
        return torch.stack(every, dim=1)

    def _with_labels(self, features: Tensor, labels: Tensor | None) -> Tensor:
        if labels is None:
            raise ValueError(
                f"labels must be given: a {type(self).__name__} encodes and decodes with the class "
                "of each image, got None"
            )
        read = labels.device.type == "cpu" if isinstance(labels, Tensor) else True
        checks.labels("labels", labels, len(features), self.num_classes, read=read)
        marks = F.one_hot(labels, self.num_classes).to(features)  # (N, K)
        if features.ndim == 4:
            marks = marks[:, :, None, None].expand(-1, -1, *features.shape[2:])
        return torch.cat((features, marks), dim=1)


def _check_no_noise(noise: object) -> None:
    if checks.number("noise", noise, least=0):
        raise ValueError(
            f"noise must be 0 for a model that draws its codes, got {checks.show(noise)}"
        )
