"""What the machine can do, and where a step of `csae.train` spends its time.

Each of the functions returns a call for `benchmarks.processes`.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from torch.utils.flop_counter import FlopCounterMode

import csae
from benchmarks.contenders import WARM_UP_STEPS, Task, first
from csae.data import prepare
from csae.runtime import finish

MATRIX = 4096  # height and width of the matrices whose product is timed
COPIED_NUMBERS = 2**26  # 256 MB of float32, far more than a cache holds
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
PHASES = ("data", "forward", "loss", "backward", "optimiser")


def matrix_product(precision: str, accelerator: str = "cpu") -> Callable[[], None]:
    """Multiply two large square matrices."""
    left = torch.randn(MATRIX, MATRIX).to(accelerator, DTYPES[precision])
    right, result = left.T.contiguous(), torch.empty_like(left)

    def multiply() -> None:
        torch.mm(left, right, out=result)
        finish()

    multiply()  # the first time, the kernel is compiled
    return multiply


def copying(accelerator: str = "cpu") -> Callable[[], None]:
    """Copy a large tensor."""
    source = torch.ones(COPIED_NUMBERS, device=accelerator)
    target = torch.zeros_like(source)

    def copy() -> None:
        target.copy_(source)
        finish()

    return copy


def flops_per_image(task: Task, images: int = 64) -> float:
    """Count what matrix products and convolutions compute in training, forward and backward.

    A multiplication with its addition counts as two.
    """
    model, criterion = task.build()
    dataset = first(task.dataset(), images)
    with FlopCounterMode(display=False) as counter:
        batch = prepare(dataset.images)
        criterion(model(batch), batch, dataset.labels)["loss"].backward()
    return counter.get_total_flops() / images


class Stopwatch:
    """Follows `csae.train` through the phases of its steps, from the outside.

    ``data`` goes from the end of one update to the moment the next batch is there, so it includes
    the loop's own bookkeeping. ``backward`` begins with the clearing of the gradients.
    """

    def __init__(self) -> None:
        self.laps: dict[str, list[float]] = {phase: [] for phase in PHASES}
        self.phase, self._since = "data", time.perf_counter()

    @property
    def warm(self) -> bool:
        """Whether the first steps are over."""
        return len(self.laps["optimiser"]) >= WARM_UP_STEPS

    def enter(self, phase: str) -> None:
        """Note that another phase begins, once the device is through with the one before."""
        finish()
        now = time.perf_counter()
        self.laps[self.phase].append(now - self._since)
        self.phase, self._since = phase, now

    @contextmanager
    def on_optimizers(self) -> Iterator[None]:
        """Listen to the updates of any optimiser."""
        handles = (
            register_optimizer_step_pre_hook(lambda *_: self.enter("optimiser")),
            register_optimizer_step_post_hook(lambda *_: self.enter("data")),
        )
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def follow(task: Task, precision: str, watch: Stopwatch) -> None:
    """Train one epoch under a stopwatch."""
    model, criterion = task.build()

    def timed(*arguments: Any) -> dict[str, Tensor]:
        watch.enter("loss")
        terms = criterion(*arguments)
        watch.enter("backward")
        return terms

    with watch.on_optimizers():
        csae.train(
            model,
            timed,
            task.dataset(),
            task.settings(),
            machine=task.machine(precision),
            on_step=lambda _: watch.enter("forward"),
            progress=False,
        )


def phases(task: Task, precision: str) -> Callable[[], dict[str, list[float]]]:
    """Time the phases of each step; the first steps are left out."""

    def measure() -> dict[str, list[float]]:
        watch = Stopwatch()
        follow(task, precision, watch)
        return {phase: laps[WARM_UP_STEPS:] for phase, laps in watch.laps.items()}

    return measure
