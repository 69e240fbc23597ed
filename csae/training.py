"""The training loop: it takes a model, a loss and data without knowing which.

Lightning Fabric lies under the loop: it starts the processes, places model and batches, and
averages gradients. Whatever the number of processes, a batch holds the same images with the same
random changes and the same noise.

Taught in the chapter on full training.
"""

from __future__ import annotations

import copy
import dataclasses
import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR, StepLR
from tqdm import tqdm

from csae import checks
from csae.data import Augmentation, ImageDataset, batches
from csae.distributed import share_batch_norm
from csae.muon import Muon
from csae.progress import bar as progress_bar
from csae.runtime import (
    ACCELERATORS,
    PRECISIONS,
    counted,
    free_threads,
    keep_freed_memory,
    resolve_device,
    resolve_precision,
    threads_are_chosen,
    threads_are_settled,
)
from csae.state import TrainingState

Metrics = dict[str, float]
TIMINGS = ("seconds", "images_per_second")  # the metrics that differ from run to run
OPTIMIZERS = ("adamw", "adam", "sgd", "muon")
SCHEDULES = ("one-cycle", "step", "constant")
_WORTH_RECORDING = 30  # steps in an epoch that make up for recording their kernels
_LOOK_EVERY = 1.0  # seconds between two looks at the loss: reading it waits for the device
# Settings that a run may be continued without.
_MACHINE = ("accelerator", "devices", "num_nodes", "cuda_graphs")


@dataclass(frozen=True)
class TrainingConfig:
    """How to train.

    Attributes:
        epochs: Passes over the training images, at least 1.
        images_per_epoch: Images that such a pass takes, others in each; at least one batch. None
            for all of them, which is also what it means where there are fewer.
        batch_size: Images a step, over all processes; at least 2 (batch normalisation needs two).
        learning_rate: Largest one of the schedule, positive.
        weight_decay: Zero or more; decoupled in ``"adamw"``, else added to the gradient.
        optimizer: ``"adamw"``, ``"adam"``, ``"sgd"`` with momentum 0.9, or ``"muon"``: see
            `csae.muon.Muon`.
        schedule: ``"one-cycle"`` (up, then down to nearly zero, by the step), ``"step"`` (a tenth
            after each quarter of the epochs), or ``"constant"``.
        seed: Chooses order, augmentation and noise. On a CPU the same seed, thread count and
            versions repeat a run bit for bit.
        augmentation: Random changes to the training images.
        accelerator: ``"cpu"``, ``"cuda"``, ``"mps"``, or ``"auto"`` for the fastest one present.
        devices: Processes on each machine, one for each device; at least 1.
        num_nodes: Machines, at least 1.
        precision: ``"fp32"``; ``"bf16"`` for bfloat16 autocast; or ``"auto"``, which is bf16
            where the processor computes with it natively.
        cuda_graphs: Whether the kernels of the network are recorded at the start of each epoch and
            replayed in its steps, which makes small batches two to three times as fast. It needs
            CUDA, a single process, no ``on_step``, at least 30 steps in an epoch, and a model with
            a true attribute ``replayable``, as this package's have; else it changes nothing.
    """

    epochs: int = 10
    images_per_epoch: int | None = None
    batch_size: int = 256
    learning_rate: float = 4e-3
    weight_decay: float = 1e-2
    optimizer: str = "adamw"
    schedule: str = "one-cycle"
    seed: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)
    accelerator: str = "auto"
    devices: int = 1
    num_nodes: int = 1
    precision: str = "auto"
    cuda_graphs: bool = True

    def __post_init__(self) -> None:
        checked = {
            name: checks.integer(name, getattr(self, name), least)
            for name, least in (
                ("epochs", 1),
                ("batch_size", 2),
                ("devices", 1),
                ("num_nodes", 1),
            )
        }
        taken = self.images_per_epoch
        if taken is not None:
            checked["images_per_epoch"] = _images_per_epoch(taken, checked["batch_size"])
        checked["seed"] = checks.seed("seed", self.seed)
        checked["cuda_graphs"] = checks.flag("cuda_graphs", self.cuda_graphs)
        checks.instance("augmentation", self.augmentation, Augmentation)
        for name, allowed in (
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("accelerator", ACCELERATORS),
            ("precision", PRECISIONS),
        ):
            checks.choice(name, getattr(self, name), allowed)
        numbers = {
            "learning_rate": checks.number("learning_rate", self.learning_rate, above=0),
            "weight_decay": checks.number("weight_decay", self.weight_decay, least=0),
        }
        # As plain numbers of Python, whatever kind they came in: they go into records.
        for name, value in (checked | numbers).items():
            object.__setattr__(self, name, value)


