"""Which images a step takes: an order that depends on the seed and the epoch only."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from csae import checks
from csae.data import ImageDataset
from csae.training.config import TrainingConfig


def visiting_order(count: int, config: TrainingConfig, epoch: int) -> Tensor:
    """Return the rows that an epoch visits, a row a batch: (steps, batch_size) int64.

    It depends on the seed and the epoch only. Images that do not fill a last batch are left out, so
    that batch normalisation always sees a full batch, and so are those beyond
    ``images_per_epoch``; different ones in each epoch.

    Args:
        count: Images in the data set, at least ``config.batch_size``.
        config: How to train.
        epoch: From 1.

    Raises:
        ValueError: An argument is out of range.
    """
    checks.instance("config", config, TrainingConfig)
    count = checks.integer("count", count, config.batch_size)
    epoch = checks.integer("epoch", epoch, 1)
    # PyTorch's generator heeds 32 bits of a seed: NumPy makes them of both numbers.
    mixed = np.random.SeedSequence((config.seed, epoch)).generate_state(1)
    generator = torch.Generator().manual_seed(int(mixed[0]))
    steps = _steps(count, config)
    order = torch.randperm(count, generator=generator, device="cpu")
    return order[: steps * config.batch_size].view(steps, config.batch_size)


def steps_per_epoch(dataset: ImageDataset, config: TrainingConfig) -> int:
    """Return the steps of an epoch: its full batches.

    Raises:
        ValueError: The batch is larger than the data set, or an argument is something else.
    """
    checks.instance("dataset", dataset, ImageDataset)
    checks.instance("config", config, TrainingConfig)
    if config.batch_size > len(dataset):
        raise ValueError(
            f"batch_size must be at most the {len(dataset):,} training images, "
            f"got {config.batch_size}"
        )
    return _steps(len(dataset), config)


def _steps(count: int, config: TrainingConfig) -> int:
    return min(count, config.images_per_epoch or count) // config.batch_size
