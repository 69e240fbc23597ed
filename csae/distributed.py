"""What several training processes share: random numbers, and the statistics of a batch.

Each process holds the same model and the same random state, and works on its own rows of a batch.
`own_rows` and `share_batch_norm` see to it that the result does not depend on the number of
processes; `all_reduce_bytes` and `sharing_speedup` say what sharing costs and brings.

Taught in the chapter on sharing a batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist

from csae import checks


def own_rows(draw: Callable[[int], Tensor], count: int) -> Tensor:
    """Draw random numbers for the batch of all processes, and return the rows of this process.

    All processes draw the same numbers, so the n-th image of a batch meets the same noise whether
    one process works on the batch or eight share it.

    Args:
        draw: Returns as many rows of random numbers as it is asked for.
        count: Rows of this process; every process has as many.

    Returns:
        ``count`` rows; without other processes simply ``draw(count)``.

    Raises:
        ValueError: ``draw`` is no function, or ``count`` is negative.
    """
    checks.function("draw", draw)
    count = checks.integer("count", count, 0)
    if not _is_shared():
        return draw(count)
    first = dist.get_rank() * count
    return draw(count * dist.get_world_size())[first : first + count]


def mean_over_processes(value: Tensor) -> Tensor:
    """Return the mean of a tensor over all processes, which is the same in each; no gradient.

    Args:
        value: Of one shape in all processes, such as a mean over equally many images in each.

    Raises:
        ValueError: ``value`` is no tensor.
    """
    checks.tensor("value", value, floating=True)
    value = value.detach()
    if not _is_shared():
        return value
    total = value.clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()


def share_batch_norm(model: nn.Module) -> None:
    """Let batch normalisation see the batch of all processes instead of one process's part.

    PyTorch's own layer for this works on CUDA only; on a CPU, `SharedBatchNorm2d` takes its place.
    Parameters, buffers and their names stay. Does nothing in a single process.

    Args:
        model: Changed in place; its `torch.nn.BatchNorm2d` layers are replaced.

    Raises:
        ValueError: ``model`` is no module.
    """
    checks.instance("model", model, nn.Module)
    if not _is_shared():
        return
    if next(model.parameters()).device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        return
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is nn.BatchNorm2d:
                setattr(module, name, SharedBatchNorm2d.of(child))


class SharedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation over the parts of a batch that several processes hold.

    In training mode every process normalises with the mean and the variance of the whole batch, and
    gradients flow through both to all processes. Every process must hold equally many images. In
    evaluation mode it is an ordinary `torch.nn.BatchNorm2d`.

    Equations: shared-batch-norm.
    """

    @classmethod
    def of(cls, layer: nn.BatchNorm2d) -> SharedBatchNorm2d:
        """Return a layer with the parameters and buffers of another one.

        Raises:
            ValueError: ``layer`` is no `torch.nn.BatchNorm2d`.
        """
        checks.instance("layer", layer, nn.BatchNorm2d)
        shared = cls(layer.num_features, layer.eps, layer.momentum, layer.affine)
        shared.__dict__.update(layer.__dict__)
        return shared

    def forward(self, x: Tensor) -> Tensor:
        """Return normalised features of the shape of ``x`` (N, C, H, W)."""
        if not (self.training and _is_shared()):
            return super().forward(x)
        # bfloat16 has too few digits for sums.
        features = x.to(torch.promote_types(x.dtype, torch.float32))
        count = features.numel() // features.shape[1] * dist.get_world_size()
        mean = _sum_over_processes(features.sum(dim=(0, 2, 3))) / count
        centred = features - mean[:, None, None]
        variance = _sum_over_processes(centred.square().sum(dim=(0, 2, 3))) / count
        with torch.no_grad():
            self.num_batches_tracked.add_(1)  # type: ignore[union-attr]
            self.running_mean.lerp_(mean, self.momentum)  # type: ignore[union-attr, arg-type]
            unbiased = variance * (count / (count - 1))
            self.running_var.lerp_(unbiased, self.momentum)  # type: ignore[union-attr, arg-type]
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)


def all_reduce_bytes(values: int, processes: int, *, width: int = 4) -> float:
    """Return the bytes each process sends while all of them add up a tensor around a ring.

    The tensor is cut into as many parts as there are processes. Each process sends all but one of
    them on to be added up, and all but one of the sums round.

    Equations: ring-all-reduce.

    Args:
        values: Entries of the tensor, zero or more.
        processes: How many, at least 1.
        width: Bytes of an entry, at least 1.

    Raises:
        ValueError: An argument is out of range.
    """
    values = checks.integer("values", values, 0)
    processes = checks.integer("processes", processes, 1)
    width = checks.integer("width", width, 1)
    return 2 * (processes - 1) / processes * values * width


def sharing_speedup(
    seconds: float,
    processes: int,
    *,
    values: int,
    bandwidth: float,
    latency: float = 0.0,
    collectives: int = 1,
) -> float:
    """Predict how many times faster a training step is when processes share its batch.

    A simple model: computing divides by the processes, communication around a ring is added to it,
    and nothing overlaps.

    Equations: sharing-speedup.

    Args:
        seconds: Duration of the step in a single process, above 0.
        processes: How many, at least 1.
        values: Entries to add up over processes in a step: the gradients, four bytes each.
        bandwidth: Bytes a second from one process to the next, above 0; infinity is allowed.
        latency: Seconds before a message arrives, however short it is; zero or more.
        collectives: How many separate sums a step has, zero or more; each waits for its messages.

    Raises:
        ValueError: An argument is out of range.
    """
    seconds = checks.number("seconds", seconds, above=0)
    processes = checks.integer("processes", processes, 1)
    bandwidth = checks.number("bandwidth", bandwidth, above=0, infinite=True)
    latency = checks.number("latency", latency, least=0)
    collectives = checks.integer("collectives", collectives, 0)
    waiting = collectives * 2 * (processes - 1) * latency
    sending = all_reduce_bytes(values, processes) / bandwidth
    return seconds / (seconds / processes + waiting + sending)


class _Sum(torch.autograd.Function):
    """Sum over processes; the gradient of a sum of everybody's losses is summed likewise."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total


def _sum_over_processes(value: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(value)
    return total


def _is_shared() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