def _images_per_epoch(value: object, batch_size: int) -> int:
    try:
        return checks.integer("images_per_epoch", value, batch_size)
    except ValueError:
        raise ValueError(
            f"images_per_epoch must be None or an integer of at least the batch_size {batch_size}, "
            f"got {checks.show(value)}"
        ) from None


def launch(config: TrainingConfig) -> Fabric:
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
    device = resolve_device(config.accelerator)
    devices, num_nodes = launched_processes(config)
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
    # Batch normalisation is shared already; its statistics are the same everywhere.
    shared = DDPStrategy(forward_sync_buffers=False, gradient_as_bucket_view=True)
    strategy = shared if processes > 1 else "auto"
    fabric = _fabric(config, device, strategy=strategy, devices=devices, num_nodes=num_nodes)
    fabric.launch()
    if fabric.world_size != processes:
        raise ValueError(
            f"devices and num_nodes must be those that were started, {fabric.world_size} processes "
            f"in all, got {devices} and {num_nodes}"
        )
    return fabric


def launched_processes(config: TrainingConfig) -> tuple[int, int]:
    """Return the processes on each machine, and the machines, that will train.

    They are those of the configuration, unless ``torchrun`` says how many there are.

    Raises:
        ValueError: torchrun or SLURM has started others than the configuration asks for, or
            variables that tell a process its place are missing.
    """
    devices, num_nodes = config.devices, config.num_nodes
    if "TORCHELASTIC_RUN_ID" in os.environ and devices == num_nodes == 1:
        devices = _count("LOCAL_WORLD_SIZE")
        num_nodes = _count("WORLD_SIZE") // devices
    _check_launched(devices, num_nodes)
    return devices, num_nodes


def _check_launched(devices: int, num_nodes: int) -> None:
    """Compare the processes that torchrun or SLURM says it has started with those asked for."""
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


def _fabric(config: TrainingConfig, device: torch.device, **processes: Any) -> Fabric:
    # Its notes on precision and ranks would stand between the lines of a progress bar.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    precision = resolve_precision(config.precision, device)
    return Fabric(
        accelerator=device.type,
        precision="bf16-mixed" if precision == "bf16" else "32-true",
        **processes,
    )


