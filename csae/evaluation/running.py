"""Calling a model on all images of a data set, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from csae import checks
from csae.data import ImageDataset, batches
from csae.models import Autoencoder

_UNWRAP = "pass the model that a wrapper holds, such as ._orig_mod of a compiled one"

# Images, labels and the rows of the data set that they are; returns tensors of as many rows.
Compute = Callable[[Tensor, Tensor, slice], tuple[Tensor, ...]]


def check_model(model: object) -> Autoencoder:
    """Check a model of this package.

    Raises:
        ValueError: It is something else.
    """
    return checks.instance("model", model, Autoencoder, _UNWRAP)


def check_dataset(model: Autoencoder, dataset: object, *, labelled: bool) -> ImageDataset:
    """Check a data set for a model.

    Args:
        model: The model.
        dataset: The data set.
        labelled: Whether its labels are used, so that the model must have as many classes.

    Raises:
        ValueError: It is none, it is empty, or it has other classes than the model.
    """
    checked = checks.instance("dataset", dataset, ImageDataset)
    if len(checked) == 0:
        raise ValueError("dataset must hold at least 1 image, got 0")
    known = getattr(model, "num_classes", None)
    if labelled and known != checked.num_classes:
        raise ValueError(
            f"dataset has {checked.num_classes} classes, but the model was built for {known}"
        )
    if labelled:
        checks.labels("dataset.labels", checked.labels, len(checked), checked.num_classes)
    return checked


@contextmanager
def evaluating(model: Autoencoder) -> Iterator[None]:
    """Set a model to evaluation mode, and back to the mode it came in."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


@torch.no_grad()
def over_batches(
    model: Autoencoder, dataset: ImageDataset, compute: Compute, *, batch_size: int = 500
) -> list[Tensor]:
    """Compute something of every image, in order, with the model in evaluation mode.

    Args:
        model: Any mode; it is left in the mode it came in.
        dataset: N images.
        compute: Called with each batch's images and labels, on the model's device, and its rows.
        batch_size: Images a batch, at least 1; it changes speed and memory, not results.

    Returns:
        For each tensor that ``compute`` returns, all its rows, on the CPU.

    Raises:
        ValueError: ``batch_size`` is out of range.
    """
    batch_size = checks.integer("batch_size", batch_size, 1)
    device = next(model.parameters()).device
    parts, start = [], 0
    with evaluating(model):
        for images, labels in batches(
            dataset, batch_size, device=device, image_size=model.image_size
        ):
            rows = slice(start, start + len(images))
            parts.append([part.cpu() for part in compute(images, labels, rows)])
            start = rows.stop
    return [torch.cat(part) for part in zip(*parts, strict=True)]
