"""Gaussian noise on latent codes, during training only; what it does, and measures of that.

Taught in the chapter on noise injection. This module stands near the bottom of the package.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import torch
from torch import Tensor, nn

from csae import checks
from csae.distributed import own_rows

SHAPES = ("linear", "cosine")
_CHUNK = 100  # codes decoded at a time: bounds memory, changes no result


def standard_normal(like: Tensor) -> Tensor:
    """Draw standard normal numbers for the rows of a batch, which several processes may share.

    The n-th image of a batch meets the same numbers, however many processes work on the batch.

    Args:
        like: (N, ...) floating point, whose shape, type and device the numbers have.

    Raises:
        ValueError: ``like`` is something else.
    """
    checks.tensor("like", like, floating=True)
    shape, dtype, device = like.shape[1:], like.dtype, like.device
    return own_rows(lambda rows: torch.randn((rows, *shape), dtype=dtype, device=device), len(like))


class GaussianNoise(nn.Module):
    """Adds independent Gaussian noise in training mode; passes codes through in evaluation mode.

    Args:
        std: Standard deviation of the noise in each dimension, zero or more. It can be set anew
            at any time, by a `NoiseSchedule` for example.

    Raises:
        ValueError: ``std`` is negative or not finite.
    """

    def __init__(self, std: float) -> None:
        super().__init__()
        self.std = std

    @property
    def std(self) -> float:
        """Standard deviation of the noise in each dimension."""
        return self._std

    @std.setter
    def std(self, value: float) -> None:
        self._std = checks.number("std", value, least=0)

    def forward(self, latents: Tensor) -> Tensor:
        """Return ``latents``, of any shape, with noise added in training mode."""
        if not self.training or self.std == 0:
            return latents
        checks.tensor("latents", latents, floating=True)
        return latents + self.std * standard_normal(latents)

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows between the brackets."""
        return f"std={self.std:.4g}"


@dataclass(frozen=True)
class NoiseSchedule:
    """Changes the noise while training runs: ``csae.train(..., on_step=NoiseSchedule(...))``.

    Equations: noise-schedule.

    Attributes:
        noise: The noise to change, such as ``model.noise``.
        start: Standard deviation at the start of training, zero or more.
        end: Standard deviation at its end, zero or more; more or less than ``start``.
        shape: ``"linear"``: at one rate; ``"cosine"``: slowly at the start and at the end.

    Raises:
        ValueError: An argument is out of range.
    """

    noise: GaussianNoise
    start: float
    end: float
    shape: str = "linear"

    def __post_init__(self) -> None:
        checks.instance("noise", self.noise, GaussianNoise, "a CSAE's is model.noise")
        for name in ("start", "end"):
            object.__setattr__(self, name, checks.number(name, getattr(self, name), least=0))
        checks.choice("shape", self.shape, SHAPES)

    def std(self, progress: float) -> float:
        """Return the standard deviation at some progress of training, from 0 to 1.

        Raises:
            ValueError: ``progress`` is out of range.
        """
        progress = checks.number("progress", progress, least=0, most=1)
        done = progress if self.shape == "linear" else (1 - math.cos(math.pi * progress)) / 2
        return (1 - done) * self.start + done * self.end

    def __call__(self, progress: float) -> None:
        """Set the noise for some progress of training, from 0 to 1."""
        self.noise.std = self.std(progress)


def closest_distance(centroids: Tensor) -> float:
    """Return the distance between the two closest of K centroids (K, d), K >= 2.

    Raises:
        ValueError: The centroids have another shape or are not finite.
    """
    checks.tensor("centroids", centroids, ("K", "d"), floating=True, finite=True)
    if len(centroids) < 2:
        raise ValueError(f"centroids must be at least 2, got {checks.show(centroids)}")
    return torch.nn.functional.pdist(centroids.double()).min().item()


def crossing_probability(std: float, distance: float, num_classes: int = 2) -> float:
    """Probability that noise moves a code from its centroid to where another one is nearest.

    For two centroids only the noise along the line that joins them counts, whatever the number of
    dimensions: it has to be more than half the distance. For K centroids of a simplex, one of
    K - 1 others has to come nearer than the own one.

    Equations: noise-crossing, noise-crossing-simplex.

    Args:
        std: Standard deviation of the noise in each dimension, zero or more.
        distance: Between any two centroids, positive.
        num_classes: Number of centroids K at that distance from each other, at least 2.

    Raises:
        ValueError: An argument is out of range.
    """
    std = checks.number("std", std, least=0)
    distance = checks.number("distance", distance, above=0)
    num_classes = checks.integer("num_classes", num_classes, 2)
    if std == 0:
        return 0.0
    margin = distance / (2 * std)
    if num_classes == 2:
        return math.erfc(margin / math.sqrt(2)) / 2
    if margin > 38:
        return 0.0  # below the smallest float, for any number of classes that fits a memory
    # A simplex differs from K orthogonal points by a shift. There the noise along each point's own
    # axis is independent of the others'.
    apart = math.sqrt(2) * margin
    # Noise on the own axis.
    own = torch.linspace(-apart - 12, 12, 20_001, dtype=torch.float64, device="cpu")
    density = torch.exp(-(own**2) / 2) / math.sqrt(2 * math.pi)
    # 1 - Phi^(K - 1), without cancellation where Phi is nearly 1
    lost = -torch.expm1((num_classes - 1) * torch.special.log_ndtr(own + apart))
    return torch.trapezoid(density * lost, own).item()