def train(
    model: nn.Module,
    criterion: Callable[[Any, Tensor, Tensor], dict[str, Tensor]],
    dataset: ImageDataset,
    config: TrainingConfig,
    *,
    validate: Callable[[nn.Module], Metrics] | None = None,
    on_epoch: Callable[[Metrics], None] | None = None,
    on_step: Callable[[float], None] | None = None,
    state_file: str | os.PathLike[str] | None = None,
    save_every: float = 60.0,
    fabric: Fabric | None = None,
    progress: bool = True,
) -> list[Metrics]:
    """Train a model in place.

    Args:
        model: Takes images (N, 1, S, S) in [-1, 1], where S is its attribute ``image_size``. It is
            moved to the chosen device.
        criterion: Takes the model's output, images and labels; returns scalars, among them
            ``loss``, which is minimised. Each is a mean over the batch.
        dataset: The training images.
        config: How to train.
        validate: Called with the model after each epoch, in the first process only; its metrics
            join the epoch's.
        on_epoch: Called with each epoch's metrics as soon as they are known, in the first process
            only.
        on_step: Called before each step with the share of all steps that is done, from 0 to below
            1; for schedules.
        state_file: Where to keep the state of the run: after each epoch, every ``save_every``
            seconds, and when Ctrl-C or SIGTERM ends it. If the file exists, the run goes on from
            there, and on a CPU ends with the very weights of an uninterrupted one.
        save_every: Seconds between two savings inside an epoch.
        fabric: What `launch` returned, if it has been called already.
        progress: Whether to show a progress bar, on standard error.

    Returns:
        One dictionary an epoch: ``epoch`` from 1, the criterion's scalars averaged over the epoch,
        ``learning_rate`` at its end, ``seconds`` and ``images_per_second`` of its training steps,
        and what ``validate`` returned with ``validation_`` before each name.

    Raises:
        ValueError: An argument is something else, the batch is larger than the data set, its labels
            are others than the classes of model or criterion, or ``state_file`` is no state of
            this run.
        FloatingPointError: The loss is no longer finite. The state is that of an earlier moment.
        KeyboardInterrupt: Ctrl-C or SIGTERM, after the current step.
    """
    _check_arguments(model, criterion, dataset, config)
    for name, call in (("validate", validate), ("on_epoch", on_epoch), ("on_step", on_step)):
        if call is not None:
            checks.function(name, call)
    state_file = None if state_file is None else checks.path("state_file", state_file)
    save_every = checks.number("save_every", save_every, least=0)
    progress = checks.flag("progress", progress)
    if fabric is not None:
        checks.instance("fabric", fabric, Fabric, "csae.training.launch returns one")
    steps = steps_per_epoch(dataset, config)
    fabric = launch(config) if fabric is None else fabric
    device, share = fabric.device, config.batch_size // fabric.world_size
    if device.type == "cpu":
        keep_freed_memory()
    # Channels-last is the layout the convolution kernels prefer; it changes speed, not results.
    model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    share_batch_norm(model)
    optimizer = make_optimizer(model, config)
    schedule = make_schedule(optimizer, config, steps)
    prepared, stepper = fabric.setup(model, optimizer)
    if _fits(dataset, device):
        dataset = dataset.to(device)
    recorded = on_step is None and _is_worth_recording(model, config, fabric, steps)
    state = TrainingState(model, optimizer, schedule, _identity(config, dataset), device)
    progress = progress and fabric.is_global_zero
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng())
        torch.manual_seed(config.seed)
        if state_file is not None and state_file.exists():
            state.load(state_file)
        stack.enter_context(_threads(state.threads, fabric))
        interrupt = stack.enter_context(_interrupts())
        bar = stack.enter_context(_bar(config, steps, progress))
        looked = saved = time.perf_counter()
        bar.update(((state.epoch - 1) * steps + state.step) * config.batch_size)
        while state.epoch <= config.epochs:
            model.train()
            bar.set_description(_position(state, config, device))
            started = time.perf_counter() - state.seconds
            forward = _record(model, config, device) if recorded else prepared
            order = visiting_order(len(dataset), config, state.epoch)  # (steps, batch_size)
            own = order.view(steps, fabric.world_size, share)[state.step :, fabric.global_rank]
            for images, labels in batches(
                dataset,
                share,
                device=device,
                order=own.flatten(),
                augmentation=config.augmentation,
                image_size=model.image_size,  # type: ignore[arg-type]
            ):
                if on_step is not None:
                    on_step(((state.epoch - 1) * steps + state.step) / (config.epochs * steps))
                output = forward(images)
                terms = criterion(output, images, labels)
                stepper.zero_grad()
                fabric.backward(_loss(terms))
                stepper.step()
                schedule.step()
                state.add(terms)
                bar.update(config.batch_size)
                now = time.perf_counter()
                if interrupt.is_set() or now - looked > _LOOK_EVERY:
                    looked, state.seconds = now, now - started
                    _check_finite(state, config, state_file)
                    bar.set_postfix_str(summary(_last_measured(state) | _means(state)), False)
                    if interrupt.is_set() or now - saved > save_every:
                        saved = now
                        _save(state, state_file, fabric)
                    if interrupt.is_set():
                        raise KeyboardInterrupt
            _check_finite(state, config, state_file)
            state.seconds = time.perf_counter() - started
            metrics = _close_epoch(state, config, fabric, validate)
            bar.set_postfix_str(summary({k: v for k, v in metrics.items() if k not in TIMINGS}))
            _save(state, state_file, fabric)
            saved = time.perf_counter()
            if on_epoch is not None and fabric.is_global_zero:
                on_epoch(metrics)
            if interrupt.is_set():
                raise KeyboardInterrupt
    return state.history


