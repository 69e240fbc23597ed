"""Whether a classifier is as sure as it is right."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from csae import checks

BINS = 15


def class_probabilities(similarities: Tensor, scale: float) -> Tensor:
    """Return the probabilities that a model states: the softmax of scaled similarities.

    Args:
        similarities: (N, K) of codes to classes; finite.
        scale: The factor that makes them logits, positive: in training,
            `csae.losses.CentroidCrossEntropy.scale`.

    Returns:
        (N, K) float64; rows sum to 1.

    Raises:
        ValueError: An argument is something else.
    """
    checks.tensor("similarities", similarities, ("N", "K"), floating=True, finite=True)
    scale = checks.number("scale", scale, above=0)
    return (scale * similarities.detach().cpu().double()).softmax(dim=1)


def calibration_error(probabilities: Tensor, labels: Tensor, bins: int = BINS) -> float:
    """Expected calibration error (Naeini, Cooper and Hauskrecht 2015; Guo et al. 2017).

    Images are sorted into bins of equal width by the largest probability; the error is the mean
    difference between that probability and the accuracy in the bin, weighted by the bin's images.

    Smoothed labels ask for less than certainty, so that a model trained with them is less sure than
    it is right; see `fitted_temperature`.

    Args:
        probabilities: (N, K) in 0..1, rows that sum to 1, K at least 2.
        labels: (N,) int64 in 0..K-1.
        bins: Number of bins, at least 1.

    Returns:
        The error, between 0 and 1.

    Raises:
        ValueError: An argument is something else.
    """
    checks.tensor("probabilities", probabilities, ("N", "K"), floating=True, finite=True)
    count, classes = probabilities.shape
    if classes < 2:
        raise ValueError(
            f"probabilities must be of at least 2 classes, got {checks.show(probabilities)}"
        )
    if probabilities.min() < 0 or not (probabilities.sum(dim=1) - 1).abs().le(1e-4).all():
        raise ValueError("probabilities must be at least 0, and each row must sum to 1")
    checks.labels("labels", labels, count, classes)
    bins = checks.integer("bins", bins, 1)
    sure, named = probabilities.detach().cpu().double().max(dim=1)
    bin_of = (sure * bins).ceil().long().clamp(1, bins) - 1  # open below, closed above
    # In each bin the accuracy less the mean probability, times the bin's images.
    gaps = torch.zeros(bins, dtype=torch.float64)
    gaps.index_add_(0, bin_of, (named == labels.cpu()).double() - sure)
    return gaps.abs().sum().item() / count


def fitted_temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature, by which logits are divided, of the least cross-entropy.

    Temperature scaling (Guo et al. 2017) changes how sure a model is, never which class it names.
    Fit it on other images than those on which the calibration error is measured.

    Args:
        logits: (N, K) finite.
        labels: (N,) int64 in 0..K-1.

    Returns:
        The temperature, between 0.01 and 100.

    Raises:
        ValueError: An argument is something else.
    """
    checks.tensor("logits", logits, ("N", "K"), floating=True, finite=True)
    checks.labels("labels", labels, *logits.shape)
    logits, labels = logits.detach().cpu().double(), labels.cpu()
    # Not at the top: it takes half a second to import.
    from scipy.optimize import minimize_scalar

    def cross_entropy(log_temperature: float) -> float:
        return F.cross_entropy(logits / math.exp(log_temperature), labels).item()

    bound = math.log(100)
    found = minimize_scalar(cross_entropy, bounds=(-bound, bound), method="bounded")
    return math.exp(found.x)


def calibration_measures(
    logits: Tensor, labels: Tensor, others: tuple[Tensor, Tensor] | None = None
) -> dict[str, float]:
    """Return the calibration error by name, as trained and after a temperature was fitted.

    Args:
        logits: (N, K) of the images to measure on.
        labels: (N,) int64, their classes.
        others: Logits (M, K) and labels (M,) of other images to fit the temperature on; without
            them no temperature is fitted.

    Returns:
        ``calibration_error``, and ``temperature`` and ``calibration_error_tempered``.

    Raises:
        ValueError: An argument is something else.
    """
    probabilities = class_probabilities(logits, 1.0)
    measures = {"calibration_error": calibration_error(probabilities, labels)}
    if others is not None:
        temperature = fitted_temperature(*others)
        probabilities = class_probabilities(logits, 1 / temperature)
        measures["temperature"] = temperature
        measures["calibration_error_tempered"] = calibration_error(probabilities, labels)
    return measures