def crossing_std(probability: float, distance: float) -> float:
    """Standard deviation of the noise that crosses between two centroids with a probability.

    It is the inverse of `crossing_probability` for two centroids.

    Equations: noise-crossing.

    Args:
        probability: Between 0 and 0.5, both excluded.
        distance: Between the two centroids, positive.

    Raises:
        ValueError: An argument is out of range.
    """
    probability = checks.number("probability", probability, above=0, below=0.5)
    distance = checks.number("distance", distance, above=0)
    return -distance / (2 * NormalDist().inv_cdf(probability))


def squared_jacobian_norm(
    decode: Callable[[Tensor], Tensor],
    latents: Tensor,
    *,
    probes: int | None = None,
    seed: int = 0,
) -> Tensor:
    """Squared Frobenius norm of the decoder's Jacobian at each code: the sum of its squares.

    Exact, it takes d directional derivatives, one along each latent axis. With ``probes`` it is
    estimated without bias from that many random directions (Hutchinson 1990).

    Equations: jacobian-probe.

    Args:
        decode: Maps codes (n, d) to images of any shape (n, ...), each on its own: a decoder in
            evaluation mode.
        latents: (N, d) codes.
        probes: Number of random directions, at least 1; by default all d axes, exactly.
        seed: Chooses the random directions.

    Returns:
        (N,) float64.

    Raises:
        ValueError: ``latents`` is not two-dimensional and floating-point, ``probes`` is below 1, or
            ``decode`` returns something else than images.
    """
    checks.function("decode", decode)
    _check_latents("latents", latents)
    if probes is not None:
        probes = checks.integer("probes", probes, 1)
    generator = _generator(seed)
    parts = []
    for codes in torch.split(latents.detach(), _CHUNK):
        derivative = _directional_derivative(decode, codes)
        total = torch.zeros(len(codes), dtype=torch.float64, device=codes.device)
        for k in range(codes.shape[1] if probes is None else probes):
            if probes is None:
                direction = torch.zeros_like(codes)
                direction[:, k] = 1
            else:
                direction = _randn(codes, generator)
            total += derivative(direction).flatten(1).double().square().sum(dim=1)
        parts.append(total / (probes or 1))
    return torch.cat(parts)


class NoiseIncrease(NamedTuple):
    """What latent noise adds to the squared error of each of N images; two terms that sum up.

    Attributes:
        spread: (N,) mean squared distance of the noisy reconstructions from the quiet one; to
            second order in the noise std**2 times the squared norm of the decoder's Jacobian.
        curvature: (N,) what the mean of the noisy reconstructions is nearer to the image (negative)
            or further from it; zero for a linear decoder.
    """

    spread: Tensor
    curvature: Tensor

    @property
    def total(self) -> Tensor:
        """(N,) increase of the squared error."""
        return self.spread + self.curvature


@torch.no_grad()
def noise_increase(
    decode: Callable[[Tensor], Tensor],
    latents: Tensor,
    images: Tensor,
    std: float,
    *,
    draws: int = 8,
    seed: int = 0,
) -> NoiseIncrease:
    """Measure what noise on the codes adds to the squared error, summed over pixels.

    Noise is drawn in pairs of opposite sign. In their mean the change that is linear in the noise
    cancels, so that few draws do.

    Equations: noise-expansion.

    Args:
        decode: Maps codes (n, d) to images (n, ...), each on its own: a decoder in evaluation mode.
        latents: (N, d) codes.
        images: (N, ...) what the decoder should return for them.
        std: Standard deviation of the noise in each dimension, positive.
        draws: Pairs of noise vectors for each code, at least 1.
        seed: Chooses the noise.

    Returns:
        Both terms for each image, float64.

    Raises:
        ValueError: An argument is out of range, or shapes do not agree.
    """
    checks.function("decode", decode)
    _check_latents("latents", latents)
    checks.tensor("images", images, floating=True)
    std = checks.number("std", std, above=0)
    draws = checks.integer("draws", draws, 1)
    if images.ndim == 0 or len(images) != len(latents):
        raise ValueError(
            f"images must be as many as the {len(latents)} codes, got {checks.show(images)}"
        )
    generator = _generator(seed)
    spreads, curvatures = [], []
    for codes, wanted in zip(
        torch.split(latents, _CHUNK), torch.split(images, _CHUNK), strict=True
    ):
        quiet = _decoded(decode, codes).double()
        if quiet.shape != wanted.shape:
            raise ValueError(
                f"images must have the shape {tuple(quiet.shape[1:])} that decode returns, "
                f"got {tuple(wanted.shape[1:])}"
            )
        residual = wanted.double() - quiet
        spread = torch.zeros(len(codes), dtype=torch.float64, device=codes.device)
        curvature = torch.zeros_like(spread)
        for _ in range(draws):
            noise = std * _randn(codes, generator)
            for noisy in (codes + noise, codes - noise):
                change = decode(noisy).double() - quiet
                spread += change.square().flatten(1).sum(dim=1)
                curvature -= 2 * (residual * change).flatten(1).sum(dim=1)
        spreads.append(spread / (2 * draws))
        curvatures.append(curvature / (2 * draws))
    return NoiseIncrease(torch.cat(spreads), torch.cat(curvatures))


