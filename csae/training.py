"""The training loop: it takes a model, a loss and data without knowing which.

Taught in the chapter on full training.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from csae.data import Augmentation, ImageDataset, batches
from csae.runtime import (
    DEVICES,
    PRECISIONS,
    keep_freed_memory,
    resolve_device,
    resolve_precision,
)

Metrics = dict[str, float]
TIMINGS = ("seconds", "images_per_second")  # the metrics that differ from run to run


@dataclass(frozen=True)
class TrainingConfig:
    """How to train.

    Attributes:
        epochs: Passes over the training images, at least 1.
        batch_size: Images a step, at least 2 (batch normalisation needs two).
        learning_rate: Peak of the one-cycle schedule, positive.
        weight_decay: AdamW's decoupled weight decay, zero or more.
        seed: Chooses order, augmentation and noise. On a CPU the same seed, thread count and
            versions repeat a run bit for bit.
        augmentation: Random changes to the training images.
        device: ``"cpu"``, ``"cuda"``, ``"mps"``, or ``"auto"`` for the fastest one present.
        precision: ``"fp32"``; ``"bf16"`` for bfloat16 autocast; or ``"auto"``, which is bf16
            where the processor computes with it natively.
    """

    epochs: int = 10
    batch_size: int = 256
    learning_rate: float = 4e-3
    weight_decay: float = 1e-2
    seed: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)
    device: str = "auto"
    precision: str = "auto"

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 2), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ValueError(
                f"learning_rate must be a positive, finite number, got {self.learning_rate!r}"
            )
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise ValueError(
                f"weight_decay must be a finite number of at least 0, got {self.weight_decay!r}"
            )
        for name, allowed in (("device", DEVICES), ("precision", PRECISIONS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, got {getattr(self, name)!r}")


def train(
    model: nn.Module,
    criterion: Callable[[Any, Tensor, Tensor], dict[str, Tensor]],
    dataset: ImageDataset,
    config: TrainingConfig,
    *,
    validate: Callable[[nn.Module], Metrics] | None = None,
    on_epoch: Callable[[Metrics], None] | None = None,
    on_step: Callable[[float], None] | None = None,
    progress: bool = True,
) -> list[Metrics]:
    """Train a model in place with AdamW and a one-cycle learning rate.

    Args:
        model: Takes images (N, 1, S, S) in [-1, 1], where S is its attribute ``image_size``. It is
            moved to the chosen device.
        criterion: Takes the model's output, images and labels; returns scalars, among them
            ``loss``, which is minimised.
        dataset: The training images.
        config: How to train.
        validate: Called with the model after each epoch; its metrics join the epoch's.
        on_epoch: Called with each epoch's metrics as soon as they are known.
        on_step: Called before each step with the share of all steps that is done, from 0 to below
            1; for schedules.
        progress: Whether to show a progress bar, on standard error.

    Returns:
        One dictionary an epoch: ``epoch`` from 1, the criterion's scalars averaged over the epoch,
        ``learning_rate`` at its end, ``seconds`` and ``images_per_second`` of its training steps,
        and what ``validate`` returned with ``validation_`` before each name.

    Raises:
        ValueError: The batch is larger than the data set.
        FloatingPointError: The loss is no longer finite.
    """
    device = resolve_device(config.device)
    precision = resolve_precision(config.precision, device)
    steps = len(dataset) // config.batch_size
    if steps == 0:
        raise ValueError(
            f"batch_size must be at most the {len(dataset):,} training images, "
            f"got {config.batch_size}"
        )
    if device.type == "cpu":
        keep_freed_memory()
    # Channels-last is the layout the convolution kernels prefer; it changes speed, not results.
    model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        fused=device.type in ("cpu", "cuda"),
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=config.learning_rate, total_steps=config.epochs * steps
    )
    history: list[Metrics] = []
    measured: Metrics = {}  # on the validation images, after the latest epoch
    with torch.random.fork_rng(), _bar(config, steps, progress) as bar:
        torch.manual_seed(config.seed)
        for epoch in range(1, config.epochs + 1):
            model.train()
            bar.set_description(f"epoch {epoch}/{config.epochs}")
            sums: dict[str, Tensor] = {}
            start, shown = time.perf_counter(), 0.0
            drawn = batches(
                dataset,
                config.batch_size,
                device=device,
                shuffle=True,
                augmentation=config.augmentation,
                image_size=model.image_size,  # type: ignore[arg-type]
            )
            for step, (images, labels) in enumerate(drawn, start=1):
                if on_step is not None:
                    on_step(((epoch - 1) * steps + step - 1) / (config.epochs * steps))
                with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                    output = model(images)
                terms = criterion(output, images, labels)
                optimizer.zero_grad()
                terms["loss"].backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
                for name, term in terms.items():  # summed on the device: no waiting in the step
                    sums[name] = sums[name] + term.detach() if name in sums else term.detach()
                if progress and time.perf_counter() - shown > 1:  # reading a sum waits for it
                    shown = time.perf_counter()
                    so_far = {name: float(total / step) for name, total in sums.items()}
                    bar.set_postfix_str(summary(measured | so_far), refresh=False)
                bar.update(len(images))
            metrics: Metrics = {"epoch": epoch}
            metrics.update({name: float(total / steps) for name, total in sums.items()})
            seconds = time.perf_counter() - start
            if not math.isfinite(metrics["loss"]):
                raise FloatingPointError(
                    f"the loss is {metrics['loss']} after epoch {epoch}: try a learning_rate below "
                    f"{config.learning_rate:g}"
                )
            metrics["learning_rate"] = float(schedule.get_last_lr()[0])
            if validate is not None:
                measured = {f"validation_{k}": v for k, v in validate(model).items()}
                metrics |= measured
            metrics |= {
                "seconds": seconds,
                "images_per_second": steps * config.batch_size / seconds,
            }
            history.append(metrics)
            bar.set_postfix_str(summary({k: v for k, v in metrics.items() if k not in TIMINGS}))
            if on_epoch is not None:
                on_epoch(metrics)
    return history


def summary(metrics: Metrics) -> str:
    """One line on an epoch: losses, then what was measured on the validation images."""
    others = ("epoch", "learning_rate", *TIMINGS)
    losses = [name for name in metrics if name not in others and "validation_" not in name]
    parts = [f"{name} {metrics[name]:.4f}" for name in losses]
    if "validation_accuracy" in metrics:
        parts.append(f"validation accuracy {metrics['validation_accuracy']:.2%}")
    if "validation_psnr" in metrics:
        parts.append(f"PSNR {metrics['validation_psnr']:.2f} dB")
    if "images_per_second" in metrics:
        parts.append(f"{metrics['images_per_second']:,.0f} images/s")
    return ", ".join(parts)


def _bar(config: TrainingConfig, steps: int, progress: bool) -> tqdm:
    return tqdm(
        total=config.epochs * steps * config.batch_size,
        unit=" images",
        disable=not progress,
        mininterval=0.5,
        dynamic_ncols=True,
    )