def visiting_order(count: int, config: TrainingConfig, epoch: int) -> Tensor:
    """Return the rows that an epoch visits, a row a batch: (steps, batch_size) int64.

    It depends on the seed and the epoch only. Images that do not fill a last batch are left out, so
    that batch normalisation always sees a full batch, and so are those beyond
    ``images_per_epoch``; different ones in each epoch.

    Args:
        count: Images in the data set, at least ``config.batch_size``.
        config: How to train.
        epoch: From 1.

    Raises:
        ValueError: An argument is out of range.
    """
    checks.instance("config", config, TrainingConfig)
    count = checks.integer("count", count, config.batch_size)
    epoch = checks.integer("epoch", epoch, 1)
    # PyTorch's generator heeds 32 bits of a seed: NumPy makes them of both numbers.
    mixed = np.random.SeedSequence((config.seed, epoch)).generate_state(1)
    generator = torch.Generator().manual_seed(int(mixed[0]))
    steps = _steps(count, config)
    order = torch.randperm(count, generator=generator, device="cpu")
    return order[: steps * config.batch_size].view(steps, config.batch_size)


def make_optimizer(model: nn.Module, config: TrainingConfig) -> Optimizer:
    """Return the optimiser of a configuration for a model's parameters."""
    checks.instance("model", model, nn.Module)
    checks.instance("config", config, TrainingConfig)
    settings: dict[str, Any] = {"lr": config.learning_rate, "weight_decay": config.weight_decay}
    # One kernel for the whole update instead of several for each parameter.
    settings["fused"] = next(model.parameters()).device.type in ("cpu", "cuda")
    if config.optimizer == "muon":
        return Muon(model, **settings)
    if config.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), momentum=0.9, **settings)
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(model.parameters(), **settings)


def make_schedule(optimizer: Optimizer, config: TrainingConfig, steps: int) -> LRScheduler:
    """Return the schedule of a configuration; it moves with each of an epoch's ``steps``.

    PyTorch's one-cycle moves the momentum, too, or Adam's first beta: down while the rate goes up.

    Equations: one-cycle.
    """
    checks.instance("optimizer", optimizer, Optimizer)
    checks.instance("config", config, TrainingConfig)
    steps = checks.integer("steps", steps, 1)
    total = config.epochs * steps
    if config.schedule == "one-cycle":
        return OneCycleLR(optimizer, max_lr=config.learning_rate, total_steps=total)
    if config.schedule == "step":
        return StepLR(optimizer, max(1, round(config.epochs / 4)) * steps, gamma=0.1)
    return LambdaLR(optimizer, lambda _: 1.0)


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
    criterion: Callable[[Any, Tensor, Tensor], dict[str, Tensor]],
    dataset: ImageDataset,
    config: TrainingConfig,
    *,
    lowest: float = 1e-5,
    highest: float = 1.0,
    steps: int = 100,
) -> RangeTest:
    """Train a copy of a model while the learning rate rises from step to step (Smith, 2017).

    Rates rise by the same factor from step to step. Losses are smoothed by an exponential mean
    over some ten steps. The test ends early when the loss is no longer finite, or the smoothed one
    four times its lowest value. It runs on one device, whatever the configuration says.

    Equations: range-rates.

    Args:
        model: As for `train`; it is left as it was.
        criterion: As for `train`.
        dataset: The training images.
        config: How to train; ``learning_rate``, ``schedule`` and ``epochs`` are not used.
        lowest: First learning rate, above 0.
        highest: Last one, above ``lowest``.
        steps: How many steps, at least 2.

    Raises:
        ValueError: An argument is out of range, or the batch is larger than the data set, or see
            `train`.
    """
    _check_arguments(model, criterion, dataset, config)
    lowest = checks.number("lowest", lowest, above=0)
    highest = checks.number("highest", highest, above=lowest)
    steps = checks.integer("steps", steps, 2)
    epochs = math.ceil(steps / steps_per_epoch(dataset, config))
    device = resolve_device(config.accelerator)
    fabric = _fabric(config, device, devices=1)
    trial = copy.deepcopy(model).train()
    trial.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
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
            loss = _loss(criterion(prepared(images), images, labels))
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


