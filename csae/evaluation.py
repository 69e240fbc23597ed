"""How well a model classifies and reconstructs images it was not trained on."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

import torch
from scipy import special
from torch import Tensor

from csae.data import ImageDataset, batches, to_pixels
from csae.networks import CSAE, Autoencoder


class Reconstructions(NamedTuple):
    """What an autoencoder makes of a data set of N images.

    Attributes:
        reconstructions: (N, 1, 28, 28) float in [0, 1].
        latents: (N, d) float codes.
    """

    reconstructions: Tensor
    latents: Tensor


class Predictions(NamedTuple):
    """What a CSAE makes of a data set of N images.

    Attributes:
        labels: (N,) int64, the predicted classes.
        reconstructions: (N, 1, 28, 28) float in [0, 1].
        latents: (N, d) float codes.
    """

    labels: Tensor
    reconstructions: Tensor
    latents: Tensor


@torch.no_grad()
def reconstruct(
    model: Autoencoder, dataset: ImageDataset, *, batch_size: int = 500
) -> Reconstructions:
    """Encode and reconstruct every image, in order, in evaluation mode.

    Args:
        model: Any mode; it is left in the mode it came in.
        dataset: N images.
        batch_size: Images a batch, at least 1; it changes speed and memory, not results.

    Returns:
        Reconstructions and codes on the CPU.
    """
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    try:
        parts = []
        for images, _ in batches(dataset, batch_size, device=device, image_size=model.image_size):
            latents = model.encode(images)
            parts.append((to_pixels(model.decode(latents)).cpu(), latents.cpu()))
    finally:
        model.train(was_training)
    return Reconstructions(*(torch.cat(part) for part in zip(*parts, strict=True)))


@torch.no_grad()
def predict(model: CSAE, dataset: ImageDataset, *, batch_size: int = 500) -> Predictions:
    """Encode, classify and reconstruct every image, in order, in evaluation mode.

    Args:
        model: Any mode; it is left in the mode it came in.
        dataset: N images.
        batch_size: Images a batch, at least 1; it changes speed and memory, not results.

    Returns:
        Predictions on the CPU.
    """
    reconstructions, latents = reconstruct(model, dataset, batch_size=batch_size)
    labels = model.similarities(latents.to(model.centroids.device)).argmax(dim=1).cpu()
    return Predictions(labels, reconstructions, latents)


def evaluate(model: Autoencoder, dataset: ImageDataset) -> dict[str, float]:
    """Measure a model on a data set.

    Args:
        model: Any mode; it is left in the mode it came in.
        dataset: Images and labels; for a CSAE with as many classes as the model has.

    Returns:
        ``accuracy``, the fraction classified correctly in 0..1 (of a CSAE; a plain autoencoder
        names no classes), and ``psnr`` in dB (see `psnr`).

    Raises:
        ValueError: The data set and the model differ in their number of classes.
    """
    originals = dataset.images / 255
    if not isinstance(model, CSAE):
        return {"psnr": psnr(originals, reconstruct(model, dataset).reconstructions)}
    if dataset.num_classes != model.num_classes:
        raise ValueError(
            f"dataset has {dataset.num_classes} classes, but the model was built for "
            f"{model.num_classes}"
        )
    predictions = predict(model, dataset)
    return {
        "accuracy": (predictions.labels == dataset.labels).double().mean().item(),
        "psnr": psnr(originals, predictions.reconstructions),
    }


def psnr(images: Tensor, reconstructions: Tensor) -> float:
    """Peak signal-to-noise ratio of a whole set of images.

    It is 10 log10(1 / MSE), with the mean squared error taken over all pixels of all images. The
    mean of the single images' ratios, which others report, is never lower.

    Args:
        images: Any shape, in [0, 1].
        reconstructions: The same shape, in [0, 1].

    Returns:
        The ratio in dB; infinite when the two are equal.
    """
    error = (images.double() - reconstructions.double()).square().mean().item()
    return math.inf if error == 0 else -10 * math.log10(error)


def accuracy_interval(accuracy: float, count: int) -> tuple[float, float]:
    """95 % interval of an accuracy measured on a sample of images (Wilson 1927).

    It covers the choice of the test images only: another seed moves the accuracy further.

    Args:
        accuracy: Fraction correct, in 0..1.
        count: Number of images, at least 1.

    Returns:
        Lower and upper bound, in 0..1.

    Raises:
        ValueError: An argument is out of range.
    """
    if not 0 <= accuracy <= 1:
        raise ValueError(f"accuracy must be in 0..1, got {accuracy!r}")
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count!r}")
    z = 1.959964  # 97.5 % quantile of the normal distribution
    centre = (accuracy + z**2 / (2 * count)) / (1 + z**2 / count)
    spread = math.sqrt(accuracy * (1 - accuracy) / count + (z / (2 * count)) ** 2)
    half = z * spread / (1 + z**2 / count)
    return max(0.0, centre - half), min(1.0, centre + half)


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean over seeds with its 95 % interval (Student 1908).

    It takes the seeds for a sample from a normal distribution. With three seeds the interval is
    2.5 standard deviations to each side, with two it is 9: two runs say little about a third.

    Args:
        values: One measured value a seed, at least two.

    Returns:
        Mean, lower and upper bound.

    Raises:
        ValueError: There are fewer than two values.
    """
    count = len(values)
    if count < 2:
        raise ValueError(f"values must hold at least 2 numbers, got {count}")
    mean = statistics.mean(values)
    half = special.stdtrit(count - 1, 0.975) * statistics.stdev(values) / math.sqrt(count)
    return mean, mean - half, mean + half


def confusion_matrix(labels: Tensor, predicted: Tensor, num_classes: int) -> Tensor:
    """Count images by true class (row) and predicted class (column).

    Args:
        labels: (N,) int64 in 0..K-1.
        predicted: (N,) int64 in 0..K-1.
        num_classes: Number of classes K.

    Returns:
        (K, K) int64 counts that sum to N.
    """
    pairs = labels * num_classes + predicted
    return torch.bincount(pairs, minlength=num_classes**2).view(num_classes, num_classes)
