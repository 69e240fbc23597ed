"""What a model makes of every image of a data set, and its two main scores."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from csae import checks
from csae.data import ImageDataset, batches, to_pixels
from csae.evaluation.fidelity import psnr
from csae.models import Autoencoder, ClassifyingAutoencoder

_UNWRAP = "pass the model that a wrapper holds, such as ._orig_mod of a compiled one"


class Reconstructions(NamedTuple):
    """What an autoencoder makes of a data set of N images.

    Attributes:
        reconstructions: (N, 1, 28, 28) float in [0, 1].
        latents: (N, d) float codes.
    """

    reconstructions: Tensor
    latents: Tensor


class Predictions(NamedTuple):
    """What a CSAE, or another classifying autoencoder, makes of a data set of N images.

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

    Raises:
        ValueError: An argument is something else, or the data set is empty.
    """
    checks.instance("model", model, Autoencoder, _UNWRAP)
    _check_dataset(dataset)
    batch_size = checks.integer("batch_size", batch_size, 1)
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
def predict(model: Autoencoder, dataset: ImageDataset, *, batch_size: int = 500) -> Predictions:
    """Encode, classify and reconstruct every image, in order, in evaluation mode.

    Args:
        model: A `ClassifyingAutoencoder`, in any mode; it is left in the mode it came in.
        dataset: N images.
        batch_size: Images a batch, at least 1; it changes speed and memory, not results.

    Returns:
        Predictions on the CPU.

    Raises:
        ValueError: The model names no classes, or see `reconstruct`.
    """
    checks.instance("model", model, Autoencoder, _UNWRAP)
    if not isinstance(model, ClassifyingAutoencoder):
        raise ValueError(
            f"model must have similarities to classes, as a CSAE has, got {type(model).__name__}; "
            "reconstruct takes a plain autoencoder"
        )
    reconstructions, latents = reconstruct(model, dataset, batch_size=batch_size)
    device = next(model.parameters()).device
    labels = model.similarities(latents.to(device)).argmax(dim=1).cpu()
    return Predictions(labels, reconstructions, latents)


def evaluate(model: Autoencoder, dataset: ImageDataset) -> dict[str, float]:
    """Measure a model on a data set.

    Args:
        model: Any mode; it is left in the mode it came in.
        dataset: Images and labels; for a `ClassifyingAutoencoder` with as many classes as the model
            has.

    Returns:
        ``accuracy``, the fraction classified correctly in 0..1 (a plain autoencoder names no
        classes and has none), and ``psnr`` in dB (see `psnr`).

    Raises:
        ValueError: The data set and the model differ in their number of classes, the data set is
            empty, or an argument is something else.
    """
    checks.instance("model", model, Autoencoder, _UNWRAP)
    _check_dataset(dataset)
    originals = dataset.images.cpu() / 255
    if not isinstance(model, ClassifyingAutoencoder):
        return {"psnr": psnr(originals, reconstruct(model, dataset).reconstructions)}
    if dataset.num_classes != model.num_classes:
        raise ValueError(
            f"dataset has {dataset.num_classes} classes, but the model was built for "
            f"{model.num_classes}"
        )
    checks.labels("dataset.labels", dataset.labels, len(dataset), dataset.num_classes)
    predictions = predict(model, dataset)
    return {
        "accuracy": (predictions.labels == dataset.labels.cpu()).double().mean().item(),
        "psnr": psnr(originals, predictions.reconstructions),
    }


def _check_dataset(dataset: ImageDataset) -> None:
    checks.instance("dataset", dataset, ImageDataset)
    if len(dataset) == 0:
        raise ValueError("dataset must hold at least 1 image, got 0")