def steps_per_epoch(dataset: ImageDataset, config: TrainingConfig) -> int:
    """Return the steps of an epoch: its full batches.

    Raises:
        ValueError: The batch is larger than the data set, or an argument is something else.
    """
    checks.instance("dataset", dataset, ImageDataset)
    checks.instance("config", config, TrainingConfig)
    if config.batch_size > len(dataset):
        raise ValueError(
            f"batch_size must be at most the {len(dataset):,} training images, "
            f"got {config.batch_size}"
        )
    return _steps(len(dataset), config)


def _steps(count: int, config: TrainingConfig) -> int:
    return min(count, config.images_per_epoch or count) // config.batch_size


def _check_arguments(model: Any, criterion: Any, dataset: Any, config: Any) -> None:
    """Refuse what does not fit together before anything starts."""
    checks.instance("config", config, TrainingConfig)
    checks.instance("dataset", dataset, ImageDataset)
    checks.instance("model", model, nn.Module)
    if not isinstance(getattr(model, "image_size", None), int):
        raise ValueError(
            "model must have an attribute image_size, the height and width of the images it takes, "
            f"got {type(model).__name__} without one"
        )
    checks.function("criterion", criterion)
    # Once, here: in a step on a GPU nobody looks at the labels.
    checks.labels("dataset.labels", dataset.labels, len(dataset), dataset.num_classes)
    parts = criterion.modules() if isinstance(criterion, nn.Module) else ()
    for part in (model, *parts):
        classes = getattr(part, "num_classes", None)
        if isinstance(classes, int) and classes != dataset.num_classes:
            raise ValueError(
                f"dataset has {dataset.num_classes} classes, but {type(part).__name__} was built "
                f"for {classes}"
            )


def _bar(config: TrainingConfig, steps: int, progress: bool) -> tqdm:
    return progress_bar(
        shown=progress,
        total=config.epochs * steps * config.batch_size,
        unit=" images",
        mininterval=0.5,
        dynamic_ncols=True,
    )


def _position(state: TrainingState, config: TrainingConfig, device: torch.device) -> str:
    epoch = f"epoch {state.epoch}/{config.epochs}"
    return (
        f"{epoch}, {counted(torch.get_num_threads(), 'thread')}" if device.type == "cpu" else epoch
    )


@contextmanager
def _threads(begun_with: int | None, fabric: Fabric) -> Iterator[None]:
    """Train with the threads that the run began with, or as many as are free at its start.

    A number that somebody chose stays, and so does that of several processes, among which Fabric
    has shared the cores.
    """
    before = torch.get_num_threads()
    if fabric.device.type == "cpu" and fabric.world_size == 1 and not threads_are_chosen():
        if begun_with is not None:
            torch.set_num_threads(begun_with)
        elif not threads_are_settled():
            torch.set_num_threads(free_threads())
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _interrupts() -> Iterator[threading.Event]:
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


def _fits(dataset: ImageDataset, device: torch.device) -> bool:
    """Whether the images may move to the device, leaving half of its free memory for the rest."""
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return dataset.images.nbytes < free / 2


