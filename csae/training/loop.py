"""The training loop: it takes a model, a loss and data without knowing which.

Whatever the number of processes, a batch holds the same images with the same random changes and the
same noise.

Taught in the chapter on full training.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from csae import checks
from csae.data import ImageDataset, batches
from csae.distributed import share_batch_norm
from csae.runtime import keep_freed_memory, resolve_precision
from csae.training.config import TrainingConfig
from csae.training.graphs import is_worth_recording, record_kernels
from csae.training.identity import content_of
from csae.training.machine import Machine, launch, place, settled_threads
from csae.training.optimisation import make_optimizer, make_schedule
from csae.training.order import steps_per_epoch, visiting_order
from csae.training.state import Metrics, TrainingState
from csae.training.watching import Watch, interrupts, run_bar

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Criterion = Callable[[Any, Tensor, Tensor], dict[str, Tensor]]


def train(
    model: nn.Module,
    criterion: Criterion,
    dataset: ImageDataset,
    config: TrainingConfig,
    *,
    machine: Machine | None = None,
    validate: Callable[[nn.Module], Metrics] | None = None,
    on_epoch: Callable[[Metrics], None] | None = None,
    on_step: Callable[[float], None] | None = None,
    state_file: str | os.PathLike[str] | None = None,
    save_every: float = 60.0,
    belongs_to: Mapping[str, Any] | None = None,
    fabric: Fabric | None = None,
    progress: bool = True,
) -> list[Metrics]:
    """Train a model in place.

    Args:
        model: Takes images (N, 1, S, S) in [-1, 1], where S is its attribute ``image_size``, and
            labels (N,) behind them if it has a true attribute ``takes_labels``. It is moved to the
            chosen device.
        criterion: Takes the model's output, images and labels; returns scalars, among them
            ``loss``, which is minimised. Each is a mean over the batch.
        dataset: The training images.
        config: How to train.
        machine: What to compute with; this one's fastest device by default.
        validate: Called with the model after each epoch, in the first process only; its metrics
            join the epoch's.
        on_epoch: Called with each epoch's metrics as soon as they are known, in the first process
            only; and once more with the same ones if the run is killed before it has kept them.
        on_step: Called before each step with the share of all steps that is done, from 0 to below
            1; for schedules.
        state_file: Where to keep the state of the run: after each epoch, every ``save_every``
            seconds, and when Ctrl-C or SIGTERM ends it. If the file exists, the run goes on from
            there, and on a CPU ends with the very weights of an uninterrupted one. Configuration,
            images, precision, and the settings of model and criterion must be the same.
        save_every: Seconds between two savings inside an epoch.
        belongs_to: Plain values that the state of the run holds, too, and that must be the same
            when it is resumed: the name of a recipe, say.
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
        FloatingPointError: Loss or weights are no longer finite. The state is that of an earlier
            moment.
        KeyboardInterrupt: Ctrl-C or SIGTERM, after the current step.
    """
    check_arguments(model, criterion, dataset, config)
    machine = Machine() if machine is None else checks.instance("machine", machine, Machine)
    for name, call in (("validate", validate), ("on_epoch", on_epoch), ("on_step", on_step)):
        if call is not None:
            checks.function(name, call)
    state_file = None if state_file is None else checks.path("state_file", state_file)
    save_every = checks.number("save_every", save_every, least=0, infinite=True)
    progress = checks.flag("progress", progress)
    if fabric is not None:
        from lightning_fabric import Fabric

        checks.instance("fabric", fabric, Fabric, "csae.training.launch returns one")
    steps = steps_per_epoch(dataset, config)
    fabric = launch(config, machine) if fabric is None else fabric
    device, share = fabric.device, config.batch_size // fabric.world_size
    if device.type == "cpu":
        keep_freed_memory()
    place(model, device)
    share_batch_norm(model)
    optimizer = make_optimizer(model, config)
    schedule = make_schedule(optimizer, config, steps)
    prepared, stepper = fabric.setup(model, optimizer)
    if _fits(dataset, device):
        dataset = dataset.to(device)
    precision = resolve_precision(machine.precision, device)
    recorded = on_step is None and is_worth_recording(model, machine, fabric, steps)
    run = dataclasses.asdict(config) | {
        "training images": dataset.fingerprint,
        "precision": precision,
        "model": content_of(model),
        "criterion": content_of(criterion),
        "belongs to": dict(belongs_to or {}),
    }
    state = TrainingState(model, optimizer, schedule, run, device)
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng())
        torch.manual_seed(config.seed)
        if state_file is not None and state_file.exists():
            state.load(state_file)
        stack.enter_context(settled_threads(machine.threads, state.threads, fabric))
        interrupt = stack.enter_context(interrupts())
        bar = stack.enter_context(run_bar(config, steps, progress and fabric.is_global_zero))
        watch = Watch(state, config, fabric, steps, interrupt, state_file, save_every, bar)
        while state.epoch <= config.epochs:
            model.train()
            watch.begin_epoch()
            forward = prepared
            if recorded:
                forward = record_kernels(model, config.batch_size, precision, device)
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
                output = output_of(model, forward, images, labels)
                terms = criterion(output, images, labels)
                stepper.zero_grad()
                fabric.backward(loss_of(terms))
                stepper.step()
                schedule.step()
                state.add(terms)
                watch.step()
            watch.finish_steps()
            metrics = _close_epoch(state, config, fabric, validate)
            if on_epoch is not None and fabric.is_global_zero:
                on_epoch(metrics)
            watch.end_epoch(metrics)
    return state.history


def check_arguments(model: Any, criterion: Any, dataset: Any, config: Any) -> None:
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


def output_of(model: nn.Module, forward: Callable[..., Any], images: Tensor, labels: Tensor) -> Any:
    """Call what stands for a model in training, with the labels if the model asks for them."""
    return forward(images, labels) if getattr(model, "takes_labels", False) else forward(images)


def loss_of(terms: object) -> Tensor:
    """Return what is minimised of what a criterion returned."""
    if not (isinstance(terms, dict) and isinstance(terms.get("loss"), Tensor)):
        raise ValueError(
            'criterion must return a dictionary of scalar tensors with "loss" among them, got '
            f"{checks.show(terms)}"
        )
    loss: Tensor = terms["loss"]
    return loss


def _fits(dataset: ImageDataset, device: torch.device) -> bool:
    """Whether the images may move to the device, leaving half of its free memory for the rest."""
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return dataset.images.nbytes < free / 2


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
