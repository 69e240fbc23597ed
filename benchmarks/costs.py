"""What the machine can do, and where a step of `csae.train` spends its time.

Each of the functions returns a call for `benchmarks.processes`.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, flop_registry

import csae
from benchmarks.contenders import WARM_UP_STEPS, Task, first
from csae.data import prepare
from csae.runtime import finish

MATRIX = 4096  # height and width of the matrices whose product is timed
COPIED_NUMBERS = 2**26  # 256 MB of float32, far more than a cache holds
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
PHASES = ("data", "forward", "loss", "backward", "optimiser")

_KINDS = {
    "convolution": "convolution",
    "convolution_backward": "convolution",
    "mm": "matrix product",
    "addmm": "matrix product",
    "native_batch_norm": "batch norm",
    "native_batch_norm_backward": "batch norm",
    "relu": "ReLU",
    "relu_": "ReLU",
    "threshold_backward": "ReLU",
    "clone": "copies and casts",
    "copy_": "copies and casts",
    "_to_copy": "copies and casts",
    "_fused_adamw_": "optimiser",
}
# Arithmetic that PyTorch's counter leaves out, for each number of the largest tensor; 1 if it is
# not listed. Batch norm sums, sums squares and normalises; backward, it forms two sums and the
# gradient. AdamW: for each parameter.
_FLOPS_PER_NUMBER = {
    "native_batch_norm": 6,
    "native_batch_norm_backward": 9,
    "_fused_adamw_": 16,
    "clone": 0,
    "copy_": 0,
    "_to_copy": 0,
}
_NOTHING = {"calls": 0.0, "flops": 0, "bytes": 0, "seconds": 0.0}


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


def follow(task: Task, precision: str, watch: Stopwatch, mode: AbstractContextManager[Any]) -> None:
    """Train one epoch under a stopwatch and a mode of PyTorch."""
    model, criterion = task.build()

    def timed(*arguments: Any) -> dict[str, Tensor]:
        watch.enter("loss")
        terms = criterion(*arguments)
        watch.enter("backward")
        return terms

    with watch.on_optimizers(), mode:
        csae.train(
            model,
            timed,
            task.dataset(),
            task.settings(precision),
            on_step=lambda _: watch.enter("forward"),
            progress=False,
        )


def phases(task: Task, precision: str) -> Callable[[], dict[str, list[float]]]:
    """Time the phases of each step; the first steps are left out."""

    def measure() -> dict[str, list[float]]:
        watch = Stopwatch()
        follow(task, precision, watch, nullcontext())
        return {phase: laps[WARM_UP_STEPS:] for phase, laps in watch.laps.items()}

    return measure


class Ledger(TorchDispatchMode):
    """Notes time, arithmetic and bytes of every operation that PyTorch runs.

    The bytes are estimated: those of all tensors that go in and come out, each counted once. What
    caches spare, and what kernels read several times, is not seen.
    """

    def __init__(self, watch: Stopwatch) -> None:
        super().__init__()
        self.watch = watch
        self.calls: dict[tuple, list[float]] = defaultdict(list)
        self.costs: dict[tuple, tuple[int, int]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Run one operation and note it."""
        kwargs = kwargs or {}
        start = time.perf_counter()
        result = func(*args, **kwargs)
        seconds = time.perf_counter() - start
        if self.watch.warm and not _is_free(func):
            read, made = _tensors((args, kwargs)), _tensors(result)
            # Three inputs tell all convolutions apart, backward too: gradient, image and filter.
            shapes = ", ".join(map(_shape, read[:3])) + " -> " + ", ".join(map(_shape, made[:1]))
            dtype = str((*read, *made)[0].dtype).removeprefix("torch.") if read or made else ""
            key = (self.watch.phase, func.overloadpacket.__name__, shapes, dtype)
            self.calls[key].append(seconds)
            if key not in self.costs:
                self.costs[key] = (_flops(func, args, kwargs, result), _bytes(func, read, made))
        return result

    def rows(self, steps: int) -> list[dict[str, Any]]:
        """Return a row for each operation on tensors of some shape, per step; dearest first."""
        rows = []
        for key, seconds in self.calls.items():
            phase, name, shapes, dtype = key
            calls = len(seconds) / steps
            flops, moved = self.costs[key]
            rows.append(
                {
                    "kind": _KINDS.get(name, "other"),
                    "phase": phase,
                    "operation": name,
                    "shapes": shapes,
                    "dtype": dtype,
                    "calls": calls,
                    "flops": round(calls * flops),
                    "bytes": round(calls * moved),
                    "seconds": calls * median(seconds),
                }
            )
        return sorted(rows, key=lambda row: -row["seconds"])


def ledger(task: Task, precision: str) -> Callable[[], list[dict[str, Any]]]:
    """Note what each operation of a step costs."""

    def measure() -> list[dict[str, Any]]:
        watch = Stopwatch()
        book = Ledger(watch)
        follow(task, precision, watch, book)
        return book.rows(len(watch.laps["optimiser"]) - WARM_UP_STEPS)

    return measure


def by_kind(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sum the rows of a ledger over operations of one kind and phase; dearest first."""
    sums: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        kind, phase = row["kind"], row["phase"]
        entry = sums.setdefault((kind, phase), {"kind": kind, "phase": phase} | _NOTHING)
        for name in _NOTHING:
            entry[name] += row[name]
    return sorted(sums.values(), key=lambda entry: -entry["seconds"])


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "1"


def _tensors(values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def _is_free(func: Any) -> bool:
    """Whether an operation only describes memory anew, or asks for it."""
    name = func.overloadpacket.__name__
    return func.is_view or name in ("detach", "_unsafe_view") or "empty" in name


def _flops(func: Any, args: tuple, kwargs: dict, result: Any) -> int:
    counted = flop_registry.get(func.overloadpacket)
    if counted is not None:
        return counted(*args, **kwargs, out_val=result)
    if args and isinstance(args[0], list):  # a list of parameters
        numbers = sum(tensor.numel() for tensor in _tensors(args[0]))
    else:
        numbers = max((t.numel() for t in _tensors((args, kwargs, result))), default=0)
    return _FLOPS_PER_NUMBER.get(func.overloadpacket.__name__, 1) * numbers


def _bytes(func: Any, read: list[Tensor], made: list[Tensor]) -> int:
    if func.overloadpacket.__name__ in ("copy_", "fill_", "zero_"):
        read = read[1:]  # these only write to their first argument
    return sum(tensor.numel() * tensor.element_size() for tensor in (*read, *made))
