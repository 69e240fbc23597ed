"""What a model makes of every image of a data set, and its two main scores."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from csae.data import ImageDataset, to_pixels
from csae.evaluation.bounds import class_bounds
from csae.evaluation.fidelity import psnr
from csae.evaluation.running import check_dataset, check_model, over_batches
from csae.models import Autoencoder, ClassifyingAutoencoder, ConditionalVAE, check_decodes


class Reconstructions(NamedTuple):
    """What an autoencoder makes of a data set of N images.

    Attributes:
        reconstructions: (N, 1, 28, 28) float in [0, 1].
        latents: (N, d) float codes.
    """

    reconstructions: Tensor
    latents: Tensor


class Predictions(NamedTuple):
    """What a CSAE, or another model that names classes, makes of a data set of N images.

    Attributes:
        labels: (N,) int64, the predicted classes.
        reconstructions: (N, 1, 28, 28) float in [0, 1].
        latents: (N, d) float codes.
    """

    labels: Tensor
    reconstructions: Tensor
    latents: Tensor


def encode(model: Autoencoder, dataset: ImageDataset, *, batch_size: int = 500) -> Tensor:
    """Encode every image, in order, in evaluation mode.

    Args:
        model: Any mode; it is left in the mode it came in. Of a VAE it is the means of the codes;
            one that takes labels is told those of the data set.
        dataset: N images.
        batch_size: Images a batch, at least 1; it changes speed and memory, not results.

    Returns:
        Codes (N, d) on the CPU.

    Raises:
        ValueError: An argument is something else, or the data set is empty or has other classes
            than a model that takes labels.
    """
    dataset = check_dataset(check_model(model), dataset, labelled=model.takes_labels)

    def compute(images: Tensor, labels: Tensor, rows: slice) -> tuple[Tensor]:
        return (model.encode(images, *_given(model, labels)),)

    (latents,) = over_batches(model, dataset, compute, batch_size=batch_size)
    return latents


def reconstruct(
    model: Autoencoder, dataset: ImageDataset, *, batch_size: int = 500
) -> Reconstructions:
    """Encode and reconstruct every image, in order, in evaluation mode.

    Args:
        model: Any mode; it is left in the mode it came in. Of a VAE the means of the codes are
            decoded. One that takes labels is told those of the data set.
        dataset: N images.
        batch_size: Images a batch, at least 1; it changes speed and memory, not results.

    Returns:
        Reconstructions and codes on the CPU.

    Raises:
        ValueError: An argument is something else, the model has no decoder, or see `encode`.
    """
    check_decodes(check_model(model))
    dataset = check_dataset(model, dataset, labelled=model.takes_labels)

    def compute(images: Tensor, labels: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
        given = _given(model, labels)
        latents = model.encode(images, *given)
        return to_pixels(model.decode(latents, *given)), latents

    return Reconstructions(*over_batches(model, dataset, compute, batch_size=batch_size))


def classify(model: Autoencoder, dataset: ImageDataset, *, batch_size: int = 500) -> Tensor:
    """Name the class of every image, in order, in evaluation mode.

    A `ClassifyingAutoencoder` takes the largest similarity, a `csae.models.ConditionalVAE` the
    largest bound, which is not told the labels.

    Args:
        model: One that names classes, in any mode; it is left in the mode it came in.
        dataset: N images.
        batch_size: Images a batch, at least 1; it changes speed and memory, not results.

    Returns:
        (N,) int64 on the CPU.

    Raises:
        ValueError: The model names no classes, or see `encode`.
    """
    _check_classifies(model)
    dataset = check_dataset(model, dataset, labelled=False)
    if isinstance(model, ConditionalVAE):
        return class_bounds(model, dataset, batch_size=batch_size).argmax(dim=1)
    return _nearest(model, encode(model, dataset, batch_size=batch_size))


def predict(model: Autoencoder, dataset: ImageDataset, *, batch_size: int = 500) -> Predictions:
    """Encode, classify and reconstruct every image, in order, in evaluation mode.

    Args:
        model: One that names classes and decodes, in any mode; it is left in the mode it came in.
        dataset: N images.
        batch_size: Images a batch, at least 1; it changes speed and memory, not results.

    Returns:
        Predictions on the CPU.

    Raises:
        ValueError: The model names no classes, or see `reconstruct`.
    """
    _check_classifies(model)
    reconstructions, latents = reconstruct(model, dataset, batch_size=batch_size)
    if isinstance(model, ConditionalVAE):
        labels = classify(model, dataset, batch_size=batch_size)
    else:
        labels = _nearest(model, latents)
    return Predictions(labels, reconstructions, latents)


def evaluate(model: Autoencoder, dataset: ImageDataset) -> dict[str, float]:
    """Measure a model on a data set.

    Args:
        model: Any mode; it is left in the mode it came in.
        dataset: Images and labels; for a model that names classes with as many classes as the model
            has.

    Returns:
        ``accuracy``, the fraction classified correctly in 0..1, of a model that names classes (see
        `classify`); and ``psnr`` in dB (see `psnr`), of one that decodes.

    Raises:
        ValueError: The data set and the model differ in their number of classes, the data set is
            empty, or an argument is something else.
    """
    dataset = check_dataset(check_model(model), dataset, labelled=model.classifies)
    result: dict[str, float] = {}
    reconstructions = labels = None
    if model.classifies and model.decodes:
        labels, reconstructions, _ = predict(model, dataset)
    elif model.classifies:
        labels = classify(model, dataset)
    else:
        reconstructions = reconstruct(model, dataset).reconstructions
    if labels is not None:
        result["accuracy"] = (labels == dataset.labels.cpu()).double().mean().item()
    if reconstructions is not None:
        result["psnr"] = psnr(dataset.images.cpu() / 255, reconstructions)
    return result


def _check_classifies(model: object) -> None:
    if not check_model(model).classifies:
        raise ValueError(
            f"model must name classes, as a CSAE does, got {type(model).__name__}; reconstruct "
            "takes a plain autoencoder"
        )


def _nearest(model: Autoencoder, latents: Tensor) -> Tensor:
    """Return the classes (N,) of the largest similarities of codes (N, d), on the CPU."""
    assert isinstance(model, ClassifyingAutoencoder)
    device = next(model.parameters()).device
    return model.similarities(latents.to(device)).argmax(dim=1).cpu()


def _given(model: Autoencoder, labels: Tensor) -> tuple[Tensor, ...]:
    """Return what a model takes beside images or codes."""
    return (labels,) if model.takes_labels else ()
