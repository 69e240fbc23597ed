"""The command ``csae train``."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tqdm import tqdm

from csae import checks, data, files, kinds, runs, runtime, schema, training
from csae.cli import fields
from csae.cli import options as shared
from csae.data import Augmentation
from csae.networks import NetworkConfig
from csae.recipes import ABOUT, RECIPES, Recipe, recipe
from csae.records import Record
from csae.training import Machine, TrainingConfig
from csae.weights import save_checkpoint

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_RECIPE = "quick"
_VALUES = (Recipe, NetworkConfig, TrainingConfig, Augmentation)  # what makes a run
# What goes with --resume, beside the options of --help that say so.
_BESIDE_RESUME = (
    "--root, --no-download, --redownload, --accelerator, --devices, --num-nodes, --precision, "
    "--threads, --cuda-graphs, --save-every, --tensorboard, --quiet, --json and --dry-run"
)


def add(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    train = commands.add_parser(
        "train",
        help="train a model; write its weights and a record of the run",
        description="Train a model, measure it once on the test images, and write its weights and "
        "a record.\nA recipe says how; each option below that is given changes one value of it.",
        epilog=f"recipes:\n{_table(ABOUT)}\n\n"
        f"kinds of model, each with the weights that it needs:\n{_table(kinds.ABOUT)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    train.set_defaults(run=_run)
    shared.add_data(train, default="none, a new run needs it")
    train.add_argument(
        "--recipe",
        choices=tuple(RECIPES),
        default=argparse.SUPPRESS,
        help=f"how to train (default: {_RECIPE})",
    )
    where = train.add_mutually_exclusive_group()
    where.add_argument(
        "--out",
        type=shared.path,
        metavar="FOLDER",
        help="folder for the results; it must be new or empty (default: a new folder in runs/)",
    )
    where.add_argument(
        "--resume",
        type=shared.path,
        metavar="FOLDER",
        help="go on with the interrupted run in this folder; its settings stay, give only --root, "
        "--tensorboard and the options of the machine and of the output again",
    )
    train.add_argument(
        "--dry-run", action="store_true", help="print the settings as json, and do nothing"
    )
    method = train.add_argument_group("model and loss (default: as the recipe says)")
    fields.add(method, Recipe)
    fields.add(method, NetworkConfig, leave_out=("channels",))
    optimisation = train.add_argument_group("optimisation (default: as the recipe says)")
    fields.add(optimisation, TrainingConfig)
    fields.add(optimisation, Augmentation)
    fields.add(train.add_argument_group("machine"), Machine)
    output = train.add_argument_group("output")
    output.add_argument("--tensorboard", action="store_true", help="write curves for TensorBoard")
    output.add_argument(
        "--save-every",
        type=float,
        metavar="SECONDS",
        default=60.0,
        help="how often to keep the state of the run (default: %(default)g)",
    )
    output.add_argument("--quiet", action="store_true", help="show no progress, only the results")
    shared.add_json(output)


def _table(about: Mapping[str, str]) -> str:
    return "\n".join(f"  {name:16}{text}" for name, text in about.items())


def _run(options: argparse.Namespace) -> None:
    checks.number("save_every", options.save_every, least=0, infinite=True)
    if hasattr(options, "threads"):
        checks.integer("threads", options.threads, 1, os.cpu_count() or 1)
    machine = Machine(**fields.given(options, Machine))
    settings = _planned(options, machine) if options.resume is None else _resumed(options)
    if options.resume is not None:
        options.interrupted = f"go on with: {_continuation(options, options.resume)}"
    dataset = settings.dataset.removesuffix("-sample")
    options.sample = settings.dataset != dataset
    # Wrong values end here, before any work; nothing is kept of these models.
    settings.recipe.build(len(data.class_names(dataset)))
    if options.dry_run:
        print(schema.to_json(settings).decode(), end="")
        return
    if options.tensorboard:
        runtime.require_extra("tensorboard", "tensorboard")
    if machine.threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(machine.threads)  # also for the other processes
    if options.resume is None and options.out is not None:
        files.check_can_write("out", options.out)
        _check_free(options.out)
    _, machines = training.launched_processes(machine)
    if machines > 1 and not options.quiet:
        print(f"csae: waiting for the processes of all {machines} machines", file=sys.stderr)
    machine = dataclasses.replace(machine, precision=settings.precision)
    fabric = training.launch(settings.recipe.training, machine)
    with fabric.rank_zero_first():  # one process downloads, the others find the files
        parts = {split: shared.load_split(options, dataset, split) for split in data.SPLITS}
    training.steps_per_epoch(parts["train"], settings.recipe.training)  # or the batch is too large
    made = str(_folder(options, settings)) if fabric.is_global_zero else ""
    folder = Path(fabric.broadcast(made))  # all processes name the same one
    options.interrupted = f"go on with: {_continuation(options, folder)}"
    if not fabric.is_global_zero:
        _make(options, settings, parts, machine, fabric, folder)
        return
    with runs.locked(folder):
        if options.resume is None and not runs.is_free(folder):
            raise ValueError(f"out must be a new or empty folder, got {folder}: it is in use")
        if options.resume is not None and runs.finished(folder):  # by another process, just now
            raise ValueError(f"the run in {folder} is complete: nothing is left to resume")
        run = _make(options, settings, parts, machine, fabric, folder)
    _report(options, folder, run.record, parts["test"])


def _make(
    options: argparse.Namespace,
    settings: runs.Settings,
    parts: dict[str, data.ImageDataset],
    machine: Machine,
    fabric: Fabric,
    folder: Path,
) -> runs.Run:
    """Make the run; after each epoch keep the weights and say how it goes."""
    draw: Callable[[training.Metrics], None] | None = None
    if options.tensorboard and fabric.is_global_zero:
        draw = _open_tensorboard(folder / "tensorboard")
    talk = fabric.is_global_zero and not options.quiet and not options.json
    if talk:
        _introduce(settings, parts["train"], fabric)

    def finish_epoch(model: Any, metrics: training.Metrics) -> None:
        save_checkpoint(
            model,
            folder / runs.CHECKPOINT,
            dataset=settings.dataset,
            num_classes=parts["train"].num_classes,
        )
        if draw is not None:
            draw(metrics)
        if talk:
            epochs = settings.recipe.training.epochs
            tqdm.write(f"epoch {metrics['epoch']}/{epochs}: {training.summary(metrics)}")

    return runs.make(
        settings,
        parts,
        machine=machine,
        folder=folder,
        on_epoch=finish_epoch,
        save_every=options.save_every,
        fabric=fabric,
        progress=not options.quiet,
    )


def _planned(options: argparse.Namespace, machine: Machine) -> runs.Settings:
    """Settle what a new run does: the recipe, with the options that were given."""
    if not hasattr(options, "dataset"):
        raise ValueError(f"--dataset must be given: one of {', '.join(data.DATASETS)}")
    if options.sample and options.dataset not in data.SAMPLES:
        raise ValueError(
            f"--sample knows {' and '.join(data.SAMPLES)}, got --dataset {options.dataset}"
        )
    name = f"{options.dataset}-sample" if options.sample else options.dataset
    chosen = getattr(options, "recipe", _RECIPE)
    changes = fields.given(options, *_VALUES)
    if "kind" in changes:  # with what that kind needs, unless other options say otherwise
        changes = kinds.defaults(changes["kind"]) | changes
    settled = recipe(chosen, name).change(**changes)
    return runs.settle(settled, name, machine, recipe_name=chosen)


def _resumed(options: argparse.Namespace) -> runs.Settings:
    """Read back what an interrupted run does."""
    settings = runs.read_settings(options.resume)
    names = ["dataset", "recipe", *(name for kind in _VALUES for name in fields.names(kind))]
    given = [name for name in names if hasattr(options, name)]
    if given or options.sample:
        named = ", ".join(f"--{name.replace('_', '-')}" for name in given or ["sample"])
        raise ValueError(
            f"resume takes the settings of the run: leave out {named}. Beside --resume go "
            f"{_BESIDE_RESUME}"
        )
    asked = getattr(options, "precision", "auto")
    if asked not in ("auto", settings.precision):
        raise ValueError(f"precision must be {settings.precision} as before, got {asked}")
    return settings


def _continuation(options: argparse.Namespace, folder: Path) -> str:
    """Return the command that goes on with a run, with all that the run does not keep."""
    words = ["csae", "train", "--resume", str(folder)]
    for name in ("accelerator", "devices", "num_nodes", "threads", "root"):
        if hasattr(options, name):
            words += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    words += ["--no-download"] if options.no_download else []
    return shlex.join([*words, "--tensorboard"] if options.tensorboard else words)


def _folder(options: argparse.Namespace, settings: runs.Settings) -> Path:
    """Name the folder for a run's results, never one that already holds something."""
    if options.resume is not None:
        return Path(options.resume)
    out: Path | None = options.out
    if out is not None:
        _check_free(out)
        return out
    name = f"{settings.dataset}-seed{settings.recipe.training.seed}"
    if settings.recipe_name != _RECIPE:
        name = f"{settings.dataset}-{settings.recipe_name}-seed{settings.recipe.training.seed}"
    count = 1
    while True:
        folder = Path("runs") / (name if count == 1 else f"{name}-{count}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            count += 1


def _check_free(out: Path) -> None:
    """Refuse a folder for a new run that holds something."""
    if (out / runs.SETTINGS).exists() and not (out / runs.RECORD).exists():
        raise ValueError(f"out holds an interrupted run; to go on with it: --resume {out}")
    if not runs.is_free(out):
        raise ValueError(f"out must be a new or empty folder, got {out}, which holds something")


def _introduce(settings: runs.Settings, train: data.ImageDataset, fabric: Fabric) -> None:
    with torch.random.fork_rng():
        model, _ = settings.recipe.build(train.num_classes)
    parameters = sum(p.numel() for p in model.parameters())
    processes = f", {fabric.world_size} processes" if fabric.world_size > 1 else ""
    print(
        f"{train}\nrecipe {settings.recipe_name}, {settings.recipe.kind}: {parameters:,} "
        f"parameters, {model.latent_dim} latent dimensions, {train.num_classes} classes; "
        f"{fabric.device}{processes}, {settings.precision}"
    )


def _report(
    options: argparse.Namespace, folder: Path, record: Record, tested: data.ImageDataset
) -> None:
    test, seconds = record.test or {}, record.timing["seconds"]
    if options.json:
        print(
            json.dumps(
                {
                    "checkpoint": str(folder / runs.CHECKPOINT),
                    "record": str(folder / runs.RECORD),
                    "test_images": len(tested),
                    "data_source": tested.source,
                    **test,
                    "seconds": seconds,
                }
            )
        )
        return
    print(
        f"test {shared.scores(test)} "
        f"({len(tested):,} images{tested.remark}, {seconds:.0f} s in all)\n"
        f"written: {folder / runs.CHECKPOINT}\n         {folder / runs.RECORD}"
    )


def _open_tensorboard(folder: Path) -> Callable[[training.Metrics], None]:
    """Return what adds an epoch's metrics to the curves in a folder."""
    from torch.utils.tensorboard import SummaryWriter  # an extra: not there for everybody

    writer = SummaryWriter(str(folder))

    def draw(metrics: training.Metrics) -> None:
        for name, value in metrics.items():
            if name != "epoch":
                writer.add_scalar(name, value, int(metrics["epoch"]))
        writer.flush()

    return draw
