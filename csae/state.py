"""The state of a training run: enough to go on after an interruption as if there had been none.

A state holds weights, optimiser, schedule, random numbers, position and the metrics so far, in one
safetensors file. Nothing is unpickled, and the file is written whole or not at all.

Taught in the chapter on full training.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from csae.files import remove_leftovers, write_whole

_FORMAT = "csae-state-1"


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
        header = {
            "format": _FORMAT,
            "run": self.run,
            "epoch": self.epoch,
            "step": self.step,
            "seconds": self.seconds,
            "history": self.history,
            "threads": torch.get_num_threads(),
            "optimizer": moments["param_groups"],
            "schedule": self.schedule.state_dict(),
        }
        tensors = {f"model.{name}": t for name, t in self.model.state_dict().items()}
        tensors |= {f"sums.{name}": t for name, t in self.sums.items()}
        for index, values in moments["state"].items():
            tensors |= {f"optimizer.{index}.{name}": t for name, t in values.items()}
        tensors["random.cpu"] = torch.random.get_rng_state()
        if self.device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(self.device)
        elif self.device.type == "mps":
            tensors["random.mps"] = torch.mps.get_rng_state()
        content = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
        write_whole(path, safetensors.torch.save(content, {"csae": json.dumps(header)}))

    def load(self, path: Path) -> None:
        """Take over a state that `save` wrote, random numbers included.

        On another kind of device than the one it was saved on, the run goes on with other random
        numbers.

        Raises:
            ValueError: The file is no such state, or one of another run.
        """
        remove_leftovers(path)
        header, tensors = _read(path)
        for name, value in _plain(self.run).items():
            if header["run"].get(name) != value:
                raise ValueError(
                    f"{path} belongs to another run: its {name} is {header['run'].get(name)!r}, "
                    f"not {value!r}"
                )
        self.model.load_state_dict(_under("model", tensors))
        self._load_optimizer(header["optimizer"], _under("optimizer", tensors))
        self.schedule.load_state_dict(header["schedule"])
        self.sums = {k: t.to(self.device) for k, t in _under("sums", tensors).items()}
        for name in ("epoch", "step", "seconds", "history"):
            setattr(self, name, header[name])
        self.threads = header.get("threads")
        torch.random.set_rng_state(tensors["random.cpu"])
        numbers = tensors.get(f"random.{self.device.type}")  # none from another kind of device
        if self.device.type == "cuda" and numbers is not None:
            torch.cuda.set_rng_state(numbers, self.device)
        elif self.device.type == "mps" and numbers is not None:
            torch.mps.set_rng_state(numbers)

    def _load_optimizer(self, groups: list[dict[str, Any]], tensors: dict[str, Tensor]) -> None:
        """Restore moments in the memory layout of their parameters: fused kernels rely on it."""
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        values: dict[int, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            index, _, name = key.partition(".")
            like = parameters[int(index)]
            if tensor.shape == like.shape:
                tensor = torch.empty_like(like).copy_(tensor)
            values.setdefault(int(index), {})[name] = tensor
        self.optimizer.load_state_dict({"state": values, "param_groups": groups})


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            entries = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file ({error})") from error
    header = json.loads(entries.get("csae", "{}"))
    if header.get("format") != _FORMAT:
        raise ValueError(
            f"{path} holds no training state of this version of csae: its format is "
            f"{header.get('format')!r}, not {_FORMAT!r}"
        )
    return header, tensors


def _under(part: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(f"{part}."): t for k, t in tensors.items() if k.startswith(f"{part}.")}


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return values as json gives them back: tuples as lists."""
    plain: dict[str, Any] = json.loads(json.dumps(values))
    return plain
