"""The state of a training run: enough to go on after an interruption as if there had been none.

A state holds weights, optimiser, schedule, random numbers, position and the metrics so far, in one
safetensors file. Nothing is unpickled, and the file is written whole or not at all.

Taught in the chapter on full training.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from csae import checks, schema, tensorfile
from csae.files import remove_leftovers, write_whole

Metrics = dict[str, float]
_FORMAT = "csae-state-2"


@dataclass(frozen=True)
class _Header:
    """What a state says beside its tensors; see `TrainingState`."""

    format: str
    run: dict[str, Any]
    epoch: int
    step: int
    seconds: float
    history: list[dict[str, Any]]
    threads: int
    optimizer: list[dict[str, Any]]
    schedule: dict[str, Any]

    def __post_init__(self) -> None:
        checks.integer("epoch", self.epoch, 1, len(self.history) + 1)
        checks.integer("history", len(self.history), self.epoch - 1, self.epoch - 1)
        checks.integer("step", self.step, 0)
        checks.number("seconds", self.seconds, least=0)
        checks.integer("threads", self.threads, 1)


@dataclass
class TrainingState:
    """Everything that changes while a run goes on.

    Attributes:
        model: Its weights and buffers.
        optimizer: Its moments and settings.
        schedule: Where the learning rate stands.
        run: What must not differ between a run and its continuation, by name: plain values. It is
            compared when a state is loaded.
        device: Where the run draws its random numbers, besides the CPU.
        epoch: Current epoch, from 1; one more than there are when the run is complete.
        step: Steps done in it.
        sums: The losses' scalars, summed over those steps.
        seconds: Spent on those steps.
        history: Metrics of the epochs that are complete.
        threads: With how many the run computes, where a loaded state said so; rounding depends on
            it. A state is saved with the number that PyTorch uses.
    """

    model: nn.Module
    optimizer: Optimizer
    schedule: LRScheduler
    run: dict[str, Any]
    device: torch.device
    epoch: int = 1
    step: int = 0
    sums: dict[str, Tensor] = field(default_factory=dict)
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    threads: int | None = None

    def add(self, terms: dict[str, Tensor]) -> None:
        """Count one step; its scalars are summed where they are, without waiting for them."""
        self.step += 1
        for name, term in terms.items():
            term = term.detach()
            self.sums[name] = self.sums[name] + term if name in self.sums else term

    def finish_epoch(self, metrics: dict[str, float]) -> None:
        """Close the current epoch with its metrics."""
        self.history.append(metrics)
        self.epoch, self.step, self.seconds = self.epoch + 1, 0, 0.0
        self.sums = {}

    def save(self, path: Path) -> None:
        """Write the state to a file, whole or not at all."""
        moments = self.optimizer.state_dict()
        header = _Header(
            format=_FORMAT,
            run=self.run,
            epoch=self.epoch,
            step=self.step,
            seconds=self.seconds,
            history=[_with_words(metrics) for metrics in self.history],
            threads=torch.get_num_threads(),
            optimizer=moments["param_groups"],
            schedule=self.schedule.state_dict(),
        )
        tensors = {f"model.{name}": t for name, t in self.model.state_dict().items()}
        tensors |= {f"sums.{name}": t for name, t in self.sums.items()}
        for index, values in moments["state"].items():
            tensors |= {f"optimizer.{index}.{name}": t for name, t in values.items()}
        tensors["random.cpu"] = torch.random.get_rng_state()
        if self.device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(self.device)
        elif self.device.type == "mps":
            tensors["random.mps"] = torch.mps.get_rng_state()
        write_whole(path, tensorfile.pack(asdict(header), tensors))

    def load(self, path: Path) -> None:
        """Take over a state that `save` wrote, random numbers included.

        On another kind of device than the one it was saved on, the run goes on with other random
        numbers.

        Raises:
            ValueError: The file is no such state, a damaged one, or one of another run.
        """
        remove_leftovers(path)
        values, tensors = tensorfile.read(path, _FORMAT, "a training state")
        header = schema.build(_Header, values, str(path))
        if found := schema.differing(header.run, self.run):
            name, theirs, ours = found
            raise ValueError(
                f"{path} belongs to another run: its {name} is {checks.show(theirs)}, not "
                f"{checks.show(ours)}"
            )
        weights = _under("model", tensors)
        tensorfile.check_tensors(path, weights, self.model.state_dict())
        self._check_schedule(path, header)
        try:  # NaN and infinity are kept as words
            history = [_without_words(metrics) for metrics in header.history]
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"{path} is damaged: its history holds no numbers ({error})") from None
        self.model.load_state_dict(weights)
        self._load_optimizer(path, header.optimizer, _under("optimizer", tensors))
        self.schedule.load_state_dict(header.schedule)
        self.sums = {k: t.to(self.device) for k, t in _under("sums", tensors).items()}
        self.epoch, self.step, self.seconds = header.epoch, header.step, header.seconds
        self.history = history
        self.threads = header.threads
        self._load_random_numbers(path, tensors)

    def _check_schedule(self, path: Path, header: _Header) -> None:
        """Compare names and types of what the schedule and the optimiser will be told."""
        own = {"schedule": self.schedule.state_dict()}
        own |= {
            str(i): group for i, group in enumerate(self.optimizer.state_dict()["param_groups"])
        }
        read = {"schedule": header.schedule}
        read |= {str(i): group for i, group in enumerate(header.optimizer)}
        for part in {**own, **read}:
            one, other = own.get(part, {}), read.get(part, {})
            if part not in own or {k: type(v) for k, v in _plain(one).items()} != {
                k: type(v) for k, v in other.items()
            }:
                raise ValueError(
                    f"{path} is damaged: it holds another optimiser or schedule than this run's"
                )

    def _load_optimizer(
        self, path: Path, groups: list[dict[str, Any]], tensors: dict[str, Tensor]
    ) -> None:
        """Restore moments in the memory layout of their parameters: fused kernels rely on it."""
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        values: dict[int, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            index, _, name = key.partition(".")
            if not index.isdecimal() or int(index) >= len(parameters):
                raise ValueError(f"{path} is damaged: it holds moments of no parameter, {key}")
            like = parameters[int(index)]
            if tensor.shape == like.shape:
                tensor = torch.empty_like(like).copy_(tensor)
            elif tensor.numel() != 1:
                raise ValueError(
                    f"{path} is damaged: {key} has shape {tuple(tensor.shape)}, not that of its "
                    f"parameter, {tuple(like.shape)}"
                )
            values.setdefault(int(index), {})[name] = tensor
        try:
            self.optimizer.load_state_dict({"state": values, "param_groups": groups})
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} holds the state of another optimiser: {error}") from None

    def _load_random_numbers(self, path: Path, tensors: dict[str, Tensor]) -> None:
        try:
            torch.random.set_rng_state(tensors["random.cpu"])
            numbers = tensors.get(f"random.{self.device.type}")  # none from another kind of device
            if self.device.type == "cuda" and numbers is not None:
                torch.cuda.set_rng_state(numbers, self.device)
            elif self.device.type == "mps" and numbers is not None:
                torch.mps.set_rng_state(numbers)
        except (KeyError, RuntimeError, TypeError) as error:
            raise ValueError(f"{path} is damaged: its random numbers are {error}") from None


def saved_threads(path: Path) -> int:
    """Return with how many threads the run of a state computes."""
    values, _ = tensorfile.read(path, _FORMAT, "a training state")
    return schema.build(_Header, values, str(path)).threads


def _under(part: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(f"{part}."): t for k, t in tensors.items() if k.startswith(f"{part}.")}


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return values as json gives them back: tuples as lists."""
    plain: dict[str, Any] = schema.from_json(schema.to_json(values), "state")
    return plain


def _with_words(metrics: Metrics) -> dict[str, float | str]:
    """Return metrics for json, which has no numbers for NaN and infinity."""
    return {k: v if math.isfinite(v) else str(v) for k, v in metrics.items()}


def _without_words(metrics: dict[str, Any]) -> Metrics:
    """Undo `_with_words`; whole numbers stay whole."""
    return {k: v if type(v) is int else float(v) for k, v in metrics.items()}
