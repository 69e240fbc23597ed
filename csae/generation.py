"""New images: codes drawn from a distribution fitted to those of training images, then decoded.

A decoder turns any code into an image; what it has learned is to decode the codes of training
images. So a sampler learns where these lie, each class by itself or all together.

Taught in the chapter on variational autoencoders.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from typing import NamedTuple, TypeVar

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from csae import checks
from csae.evaluation.samples import symmetric_root

_S = TypeVar("_S", bound="LatentSampler")


class Samples(NamedTuple):
    """New codes.

    Attributes:
        latents: (N, d) float32, on the CPU.
        labels: (N,) int64, the classes they were drawn for; None where the sampler knows none.
    """

    latents: Tensor
    labels: Tensor | None


class Mixture(NamedTuple):
    """Weighted sum of M Gaussians in d dimensions, in float64.

    Attributes:
        weights: (M,) that sum to 1.
        means: (M, d).
        roots: (M, d, d) symmetric square roots of the covariances.
    """

    weights: Tensor
    means: Tensor
    roots: Tensor


class LatentSampler(ABC):
    """Draws new codes, each class by itself where it was fitted with labels.

    Subclasses say what is fitted to the codes of one class, or to all, in `_fitted`.

    Attributes:
        least: Codes that each class needs at least.
        mixtures: What was fitted: one for each class, or one in all; empty before `fit`.
        conditional: Whether it was fitted with labels.
    """

    least = 2

    def __init__(self) -> None:
        self.mixtures: list[Mixture] = []
        self.conditional = False

    @abstractmethod
    def _fitted(self, latents: Tensor) -> Mixture:
        """Fit to codes (N, d), float64."""

    def fit(self: _S, latents: Tensor, labels: Tensor | None = None) -> _S:
        """Fit to the codes of training images.

        Args:
            latents: (N, d) finite codes.
            labels: (N,) int64 classes of those images, 0..K-1, to fit each class by itself; None
                to fit all codes together.

        Returns:
            The sampler itself.

        Raises:
            ValueError: An argument is something else, or a class has too few codes.
        """
        checks.tensor("latents", latents, ("N", "d"), floating=True, finite=True)
        codes = latents.detach().cpu().double()
        groups = [codes]
        if labels is not None:
            checks.tensor("labels", labels, (len(latents),), dtype=torch.int64)
            # No label can be larger than the rows are many.
            checks.labels("labels", labels, len(latents), len(latents))
            named = labels.cpu()
            groups = [codes[named == label] for label in range(int(named.max()) + 1)]
        for label, group in enumerate(groups):
            if len(group) < self.least:
                raise ValueError(
                    f"latents must be at least {self.least} codes, got {len(group)}"
                    if labels is None
                    else f"labels must name every class {self.least} times or more; class {label}: "
                    f"{len(group)}"
                )
        self.mixtures = [self._fitted(group) for group in groups]
        self.conditional = labels is not None
        return self

    def sample(self, count: int, *, seed: int = 0) -> Samples:
        """Draw new codes.

        Args:
            count: Number of new codes: for each class, where it was fitted with labels.
            seed: Chooses the codes.

        Returns:
            (count, d) codes without labels; or (K * count, d) codes, sorted by class, with labels.

        Raises:
            ValueError: An argument is something else, or nothing was fitted yet.
        """
        count = checks.integer("count", count, 1)
        generator = torch.Generator().manual_seed(checks.seed("seed", seed))
        if not self.mixtures:
            raise ValueError(f"{type(self).__name__} must be fitted before it samples: call fit")
        latents = torch.cat([_draw(mixture, count, generator) for mixture in self.mixtures])
        labels = None
        if self.conditional:
            classes = torch.arange(len(self.mixtures), device="cpu")
            labels = classes.repeat_interleave(count)
        return Samples(latents.float(), labels)


class GaussianSampler(LatentSampler):
    """A Gaussian with the mean and the full covariance of the codes."""

    def _fitted(self, latents: Tensor) -> Mixture:
        covariance = torch.cov(latents.T).reshape(2 * latents.shape[1:])
        return _gaussian(latents.mean(dim=0), covariance)


class MixtureSampler(LatentSampler):
    """A mixture of Gaussians with full covariances, fitted by expectation maximisation.

    It is scikit-learn's, in float64: codes have dimensions that are nearly constant, whose variance
    is lost in float32.

    Args:
        components: Number of Gaussians, at least 1.
        regularisation: Added to the variance of each dimension in each Gaussian, 0 or more.
        seed: Chooses where the fit begins.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(
        self, components: int = 10, *, regularisation: float = 1e-6, seed: int = 0
    ) -> None:
        super().__init__()
        self.components = checks.integer("components", components, 1)
        self.regularisation = checks.number("regularisation", regularisation, least=0)
        self.seed = checks.integer("seed", seed, 0, 2**32 - 1)  # NumPy takes no larger one
        self.least = max(2, self.components)

    def _fitted(self, latents: Tensor) -> Mixture:
        # Not at the top: it takes seconds to import.
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        mixture = GaussianMixture(
            self.components, reg_covar=self.regularisation, random_state=self.seed
        )
        # Threads that wait for each other take far longer on busy cores, and a fit that is still
        # creeping on after a hundred rounds is good enough.
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit(latents.numpy())
        return Mixture(
            torch.from_numpy(mixture.weights_),
            torch.from_numpy(mixture.means_),
            torch.stack([symmetric_root(torch.from_numpy(c)) for c in mixture.covariances_]),
        )


class PriorSampler(LatentSampler):
    """The standard normal distribution, whatever the codes: the prior of a VAE.

    Of the codes it takes the number of dimensions only, and of labels the number of classes.
    """

    least = 1

    def _fitted(self, latents: Tensor) -> Mixture:
        mean = torch.zeros_like(latents[0])
        return _gaussian(mean, torch.diag(torch.ones_like(mean)))


def _gaussian(mean: Tensor, covariance: Tensor) -> Mixture:
    return Mixture(mean.new_ones(1), mean[None], symmetric_root(covariance)[None])


def _draw(mixture: Mixture, count: int, generator: torch.Generator) -> Tensor:
    """Draw codes (count, d) float64."""
    chosen = torch.multinomial(mixture.weights, count, replacement=True, generator=generator)
    codes = mixture.means[chosen]
    noise = torch.randn(codes.shape, generator=generator, dtype=codes.dtype, device="cpu")
    for component, root in enumerate(mixture.roots):
        rows = chosen == component
        codes[rows] += noise[rows] @ root
    return codes


def sample_latents(latents: Tensor, labels: Tensor, per_class: int, *, seed: int = 0) -> Tensor:
    """Draw new codes of each class from a Gaussian fitted to that class's codes.

    It is `GaussianSampler`, with the new codes in one block for each class.

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
    checks.tensor("labels", labels)
    per_class = checks.integer("per_class", per_class, 1)
    codes = GaussianSampler().fit(latents, labels).sample(per_class, seed=seed).latents
    return codes.view(-1, per_class, codes.shape[1])