def doubt_penalty(probabilities: Tensor, logit_std: float) -> Tensor:
    """What noise on codes adds to the cross-entropy, to second order, for centroids of a simplex.

    Noise of standard deviation s moves the difference of any two logits by noise of one standard
    deviation: s times the factor on the similarities times the centroids' distance, divided by
    their squared norm. The label does not matter: the penalty is on doubt, not on error.

    Equations: noise-doubt.

    Args:
        probabilities: (N, K) predicted for each class, without noise; rows sum to 1.
        logit_std: Standard deviation of the difference of two logits, zero or more.

    Returns:
        (N,) nats.

    Raises:
        ValueError: An argument is out of range.
    """
    logit_std = checks.number("logit_std", logit_std, least=0)
    checks.tensor("probabilities", probabilities, ("N", "K"), floating=True, least=0)
    if not (probabilities >= 0).all() or not (probabilities.sum(dim=1) - 1).abs().le(1e-2).all():
        raise ValueError("probabilities must be at least 0, and each row must sum to 1")
    return logit_std**2 / 4 * (1 - probabilities.square().sum(dim=1))


@torch.no_grad()
def path_steps(
    decode: Callable[[Tensor], Tensor], start: Tensor, end: Tensor, *, steps: int = 32
) -> Tensor:
    """How far the image moves with each step along straight lines between codes.

    The sum of a row is the length of the image's path; its largest value shows the largest jump.

    Equations: path-stretch.

    Args:
        decode: Maps codes (n, d) to images (n, ...), each on its own: a decoder in evaluation mode.
        start: (N, d) codes.
        end: (N, d) codes.
        steps: Equal steps on each line, at least 1.

    Returns:
        (N, steps) Euclidean distances between successive images, float64.

    Raises:
        ValueError: An argument is out of range, or shapes do not agree.
    """
    checks.function("decode", decode)
    _check_latents("start", start)
    checks.tensor("end", end, dtype=start.dtype)
    checks.same_shape("start", start, "end", end)
    steps = checks.integer("steps", steps, 1)
    moved = []
    before = _decoded(decode, start)
    for k in range(1, steps + 1):
        after = decode(torch.lerp(start, end, k / steps))
        moved.append((after.double() - before.double()).flatten(1).norm(dim=1))
        before = after
    return torch.stack(moved, dim=1)


def _directional_derivative(
    decode: Callable[[Tensor], Tensor], codes: Tensor
) -> Callable[[Tensor], Tensor]:
    """Return the function that maps directions v (n, d) to J v, for the Jacobians J at n codes.

    The decoder runs once. A backward pass gives J^T u, which is linear in u, so its own backward
    pass gives J v. (Forward derivatives would do the same, but PyTorch 2 warns about itself when
    it first loads them.)
    """
    with torch.enable_grad():
        codes = codes.requires_grad_()
        images = _decoded(decode, codes)
        u = torch.zeros_like(images, requires_grad=True)
        (pulled_back,) = torch.autograd.grad(images, codes, u, create_graph=True)
    return lambda v: torch.autograd.grad(pulled_back, u, v, retain_graph=True)[0]


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(checks.seed("seed", seed))


def _randn(like: Tensor, generator: torch.Generator) -> Tensor:
    """Draw on the CPU, so that a seed means the same on every device."""
    drawn = torch.randn(like.shape, generator=generator, dtype=like.dtype, device="cpu")
    return drawn.to(like.device)


def _check_latents(name: str, latents: Tensor) -> None:
    checks.tensor(name, latents, ("N", "d"), floating=True)


def _decoded(decode: Callable[[Tensor], Tensor], codes: Tensor) -> Tensor:
    """Decode codes, and check what a function from elsewhere returns."""
    images = checks.tensor("what decode returns", decode(codes), floating=True)
    if images.ndim == 0 or len(images) != len(codes):
        raise ValueError(
            f"what decode returns must be an image for each of {len(codes)} codes, got "
            f"{checks.show(images)}"
        )
    return images
