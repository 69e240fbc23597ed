"""What variational autoencoders are measured in: divergences and likelihoods, in nats.

A pixel is one of the 28x28 of a data set's images, on the scale [0, 1]; the padding is no data, and
no term counts it.

Taught in the chapter on variational autoencoders.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from csae import checks
from csae.data import IMAGE_SIZE

LIKELIHOODS = ("bernoulli", "gaussian", "gaussian-optimal")
_ACTIVE = 0.01  # variance of a dimension's means from which on Burda et al. call it active


def gaussian_divergence(means: Tensor, log_variances: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence of Gaussians from the standard normal.

    Args:
        means: (N, d).
        log_variances: (N, d) natural logarithms of the variances.

    Returns:
        (N,) nats, summed over dimensions; nothing is dropped.

    Raises:
        ValueError: The shapes differ, or a tensor is something else.
    """
    checks.tensor("means", means, ("N", "d"), floating=True, least=0)
    checks.tensor("log_variances", log_variances, floating=True)
    checks.same_shape("means", means, "log_variances", log_variances)
    terms = means.square() + log_variances.exp() - 1 - log_variances
    return terms.sum(dim=1) / 2


def log_likelihood(
    decoded: Tensor, images: Tensor, likelihood: str, variance: Tensor | float = 1.0
) -> Tensor:
    """Return the log-likelihood of images, given what a decoder made of their codes.

    Nothing is dropped. With ``"bernoulli"`` it is minus the cross-entropy of all pixels. Figures
    compare with published ones where images are binary; on grey values it is the usual stand-in,
    and no density. With a Gaussian it is the logarithm of a density of pixels in [0, 1], which may
    well be positive; the 1/2 log(2 pi variance) of each pixel is part of it. On a scale that is s
    times as wide, it is smaller by log(s) for each pixel.

    Args:
        decoded: (N, C, S, S) means of the pixels in [-1, 1], as the networks' images are; for
            ``"bernoulli"`` logits of the probability of white.
        images: (N, C, S, S) in [-1, 1].
        likelihood: One of `LIKELIHOODS`; the two Gaussians differ only in where their variance
            comes from.
        variance: Of each pixel in [0, 1], above 0; a number or a tensor of one.

    Returns:
        (N,) nats, summed over the 28x28 pixels within the padding.

    Raises:
        ValueError: An argument is something else.
    """
    checks.choice("likelihood", likelihood, LIKELIHOODS)
    for name, value in (("decoded", decoded), ("images", images)):
        checks.tensor(name, value, ("N", "C", "S", "S"), floating=True, least=0)
    checks.same_shape("decoded", decoded, "images", images)
    if likelihood == "bernoulli":
        decoded, pixels = _without_padding(decoded), (_without_padding(images) + 1) / 2
        terms = F.binary_cross_entropy_with_logits(decoded, pixels, reduction="none")
        return -terms.flatten(1).sum(dim=1)
    errors = squared_errors(decoded, images)
    if isinstance(variance, Tensor):
        checks.tensor("variance", variance, (), floating=True)
    else:
        variance = errors.new_full((), checks.number("variance", variance, above=0))
    constant = torch.log(2 * math.pi * variance) * errors.shape[1]
    return -(errors.sum(dim=1) / variance + constant) / 2


def active_dimensions(latents: Tensor) -> int:
    """Count the dimensions that a VAE uses: the means of their codes vary by more than 0.01.

    A dimension that the divergence has switched off has the mean 0 for every image (Burda, Grosse
    and Salakhutdinov 2016).

    Args:
        latents: (N, d) means of the codes of N >= 2 images, as ``encode`` returns them.

    Raises:
        ValueError: They are something else.
    """
    checks.tensor("latents", latents, ("N", "d"), floating=True, finite=True)
    if len(latents) < 2:
        raise ValueError(f"latents must be at least 2, got {checks.show(latents)}")
    return int((latents.double().var(dim=0) > _ACTIVE).sum())


def squared_errors(decoded: Tensor, images: Tensor) -> Tensor:
    """Return the squared errors (N, pixels) of pixels on the scale [0, 1]."""
    difference = _without_padding(decoded) - _without_padding(images)
    return (difference / 2).square().flatten(1)


def _without_padding(images: Tensor) -> Tensor:
    """Cut images (N, C, S, S) down to those of a data set."""
    start = max(0, images.shape[-1] - IMAGE_SIZE) // 2
    inside = slice(start, images.shape[-1] - start)
    return images[..., inside, inside]
