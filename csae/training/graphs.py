"""Recording the kernels of a step on a GPU, and replaying them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from csae.runtime import resolve_precision
from csae.training.machine import Machine

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_WORTH_RECORDING = 30  # steps in an epoch that make up for recording their kernels


def is_worth_recording(model: nn.Module, machine: Machine, fabric: Fabric, steps: int) -> bool:
    """Whether the same kernels run in each step of an epoch, in one queue, and in enough steps.

    Models say it of themselves: nobody knows what a model from elsewhere changes between steps.
    A recording takes images alone, so it is none for a model that asks for labels.
    """
    if not (machine.cuda_graphs and getattr(model, "replayable", False)):
        return False
    if getattr(model, "takes_labels", False):
        return False
    alone = fabric.device.type == "cuda" and fabric.world_size == 1
    return alone and steps >= _WORTH_RECORDING


class _Casting(nn.Module):
    """A model with its precision, as Fabric would call it."""

    def __init__(self, model: nn.Module, bf16: bool) -> None:
        super().__init__()
        self.model, self.bf16 = model, bf16

    def forward(self, images: Tensor) -> Any:
        # A cache of cast weights would not survive from one recording to the next.
        with torch.autocast("cuda", torch.bfloat16, enabled=self.bf16, cache_enabled=False):
            output = self.model(images)
        return type(output)(*(part.float() for part in output))


def record_kernels(model: Any, batch_size: int, precision: str, device: torch.device) -> Any:
    """Record the kernels of a step, forward and backward; return a call that replays them.

    A small network is a few hundred short kernels, and Python takes longer to start them than a GPU
    to run them. A recording starts them all at once.
    """
    if hasattr(torch.autograd.graph, "set_warn_on_accumulate_grad_stream_mismatch"):
        # The recording's own stream is another one than that of the loop; it is meant to be.
        torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)
    casting = _Casting(model, resolve_precision(precision, device) == "bf16").train()
    size = model.image_size
    images = torch.zeros(batch_size, 1, size, size, device=device)
    # Recording makes a few steps forward. They must leave no trace.
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    with torch.random.fork_rng(devices=[device]):
        replay = torch.cuda.make_graphed_callables(casting, (images,))
    for buffer, before in buffers:
        buffer.copy_(before)
    return replay
