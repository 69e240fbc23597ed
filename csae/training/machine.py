"""What a run is computed with: a type of its own, listed once, apart from what decides the result.

Lightning Fabric lies under it: it starts the processes, places model and batches, and averages
gradients.
"""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from csae import checks
from csae.runtime import (
    ACCELERATORS,
    PRECISIONS,
    free_threads,
    resolve_device,
    resolve_precision,
    threads_are_chosen,
    threads_are_settled,
)
from csae.training.config import TrainingConfig

# Lightning is imported where it is used: who only reads a model need not wait for it.
if TYPE_CHECKING:
    from lightning_fabric import Fabric

_KERNEL_CHANNELS = 8  # that the kernels of oneDNN take at once


@dataclass(frozen=True)
class Machine:
    """What a run is computed with. It may change speed and rounding, never what is trained.

    Attributes:
        accelerator: ``"cpu"``, ``"cuda"``, ``"mps"``, or ``"auto"`` for the fastest one present.
        devices: Processes on each machine, one for each device; at least 1.
        num_nodes: Machines, at least 1.
        precision: ``"fp32"``; ``"bf16"`` for bfloat16 autocast; or ``"auto"``, which is bf16
            where the processor computes with it natively.
        threads: Threads of a CPU, at least 1; None to measure at the start how many are fastest,
            unless somebody has chosen (see `csae.runtime.threads_are_chosen`).
        cuda_graphs: Whether the kernels of the network are recorded at the start of each epoch and
            replayed in its steps, which makes small batches two to three times as fast. It needs
            CUDA, a single process, no ``on_step``, at least 30 steps in an epoch, and a model with
            a true attribute ``replayable``, as this package's have; else it changes nothing.

    Raises:
        ValueError: A value is out of range.
    """

    accelerator: str = "auto"
    devices: int = 1
    num_nodes: int = 1
    precision: str = "auto"
    threads: int | None = None
    cuda_graphs: bool = True

    def __post_init__(self) -> None:
        checks.choice("accelerator", self.accelerator, ACCELERATORS)
        checks.choice("precision", self.precision, PRECISIONS)
        checked = {
            "devices": checks.integer("devices", self.devices, 1),
            "num_nodes": checks.integer("num_nodes", self.num_nodes, 1),
            "cuda_graphs": checks.flag("cuda_graphs", self.cuda_graphs),
        }
        if self.threads is not None:
            checked["threads"] = checks.integer("threads", self.threads, 1)
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def settled(self) -> Machine:
        """Return the machine with accelerator and precision as they are here, never ``"auto"``.

        Raises:
            ValueError: The accelerator is not present.
        """
        device = resolve_device(self.accelerator)
        precision = resolve_precision(self.precision, device)
        return dataclasses.replace(self, accelerator=device.type, precision=precision)


def launch(config: TrainingConfig, machine: Machine | None = None) -> Fabric:
    """Start the processes that a configuration asks for, or join those that are there.

    With several devices and no launcher, this process starts the others: copies of itself that run
    the same script. Under ``torchrun`` and SLURM the processes exist already; ``torchrun`` also
    says how many. Each works on an equal part of a batch, and the mean of their gradients is the
    gradient of the whole batch.

    Equations: mean-gradient.

    Raises:
        ValueError: The accelerator is not present, the batch cannot be shared evenly, or other
            processes have been started than the configuration asks for.
    """
    checks.instance("config", config, TrainingConfig)
    machine = Machine() if machine is None else checks.instance("machine", machine, Machine)
    device = resolve_device(machine.accelerator)
    devices, num_nodes = launched_processes(machine)
    processes = devices * num_nodes
    if device.type == "cuda" and devices > torch.cuda.device_count():
        raise ValueError(
            f"devices must be at most the {torch.cuda.device_count()} that are present, "
            f"got {devices}"
        )
    if config.batch_size % processes:
        raise ValueError(
            f"batch_size must be a multiple of the {processes} processes that share a batch, "
            f"got {config.batch_size}"
        )
    from lightning_fabric.strategies.ddp import DDPStrategy

    # Batch normalisation is shared already; its statistics are the same everywhere.
    shared = DDPStrategy(forward_sync_buffers=False, gradient_as_bucket_view=True)
    strategy = shared if processes > 1 else "auto"
    fabric = make_fabric(machine, device, strategy=strategy, devices=devices, num_nodes=num_nodes)
    fabric.launch()
    if fabric.world_size != processes:
        raise ValueError(
            f"devices and num_nodes must be those that were started, {fabric.world_size} processes "
            f"in all, got {devices} and {num_nodes}"
        )
    return fabric