def _identity(config: TrainingConfig, dataset: ImageDataset) -> dict[str, Any]:
    """Return what a run and its continuation must share."""
    settings = dataclasses.asdict(config)
    for name in _MACHINE:
        del settings[name]
    return settings | {"training images": dataset.fingerprint}


def _is_worth_recording(
    model: nn.Module, config: TrainingConfig, fabric: Fabric, steps: int
) -> bool:
    """Whether the same kernels run in each step of an epoch, in one queue, and in enough steps.

    Models say it of themselves: nobody knows what a model from elsewhere changes between steps.
    """
    if not (config.cuda_graphs and getattr(model, "replayable", False)):
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


def _record(model: Any, config: TrainingConfig, device: torch.device) -> Any:
    """Record the kernels of a step, forward and backward; return a call that replays them.

    A small network is a few hundred short kernels, and Python takes longer to start them than a GPU
    to run them. A recording starts them all at once.
    """
    if hasattr(torch.autograd.graph, "set_warn_on_accumulate_grad_stream_mismatch"):
        # The recording's own stream is another one than that of the loop; it is meant to be.
        torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)
    casting = _Casting(model, resolve_precision(config.precision, device) == "bf16").train()
    size = model.image_size
    images = torch.zeros(config.batch_size, 1, size, size, device=device)
    # Recording makes a few steps forward. They must leave no trace.
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    with torch.random.fork_rng(devices=[device]):
        replay = torch.cuda.make_graphed_callables(casting, (images,))
    for buffer, before in buffers:
        buffer.copy_(before)
    return replay


def _loss(terms: object) -> Tensor:
    """Return what is minimised of what a criterion returned."""
    if not (isinstance(terms, dict) and isinstance(terms.get("loss"), Tensor)):
        raise ValueError(
            'criterion must return a dictionary of scalar tensors with "loss" among them, got '
            f"{checks.show(terms)}"
        )
    loss: Tensor = terms["loss"]
    return loss


def _means(state: TrainingState) -> Metrics:
    return {name: float(total / state.step) for name, total in state.sums.items()}


def _last_measured(state: TrainingState) -> Metrics:
    """Return what was measured on the validation images after the latest complete epoch."""
    latest = state.history[-1] if state.history else {}
    return {name: value for name, value in latest.items() if name.startswith("validation_")}


def _check_finite(state: TrainingState, config: TrainingConfig, state_file: Path | None) -> None:
    loss = _means(state)["loss"]
    if math.isfinite(loss):
        return
    kept = ""
    if state_file is not None and state_file.exists():
        kept = f". What was finite is kept in {state_file}"
    raise FloatingPointError(
        f"the loss is {loss} after step {state.step} of epoch {state.epoch}: begin a new run with "
        f"a learning_rate below {config.learning_rate:g}{kept}"
    )


def _save(state: TrainingState, path: Path | None, fabric: Fabric) -> None:
    if path is None or not fabric.is_global_zero:
        return
    try:
        state.save(path)
    except OSError as error:
        raise OSError(
            error.errno,
            f"the state of the run could not be saved ({error.strerror}). Make room and resume: "
            "an earlier state, if there was one, is still there",
            str(path),
        ) from error


def _close_epoch(
    state: TrainingState,
    config: TrainingConfig,
    fabric: Fabric,
    validate: Callable[[nn.Module], Metrics] | None,
) -> Metrics:
    """Average the epoch's scalars over its steps and processes, measure, and close the epoch."""
    images = state.step * config.batch_size
    totals: Any = fabric.all_reduce(state.sums, reduce_op="mean")
    metrics: Metrics = {"epoch": state.epoch}
    metrics |= {name: float(total / state.step) for name, total in totals.items()}
    metrics["learning_rate"] = float(state.schedule.get_last_lr()[0])
    if validate is not None and fabric.is_global_zero:
        metrics |= {f"validation_{k}": v for k, v in validate(state.model).items()}
    metrics |= {"seconds": state.seconds, "images_per_second": images / state.seconds}
    metrics = fabric.broadcast(metrics)
    state.finish_epoch(metrics)
    return metrics
