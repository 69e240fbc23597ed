"""Batches drawn from a data set."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from csae import checks
from csae.data.augmentation import Augmentation
from csae.data.images import PADDED_SIZE, ImageDataset, even_size, prepare


def batches(
    dataset: ImageDataset,
    batch_size: int,
    *,
    device: torch.device | str = "cpu",
    order: Tensor | None = None,
    augmentation: Augmentation | None = None,
    image_size: int = PADDED_SIZE,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield prepared batches.

    The uint8 images of a batch are gathered where the data set lies, and moved to ``device``, where
    they are padded, scaled and augmented. Random numbers come from PyTorch's global generator, so
    ``torch.manual_seed`` repeats them.

    Args:
        dataset: The images and labels: on ``device`` or in main memory.
        batch_size: Images a batch, at least 1; the last batch may hold fewer.
        device: Where the batches go.
        order: (n,) int64 rows of the data set, in the order of the visit; by default all of them,
            from the first to the last.
        augmentation: Random changes to each image.
        image_size: Height and width of the batches' images, see `prepare`.

    Yields:
        Images (n, 1, image_size, image_size) float32 in [-1, 1] and labels (n,) int64, on
        ``device``.

    Raises:
        ValueError: An argument is of another type or out of range; at once, before the first batch.
    """
    checks.instance("dataset", dataset, ImageDataset)
    batch_size = checks.integer("batch_size", batch_size, 1)
    image_size = even_size(image_size)
    if augmentation is not None:
        checks.function("augmentation", augmentation)
    if order is not None:
        order = _checked_order(order, len(dataset)).to(dataset.images.device)
    return _batches(dataset, batch_size, _device(device), order, augmentation, image_size)


def _batches(
    dataset: ImageDataset,
    batch_size: int,
    device: torch.device,
    order: Tensor | None,
    augmentation: Augmentation | None,
    image_size: int,
) -> Iterator[tuple[Tensor, Tensor]]:
    for start in range(0, len(dataset) if order is None else len(order), batch_size):
        rows: slice | Tensor = slice(start, start + batch_size)
        if order is not None:
            rows = order[rows]
        images, labels = _move(dataset.images[rows], device), _move(dataset.labels[rows], device)
        batch = prepare(images, image_size)
        yield (augmentation(batch) if augmentation else batch), labels


def _move(part: Tensor, device: torch.device) -> Tensor:
    """Copy to the device, without waiting for the copy where the device allows it."""
    if part.device.type == "cpu" and device.type == "cuda":
        part = part.pin_memory()
    return part.to(device, non_blocking=True)


def _checked_order(order: Tensor, count: int) -> Tensor:
    checks.tensor("order", order, ("n",), dtype=torch.int64, least=0)
    if len(order) and (order.min() < 0 or order.max() >= count):
        raise ValueError(
            f"order must be rows from 0 to {count - 1:,}, got some from {int(order.min()):,} to "
            f"{int(order.max()):,}"
        )
    return order


def _device(device: torch.device | str) -> torch.device:
    try:
        return torch.device(device)
    except (RuntimeError, TypeError):
        raise ValueError(
            f"device must be one of PyTorch's, such as 'cpu' or 'cuda', got {checks.show(device)}"
        ) from None
