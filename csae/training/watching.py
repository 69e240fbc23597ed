"""What a run shows, keeps and heeds while it goes on.

Progress, the state on disk, Ctrl-C, and a loss that is no longer finite.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from tqdm import tqdm

from csae.progress import bar
from csae.runtime import counted
from csae.training.config import TrainingConfig
from csae.training.state import Metrics, TrainingState

if TYPE_CHECKING:
    from lightning_fabric import Fabric

TIMINGS = ("seconds", "images_per_second")  # the metrics that differ from run to run
_LOOK_EVERY = 1.0  # seconds between two looks at the loss: reading it waits for the device


class Watch:
    """Looks after a run: call `begin_epoch`, `step` and `end_epoch` as it goes on.

    Args:
        state: The run's state.
        config: How it trains.
        fabric: Its processes; only the first one shows and saves.
        steps: Steps of an epoch.
        interrupt: Set when the run should end after the current step.
        state_file: Where the state is kept, or None.
        save_every: Seconds between two savings inside an epoch.
        shown: The progress bar.
    """

    def __init__(
        self,
        state: TrainingState,
        config: TrainingConfig,
        fabric: Fabric,
        steps: int,
        interrupt: threading.Event,
        state_file: Path | None,
        save_every: float,
        shown: tqdm,
    ) -> None:
        self._state, self._config, self._fabric = state, config, fabric
        self._interrupt, self._file, self._save_every = interrupt, state_file, save_every
        self._bar = shown
        self._looked = self._saved = self._started = time.perf_counter()
        shown.update(((state.epoch - 1) * steps + state.step) * config.batch_size)

    def begin_epoch(self) -> None:
        """Name the epoch, and start its clock, or let it go on where the state left it."""
        epoch = f"epoch {self._state.epoch}/{self._config.epochs}"
        if self._state.device.type == "cpu":
            epoch += f", {counted(torch.get_num_threads(), 'thread')}"
        self._bar.set_description(epoch)
        self._started = time.perf_counter() - self._state.seconds

    def step(self) -> None:
        """Count one step; now and then, look at the loss and keep the state.

        Raises:
            FloatingPointError: The loss is no longer finite.
            KeyboardInterrupt: Somebody asked for an end; the state is kept.
        """
        self._bar.update(self._config.batch_size)
        now, asked = time.perf_counter(), self._interrupt.is_set()
        if not asked and now - self._looked <= _LOOK_EVERY:
            return
        self._looked, self._state.seconds = now, now - self._started
        means = self._finite_means()
        self._bar.set_postfix_str(summary(_last_measured(self._state) | means), False)
        if asked or now - self._saved > self._save_every:
            self.save()
        if asked:
            raise KeyboardInterrupt

    def finish_steps(self) -> None:
        """Stop the epoch's clock and look at the loss."""
        self._state.seconds = time.perf_counter() - self._started
        self._finite_means()

    def end_epoch(self, metrics: Metrics) -> None:
        """Show the epoch's metrics and keep the state.

        Raises:
            KeyboardInterrupt: Somebody asked for an end.
        """
        shown = {name: value for name, value in metrics.items() if name not in TIMINGS}
        self._bar.set_postfix_str(summary(shown))
        self.save()
        if self._interrupt.is_set():
            raise KeyboardInterrupt

    def save(self) -> None:
        """Keep the state, in the first process, if it is to be kept."""
        self._saved = time.perf_counter()
        if self._file is None or not self._fabric.is_global_zero:
            return
        try:
            self._state.save(self._file)
        except OSError as error:
            raise OSError(
                error.errno,
                f"the state of the run could not be saved ({error.strerror}). Make room and "
                "resume: an earlier state, if there was one, is still there",
                str(self._file),
            ) from error

    def _finite_means(self) -> Metrics:
        """Return the means of the epoch's scalars so far.

        Raises:
            FloatingPointError: The loss is not finite, or a weight is not.
        """
        state = self._state
        means = {name: float(total / state.step) for name, total in state.sums.items()}
        loss = means.get("loss", 0.0)  # nothing yet, where an epoch was interrupted at its end
        if math.isfinite(loss) and _is_finite(state):
            return means
        what = f"loss is {loss}" if not math.isfinite(loss) else "weights are not finite"
        kept = ""
        if self._file is not None and self._file.exists():
            kept = f". What was finite is kept in {self._file}"
        raise FloatingPointError(
            f"the {what} after step {state.step} of epoch {state.epoch}: begin a new run with a "
            f"learning_rate below {self._config.learning_rate:g}{kept}"
        )


def run_bar(config: TrainingConfig, steps: int, shown: bool) -> tqdm:
    """Return the progress bar of a run; it counts images."""
    return bar(
        shown=shown,
        total=config.epochs * steps * config.batch_size,
        unit=" images",
        mininterval=0.5,
        dynamic_ncols=True,
    )


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


@contextmanager
def interrupts() -> Iterator[threading.Event]:
    """Turn Ctrl-C and SIGTERM into an event, so that a step is never left half done.

    A second one does not wait for the step.
    """
    event = threading.Event()

    def handle(*_: object) -> None:
        if event.is_set():
            raise KeyboardInterrupt
        event.set()

    if threading.current_thread() is not threading.main_thread():
        yield event  # only the main thread may handle signals
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, handle) for number in signals}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _last_measured(state: TrainingState) -> Metrics:
    """Return what was measured on the validation images after the latest complete epoch."""
    latest = state.history[-1] if state.history else {}
    return {name: value for name, value in latest.items() if name.startswith("validation_")}


def _is_finite(state: TrainingState) -> bool:
    """Whether all weights are finite: the loss is that of the weights before the last step."""
    norms = torch._foreach_norm(list(state.model.parameters()), torch.inf)
    return bool(torch.stack([norm.float() for norm in norms]).isfinite().all())
