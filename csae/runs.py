"""Runs: the one way to make them, whoever asks: the command line, an experiment or a chapter.

A run is settled before it begins, goes on after an interruption with the same command, and ends
with a record. In its folder stand ``settings.json``, the state until it is complete, the weights
and the record.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from csae import checks, runtime, schema
from csae.data import ImageDataset
from csae.evaluation import Measure, Trained, evaluate, psnr, reconstruct
from csae.files import remove_leftovers, write_whole
from csae.losses import CentroidCrossEntropy
from csae.models import Autoencoder
from csae.recipes import Recipe
from csae.records import FORMAT, Part, Record, load_record, write_record
from csae.training import TIMINGS, Machine, Metrics, launch, launched_processes, train
from csae.training.state import saved_threads
from csae.weights import pack_checkpoint

if TYPE_CHECKING:
    from lightning_fabric import Fabric

if sys.platform == "win32":
    fcntl = None
else:
    import fcntl

SETTINGS = "settings.json"
STATE = "state.safetensors"
CHECKPOINT = "checkpoint.safetensors"
RECORD = "record.json"
_SETTINGS_FORMAT = "csae-settings-1"


@dataclass(frozen=True)
class Settings:
    """All that makes a run, and what it is called.

    Attributes:
        dataset: Name of the data set, with ``-sample`` behind it for the shipped sample.
        recipe: What is trained, and how.
        precision: ``"fp32"`` or ``"bf16"``, settled: a continuation computes with the same one.
        recipe_name: Name of the recipe it began with, or None.
        experiment: The experiment it belongs to, or None.
        setting: Which of the experiment's settings it is, or None.
        format: Names the layout of the file.
    """

    dataset: str
    recipe: Recipe
    precision: str
    recipe_name: str | None = None
    experiment: str | None = None
    setting: str | None = None
    format: str = _SETTINGS_FORMAT

    def __post_init__(self) -> None:
        checks.choice("format", self.format, (_SETTINGS_FORMAT,))
        checks.choice("precision", self.precision, ("fp32", "bf16"))
        checks.instance("recipe", self.recipe, Recipe)


@dataclass(frozen=True)
class Run:
    """A run that is complete.

    Attributes:
        model: The trained model, where it was trained.
        record: Everything that made it, and what was measured.
    """

    model: Autoencoder
    record: Record


def settle(
    recipe: Recipe,
    dataset: str,
    machine: Machine | None = None,
    *,
    recipe_name: str | None = None,
    experiment: str | None = None,
    setting: str | None = None,
) -> Settings:
    """Settle all that makes a run, so that a continuation elsewhere computes the same.

    Args:
        recipe: What is trained, and how.
        dataset: Name of the data set.
        machine: What to compute with; this one's fastest device by default.
        recipe_name: Name of the recipe, if it has one.
        experiment: The experiment it belongs to, if any.
        setting: Which of the experiment's settings it is.

    Raises:
        ValueError: The accelerator is not present.
    """
    machine = Machine() if machine is None else checks.instance("machine", machine, Machine)
    precision = machine.settled().precision
    return Settings(dataset, recipe, precision, recipe_name, experiment, setting)


def make(
    settings: Settings,
    parts: Mapping[str, ImageDataset],
    *,
    machine: Machine | None = None,
    folder: Path | None = None,
    measure: Measure | None = None,
    on_epoch: Callable[[Autoencoder, Metrics], None] | None = None,
    save_every: float = 60.0,
    fabric: Fabric | None = None,
    progress: bool = True,
) -> Run:
    """Make a run: build, train, measure, and keep what came of it.

    Args:
        settings: All that makes it.
        parts: The parts of its data set: ``"train"``; ``"validation"``, measured after each epoch
            and at the end; and ``"test"``, measured once at the end. The last two may be left out.
        machine: What to compute with.
        folder: Where it keeps settings, state, weights and record; a run that was interrupted
            there goes on. None to keep nothing. Use `locked` around it.
        measure: Further measures of the trained model: on the test images where they are among the
            parts, else on the validation images.
        on_epoch: Called with the model and an epoch's metrics, in the first process only.
        save_every: Seconds between two savings of the state inside an epoch.
        fabric: What `csae.training.launch` returned, if it has been called already.
        progress: Whether to show a progress bar, on standard error.

    Returns:
        Model and record. In another than the first of several processes, the record is not kept.

    Raises:
        ValueError: An argument is something else, or the folder holds another run.
        FloatingPointError: The loss, the weights or a measure are not finite.
        KeyboardInterrupt: Ctrl-C or SIGTERM; with a folder, nothing is lost.
    """
    checks.instance("settings", settings, Settings)
    machine = Machine() if machine is None else checks.instance("machine", machine, Machine)
    machine = dataclasses.replace(machine, precision=settings.precision)
    started, clock = datetime.now(timezone.utc), time.perf_counter()
    fabric = launch(settings.recipe.training, machine) if fabric is None else fabric
    devices, num_nodes = launched_processes(machine)
    here = runtime.environment(fabric.device)  # now: the source may change while it trains
    with torch.random.fork_rng():
        torch.manual_seed(settings.recipe.training.seed)
        model, criterion = settings.recipe.build(parts["train"].num_classes)
    state = None if folder is None else folder / STATE
    resumed = state is not None and state.exists()
    if folder is not None and fabric.is_global_zero:
        _keep_settings(folder, settings)
    threads: list[int] = []

    def finish_epoch(metrics: Metrics) -> None:
        threads.append(torch.get_num_threads())
        if on_epoch is not None:
            on_epoch(model, metrics)

    validation = parts.get("validation")
    history = train(
        model,
        criterion,
        parts["train"],
        settings.recipe.training,
        machine=machine,
        validate=None if validation is None else lambda _: _watched(model, validation),
        on_epoch=finish_epoch,
        state_file=state,
        save_every=save_every,
        belongs_to=schema.from_json(schema.to_json(settings), SETTINGS),
        fabric=fabric,
        progress=progress,
    )
    if not threads and state is not None and state.exists():  # it had ended after its last epoch
        threads.append(saved_threads(state))
    here |= {"threads": (threads or [here["threads"]])[-1], "processes": fabric.world_size}
    weights = pack_checkpoint(
        model, dataset=settings.dataset, num_classes=parts["train"].num_classes
    )
    if folder is not None and fabric.is_global_zero:
        write_whole(folder / CHECKPOINT, weights)
    scores = _measured(model, parts, settings.recipe, measure, fabric.is_global_zero)
    record = Record(
        format=FORMAT,
        experiment=settings.experiment,
        setting=settings.setting,
        recipe_name=settings.recipe_name,
        dataset=settings.dataset,
        num_classes=parts["train"].num_classes,
        recipe=settings.recipe,
        machine=dataclasses.replace(
            machine,
            accelerator=fabric.device.type,
            devices=devices,
            num_nodes=num_nodes,
            threads=here["threads"],
        ),
        data={name: Part(len(part), part.fingerprint, part.source) for name, part in parts.items()},
        parameters=sum(p.numel() for p in model.parameters()),
        history=[{k: v for k, v in epoch.items() if k not in TIMINGS} for epoch in history],
        **scores,
        measured_by=None if measure is None else here["commit"],
        weights_sha256=hashlib.sha256(weights).hexdigest(),
        environment=here,
        # Everything that differs between two runs of one seed on one machine stands below.
        timing={
            "started": started.isoformat(timespec="seconds"),
            "seconds": time.perf_counter() - clock,
            "resumed": resumed,
            "epochs": [{k: epoch[k] for k in TIMINGS} for epoch in history],
        },
        filled_in=[],
    )
    if folder is not None and fabric.is_global_zero:
        write_record(folder / RECORD, record)
        (folder / STATE).unlink(missing_ok=True)  # complete: nothing is left to resume
    return Run(model, record)


def _keep_settings(folder: Path, settings: Settings) -> None:
    """Write the settings of a run, never over those of another one."""
    path = folder / SETTINGS
    if path.exists():
        there = schema.build(Settings, schema.read_json(path), str(path))
        if found := schema.differing(*(json.loads(schema.to_json(s)) for s in (there, settings))):
            name, theirs, ours = found
            raise ValueError(
                f"{folder} holds another run: its {name} is {checks.show(theirs)}, not "
                f"{checks.show(ours)}. Name another folder, or remove that one"
            )
    else:
        write_whole(path, schema.to_json(settings))


def _watched(model: Autoencoder, validation: ImageDataset) -> dict[str, float]:
    """Measure a model after an epoch; no classes where it would have to try each of them."""
    if model.takes_labels:
        again = reconstruct(model, validation).reconstructions
        return {"psnr": psnr(validation.images.cpu() / 255, again)}
    return evaluate(model, validation)


def _measured(
    model: Autoencoder,
    parts: Mapping[str, ImageDataset],
    recipe: Recipe,
    measure: Measure | None,
    first: bool,
) -> dict[str, Any]:
    """Measure a trained model, in the first process: once, after everything is decided."""
    scores = {
        name: evaluate(model, parts[name]) if first and name in parts else None
        for name in ("validation", "test")
    }
    measures: dict[str, float] = {}
    if measure is not None and first and {"validation", "test"} & parts.keys():
        scale = CentroidCrossEntropy(recipe.smoothing).scale(parts["train"].num_classes)
        measures = dict(measure(Trained(model, parts, scale)))
    for found in (scores["validation"], scores["test"], measures):
        for name, value in (found or {}).items():
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"the measure {name} of the trained model is {value}, which no record can "
                    "hold; its weights are kept"
                )
    return {**scores, "measures": measures}


def read_settings(folder: Path) -> Settings:
    """Read back what the run in a folder does.

    Raises:
        ValueError: There is no run in it, its settings are damaged, or it is complete.
    """
    if (folder / RECORD).exists():
        with locked(folder):  # which removes what it left when it was ended just before its end
            pass
        raise ValueError(f"the run in {folder} is complete: nothing is left to resume")
    path = folder / SETTINGS
    if not path.exists():
        raise ValueError(
            f"resume must be the folder of a run, got {folder}: no {SETTINGS} in it. A run that "
            "was ended before it wrote its settings has done nothing yet: begin it anew"
        )
    return schema.build(Settings, schema.read_json(path), str(path))


def finished(folder: Path) -> Record | None:
    """Return the record of the run in a folder, if it is complete."""
    path = folder / RECORD
    return load_record(path) if path.exists() else None


def is_free(folder: Path) -> bool:
    """Whether a folder holds nothing but what a run left that was ended before it began."""
    if not folder.is_dir():
        return not os.path.lexists(folder)
    return all(_is_litter(entry.name) for entry in folder.iterdir())


def _is_litter(name: str) -> bool:
    return name.startswith(f".{SETTINGS}-")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run's folder, so that no other process works in it; a dead process holds nothing.

    The folder is made where it is missing, and what an ended process left half written is removed.

    Raises:
        ValueError: Another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY) if fcntl is not None else None
    try:
        _lock(handle, folder)
    except ValueError:
        os.close(handle)
        raise
    try:
        for name in (SETTINGS, STATE, CHECKPOINT, RECORD):
            remove_leftovers(folder / name)
        if (folder / RECORD).exists():  # ended just before the state was removed
            (folder / STATE).unlink(missing_ok=True)
        yield
    finally:
        if handle is not None:
            os.close(handle)  # and with it the lock
        with suppress(OSError):  # it holds something, as it should
            folder.rmdir()


def _lock(handle: int | None, folder: Path) -> None:
    """Lock a folder, where the system and its file system can: Windows cannot."""
    if handle is None:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            raise ValueError(
                f"{folder} is in use: another process is making the run in it"
            ) from None
