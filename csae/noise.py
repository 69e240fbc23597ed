"""Gaussian noise on latent codes, during training only; what it does, and measures of that.

Taught in the chapter on noise injection. This module stands below the rest of the package.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import torch
from torch import Tensor, nn

from csae.distributed import own_rows

SHAPES = ("linear", "cosine")
_CHUNK = 100  # codes decoded at a time: bounds memory, changes no result


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
        _check_at_least_zero("std", value)
        self._std = value

    def forward(self, latents: Tensor) -> Tensor:
        """Return ``latents``, of any shape, with noise added in training mode."""
        if not self.training or self.std == 0:
            return latents
        dtype, device = latents.dtype, latents.device
        shape = latents.shape[1:]
        noise = own_rows(
            lambda rows: torch.randn((rows, *shape), dtype=dtype, device=device), len(latents)
        )
        return latents + self.std * noise

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
        _check_at_least_zero("start", self.start)
        _check_at_least_zero("end", self.end)
        if self.shape not in SHAPES:
            raise ValueError(f"shape must be one of {SHAPES}, got {self.shape!r}")

    def std(self, progress: float) -> float:
        """Return the standard deviation at some progress of training, from 0 to 1.

        Raises:
            ValueError: ``progress`` is out of range.
        """
        if not 0 <= progress <= 1:
            raise ValueError(f"progress must be in 0..1, got {progress!r}")
        done = progress if self.shape == "linear" else (1 - math.cos(math.pi * progress)) / 2
        return (1 - done) * self.start + done * self.end

    def __call__(self, progress: float) -> None:
        """Set the noise for some progress of training, from 0 to 1."""
        self.noise.std = self.std(progress)


def closest_distance(centroids: Tensor) -> float:
    """Return the distance between the two closest of K centroids (K, d), K >= 2.

    Raises:
        ValueError: The centroids have another shape.
    """
    if centroids.ndim != 2 or len(centroids) < 2:
        raise ValueError(
            f"centroids must have shape (K, d) with K >= 2, got {tuple(centroids.shape)}"
        )
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
    _check_at_least_zero("std", std)
    _check_positive("distance", distance)
    if not isinstance(num_classes, int) or num_classes < 2:
        raise ValueError(f"num_classes must be an integer of at least 2, got {num_classes!r}")
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
    own = torch.linspace(-apart - 12, 12, 20_001, dtype=torch.float64)  # noise on the own axis
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
    if not 0 < probability < 0.5:
        raise ValueError(
            f"probability must be between 0 and 0.5, both excluded, got {probability!r}"
        )
    _check_positive("distance", distance)
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
        ValueError: ``latents`` is not two-dimensional and floating-point, or ``probes`` is below 1.
    """
    _check_latents(latents)
    if probes is not None and probes < 1:
        raise ValueError(f"probes must be at least 1, got {probes!r}")
    generator = torch.Generator().manual_seed(seed)
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
    _check_latents(latents)
    _check_positive("std", std)
    if draws < 1:
        raise ValueError(f"draws must be at least 1, got {draws!r}")
    if len(images) != len(latents):
        raise ValueError(f"images must be as many as the {len(latents)} codes, got {len(images)}")
    generator = torch.Generator().manual_seed(seed)
    spreads, curvatures = [], []
    for codes, wanted in zip(
        torch.split(latents, _CHUNK), torch.split(images, _CHUNK), strict=True
    ):
        quiet = decode(codes).double()
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
    _check_at_least_zero("logit_std", logit_std)
    if probabilities.ndim != 2:
        raise ValueError(f"probabilities must have shape (N, K), got {tuple(probabilities.shape)}")
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
    _check_latents(start)
    if end.shape != start.shape:
        raise ValueError(f"end must have the shape of start {tuple(start.shape)}, got {end.shape}")
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps!r}")
    moved = []
    before = decode(start)
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
        images = decode(codes)
        u = torch.zeros_like(images, requires_grad=True)
        (pulled_back,) = torch.autograd.grad(images, codes, u, create_graph=True)
    return lambda v: torch.autograd.grad(pulled_back, u, v, retain_graph=True)[0]


def _randn(like: Tensor, generator: torch.Generator) -> Tensor:
    """Draw on the CPU, so that a seed means the same on every device."""
    return torch.randn(like.shape, generator=generator, dtype=like.dtype).to(like.device)


def _check_latents(latents: Tensor) -> None:
    if latents.ndim != 2 or not latents.is_floating_point():
        raise ValueError(
            f"latents must be floating-point of shape (N, d), got {latents.dtype} of shape "
            f"{tuple(latents.shape)}"
        )


def _check_at_least_zero(name: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name} must be a finite number of at least 0, got {value!r}")


def _check_positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a positive, finite number, got {value!r}")