def launched_processes(machine: Machine) -> tuple[int, int]:
    """Return the processes on each machine, and the machines, that will train.

    They are those asked for, unless ``torchrun`` says how many there are.

    Raises:
        ValueError: torchrun or SLURM has started others than the configuration asks for, or
            variables that tell a process its place are missing.
    """
    devices, num_nodes = machine.devices, machine.num_nodes
    if "TORCHELASTIC_RUN_ID" in os.environ and devices == num_nodes == 1:
        devices = _count("LOCAL_WORLD_SIZE")
        num_nodes = _count("WORLD_SIZE") // devices
    _check_launched(devices, num_nodes)
    return devices, num_nodes


def _check_launched(devices: int, num_nodes: int) -> None:
    """Compare the processes that torchrun or SLURM says it has started with those asked for."""
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

    asked, here = devices * num_nodes, os.environ
    if "TORCHELASTIC_RUN_ID" in here:
        launcher, counts = "torchrun", {"WORLD_SIZE": asked, "LOCAL_WORLD_SIZE": devices}
        places: tuple[str, ...] = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
        way_out = "leave out devices and num_nodes"
    elif SLURMEnvironment.detect():
        launcher, counts = "SLURM", {"SLURM_NTASKS": asked}
        counts |= {"SLURM_NTASKS_PER_NODE": devices} if asked > 1 else {}
        counts |= {"SLURM_NNODES": num_nodes} if "SLURM_NNODES" in here else {}
        places = ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID") if asked > 1 else ()
        way_out = (
            f"start it with srun --nodes={num_nodes} --ntasks-per-node={devices}, or give the "
            "devices and num_nodes of the job, or unset SLURM_NTASKS to leave SLURM out of it"
        )
    elif num_nodes > 1:
        launcher, counts, way_out = "", {}, "start it with torchrun or srun, or set them"
        places = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK")
    else:
        return
    for name, count in counts.items():
        if here.get(name) != str(count):
            raise ValueError(
                f"devices and num_nodes ask for {devices} and {num_nodes}, which makes {name} "
                f"{count}, but {launcher} has set it to {here.get(name)!r}: {way_out}"
            )
    if missing := [name for name in places if name not in here]:
        raise ValueError(
            f"devices={devices} and num_nodes={num_nodes} need the environment variables "
            f"{', '.join(places)}, by which a process finds the others; not set: "
            f"{', '.join(missing)}. Way out: {way_out}"
        )


def _count(variable: str) -> int:
    """Read how many processes a launcher says it has started."""
    said = os.environ.get(variable, "")
    if not said.isdecimal() or int(said) == 0:
        raise ValueError(
            f"the environment variable {variable} must be an integer of at least 1, got {said!r}: "
            "start the processes with torchrun, or unset TORCHELASTIC_RUN_ID"
        )
    return int(said)


def make_fabric(machine: Machine, device: torch.device, **processes: Any) -> Fabric:
    """Return a Fabric of this machine's precision."""
    from lightning_fabric import Fabric

    # Its notes on precision and ranks would stand between the lines of a progress bar.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    precision = resolve_precision(machine.precision, device)
    return Fabric(
        accelerator=device.type,
        precision="bf16-mixed" if precision == "bf16" else "32-true",
        **processes,
    )


def place(model: nn.Module, device: torch.device) -> None:
    """Move a model to a device, in the layout that its convolution kernels prefer.

    Channels-last changes speed, not results. Some processors' kernels write beyond their memory in
    that layout, though, backward through a 1x1 convolution with a stride and fewer than 8 input
    channels (github.com/uxlfoundation/oneDNN/issues/6035): a model that has one stays as it is.
    """
    model.to(device=device)
    narrow = any(
        isinstance(part, nn.Conv2d)
        and part.kernel_size == (1, 1)
        and max(map(int, part.stride)) > 1
        and part.in_channels < _KERNEL_CHANNELS
        for part in model.modules()
    )
    if device.type != "cpu" or not narrow:
        model.to(memory_format=torch.channels_last)


@contextmanager
def settled_threads(chosen: int | None, begun_with: int | None, fabric: Fabric) -> Iterator[None]:
    """Train with the threads that the run began with, or as many as are free at its start.

    A number that somebody chose stays, and so does that of several processes, among which Fabric
    has shared the cores.
    """
    before = torch.get_num_threads()
    if fabric.device.type == "cpu" and chosen is not None:
        torch.set_num_threads(chosen)
    elif fabric.device.type == "cpu" and fabric.world_size == 1 and not threads_are_chosen():
        if begun_with is not None:
            torch.set_num_threads(begun_with)
        elif not threads_are_settled():
            torch.set_num_threads(free_threads())
    try:
        yield
    finally:
        torch.set_num_threads(before)
