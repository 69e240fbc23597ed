"""The learning-rate range test: how large a rate may be."""

from __future__ import annotations

import copy
import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from csae import checks
from csae.data import ImageDataset, batches
from csae.runtime import resolve_device
from csae.training.config import TrainingConfig
from csae.training.loop import Criterion, check_arguments, loss_of, output_of
from csae.training.machine import Machine, make_fabric, place
from csae.training.optimisation import make_optimizer
from csae.training.order import steps_per_epoch, visiting_order


class RangeTest(NamedTuple):
    """What `range_test` found: n steps, as many as it made.

    Attributes:
        rates: (n,) float64 learning rates, rising.
        losses: (n,) float64 smoothed losses; each includes the loss just before the step of its
            rate.
    """

    rates: Tensor
    losses: Tensor


def range_test(
    model: nn.Module,
    criterion: Criterion,
    dataset: ImageDataset,
    config: TrainingConfig,
    *,
    machine: Machine | None = None,
    lowest: float = 1e-5,
    highest: float = 1.0,
    steps: int = 100,
) -> RangeTest:
    """Train a copy of a model while the learning rate rises from step to step (Smith, 2017).

    Rates rise by the same factor from step to step. Losses are smoothed by an exponential mean
    over some ten steps. The test ends early when the loss is no longer finite, or the smoothed one
    four times its lowest value. It runs on one device, whatever the machine has.

    Equations: range-rates.

    Args:
        model: As for `train`; it is left as it was.
        criterion: As for `train`.
        dataset: The training images.
        config: How to train; ``learning_rate``, ``schedule`` and ``epochs`` are not used.
        machine: What to compute with; this one's fastest device by default.
        lowest: First learning rate, above 0.
        highest: Last one, above ``lowest``.
        steps: How many steps, at least 2.

    Raises:
        ValueError: An argument is out of range, or the batch is larger than the data set, or see
            `train`.
    """
    check_arguments(model, criterion, dataset, config)
    machine = Machine() if machine is None else checks.instance("machine", machine, Machine)
    lowest = checks.number("lowest", lowest, above=0)
    highest = checks.number("highest", highest, above=lowest)
    steps = checks.integer("steps", steps, 2)
    epochs = math.ceil(steps / steps_per_epoch(dataset, config))
    device = resolve_device(machine.accelerator)
    fabric = make_fabric(machine, device, devices=1)
    trial = copy.deepcopy(model).train()
    place(trial, device)
    optimizer = make_optimizer(trial, config)
    prepared, stepper = fabric.setup(trial, optimizer)
    rates = lowest * (highest / lowest) ** (
        torch.arange(steps, device="cpu").double() / (steps - 1)
    )
    orders = [visiting_order(len(dataset), config, epoch + 1).flatten() for epoch in range(epochs)]
    losses: list[float] = []
    mean, keep = 0.0, 0.9
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        drawn = batches(
            dataset,
            config.batch_size,
            device=device,
            order=torch.cat(orders)[: steps * config.batch_size],
            augmentation=config.augmentation,
            image_size=model.image_size,  # type: ignore[arg-type]
        )
        for rate, (images, labels) in zip(rates.tolist(), drawn, strict=True):
            output = output_of(model, prepared, images, labels)
            loss = loss_of(criterion(output, images, labels))
            mean = keep * mean + (1 - keep) * loss.item()
            smoothed = mean / (1 - keep ** (len(losses) + 1))  # as if it had not begun at zero
            if not math.isfinite(smoothed):
                break
            losses.append(smoothed)
            if smoothed > 4 * min(losses):
                break
            for group in optimizer.param_groups:
                group["lr"] = rate
            stepper.zero_grad()
            fabric.backward(loss)
            stepper.step()
    return RangeTest(rates[: len(losses)], torch.tensor(losses, dtype=torch.float64, device="cpu"))
