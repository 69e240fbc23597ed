"""The command ``csae train``."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from tqdm import tqdm

from csae import checks, data, files, records, runtime, training
from csae.cli import options as shared
from csae.evaluation import evaluate
from csae.losses import SPACES, JointLoss
from csae.models import CSAE
from csae.recipes import ABOUT, RECIPES, Recipe, recipe

_SETTINGS = "settings.json"
_STATE = "state.safetensors"
_CHECKPOINT = "checkpoint.safetensors"
_RECORD = "record.json"

_RECIPE = "quick"

# Options that change one value of the recipe: option, type, metavar, help.
_OPTIMISATION = (
    ("--epochs", int, "N", "passes over the training images"),
    ("--images-per-epoch", int, "N", "images such a pass takes, others in each"),
    ("--batch-size", int, "N", "images in a step, all processes together"),
    ("--learning-rate", float, "RATE", "largest learning rate"),
    ("--weight-decay", float, "RATE", "weight decay"),
    ("--optimizer", str, "NAME", f"one of {', '.join(training.OPTIMIZERS)}"),
    ("--schedule", str, "NAME", f"one of {', '.join(training.SCHEDULES)}"),
)
_AUGMENTATION = (
    ("--shift", int, "PIXELS", "largest random shift of a training image, 0 to 2"),
    ("--rotation", float, "DEGREES", "largest random turn, 0 to 45"),
    ("--zoom", float, "SHARE", "largest random change of size, 0 to 0.5"),
    ("--shear", float, "SHARE", "largest random slant, 0 to 0.5"),
    ("--erase", float, "SHARE", "share of the images that lose a random rectangle, 0 to 1"),
    ("--erase-area", float, "SHARE", "largest area of that rectangle, above 0 to 0.5"),
)
_METHOD = (
    ("--latent-dim", int, "N", "dimensions of a code"),
    ("--noise", float, "FRACTION", "latent noise, in units of the centroids' norm"),
    ("--classification-weight", float, "WEIGHT", "weight of the cross-entropy"),
    ("--smoothing", float, "SHARE", "label smoothing of the cross-entropy"),
    ("--centroid-weight", float, "WEIGHT", "weight of the squared distance to the centroid"),
    ("--centroid-space", str, "NAME", f"dimensions where it is measured: {' or '.join(SPACES)}"),
    ("--reconstruction-weight", float, "WEIGHT", "weight of the squared error of the images"),
    ("--wavelet-weight", float, "WEIGHT", "weight of the squared error of the Haar details"),
    ("--sobel-weight", float, "WEIGHT", "weight of the squared error of the Sobel gradients"),
)
# Options whose largest values only a slip of the hand would pass, and what would take memory or
# processes before anything else could refuse it: least and most. The recipe checks the rest.
_WHOLE = {
    "epochs": (1, 1_000_000),
    "images_per_epoch": (1, 1_000_000_000),
    "batch_size": (2, 1_000_000_000),
    "latent_dim": (1, 4096),
    "devices": (1, 1024),
    "num_nodes": (1, 1024),
}
# What goes with --resume, beside the options of --help that say so.
_BESIDE_RESUME = (
    "--root, --no-download, --redownload, --accelerator, --devices, --num-nodes, --precision, "
    "--threads, --save-every, --tensorboard, --quiet, --json and --dry-run"
)


def add(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    train = commands.add_parser(
        "train",
        help="train a model; write its weights and a record of the run",
        description="Train a model, measure it once on the test images, and write its weights and "
        "a record.\nA recipe says how; each option below that is given changes one value of it.",
        epilog="recipes:\n" + "\n".join(f"  {name:16}{text}" for name, text in ABOUT.items()),
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
    optimisation = train.add_argument_group("optimisation (default: as the recipe says)")
    method = train.add_argument_group("method (default: as the recipe says)")
    groups = ((optimisation, _OPTIMISATION), (optimisation, _AUGMENTATION), (method, _METHOD))
    for group, rows in groups:
        for name, kind, metavar, text in rows:
            group.add_argument(
                name, type=kind, metavar=metavar, help=text, default=argparse.SUPPRESS
            )
    optimisation.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="chooses weights, order and noise (default: 0)",
        default=argparse.SUPPRESS,
    )
    optimisation.add_argument(
        "--flip",
        action=argparse.BooleanOptionalAction,
        help="mirror half of the training images",
        default=argparse.SUPPRESS,
    )
    _add_machine(train.add_argument_group("machine"))
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


def _add_machine(group: Any) -> None:
    shared.add_accelerator(group)
    group.add_argument(
        "--devices",
        type=int,
        metavar="N",
        default=1,
        help="processes on each machine, one for each device (default: %(default)s; torchrun sets "
        "it; under SLURM give it)",
    )
    group.add_argument(
        "--num-nodes",
        type=int,
        metavar="N",
        default=1,
        help="machines (default: %(default)s; torchrun sets it; under SLURM give it)",
    )
    group.add_argument(
        "--precision",
        choices=runtime.PRECISIONS,
        default="auto",
        help="auto is bf16 where the hardware has it, else fp32 (default: %(default)s)",
    )
    group.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help="threads of a CPU, at most its cores (default: $OMP_NUM_THREADS, else measured at the "
        "start; the number belongs to the run, and a resumed one goes on with it)",
    )


def _name(dataset: str, sample: bool) -> str:
    return f"{dataset}-sample" if sample else dataset


@dataclass(frozen=True)
class _Plan:
    """What a run will do; all of it is known before any work."""

    dataset: str
    sample: bool
    recipe_name: str
    recipe: Recipe

    @property
    def name(self) -> str:
        return _name(self.dataset, self.sample)

    def as_json(self) -> dict[str, Any]:
        return {
            "dataset": self.dataset,
            "sample": self.sample,
            "recipe": self.recipe_name,
            **dataclasses.asdict(self.recipe),
        }

    def as_config(self) -> dict[str, Any]:
        """Return all settings side by side, as records hold them."""
        settings = dataclasses.asdict(self.recipe)
        training_config = settings.pop("training")
        return {"dataset": self.name, "recipe": self.recipe_name, **settings, **training_config}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> _Plan:
        rest = dict(values)
        dataset, sample, name = (rest.pop(key) for key in ("dataset", "sample", "recipe"))
        return cls(dataset, sample, name, Recipe.from_dict(rest))


def _run(options: argparse.Namespace) -> None:
    started, clock = datetime.now(timezone.utc), time.perf_counter()
    _check_ranges(options)
    if options.resume is None:
        plan = _planned(options)
    else:
        plan = _resumed(options)
        options.interrupted = f"go on with: {_continuation(options, options.resume)}"
    torch.manual_seed(plan.recipe.training.seed)
    # Wrong values end here, before any work.
    model, criterion = plan.recipe.build(len(data.class_names(plan.dataset)))
    if options.dry_run:
        print(json.dumps(plan.as_json(), indent=2))
        return
    if options.tensorboard:
        runtime.require_extra("tensorboard", "tensorboard")
    config = plan.recipe.training
    if options.threads is not None:
        torch.set_num_threads(options.threads)
        os.environ["OMP_NUM_THREADS"] = str(options.threads)  # also for the other processes
    if options.resume is None and options.out is not None:
        files.check_can_write("out", options.out)
    _, machines = training.launched_processes(config)
    if machines > 1 and not options.quiet:
        print(f"csae: waiting for the processes of all {machines} machines", file=sys.stderr)
    fabric = training.launch(config)
    here = runtime.environment(fabric.device) | {"processes": fabric.world_size}
    options.sample = plan.sample
    with fabric.rank_zero_first():  # one process downloads, the others find the files
        splits = {split: shared.load_split(options, plan.dataset, split) for split in data.SPLITS}
    training.steps_per_epoch(splits["train"], config)  # refuses a batch larger than the data
    made = str(_folder(options, plan)) if fabric.is_global_zero else ""
    folder = Path(fabric.broadcast(made))  # all processes name the same one
    talk = fabric.is_global_zero and not options.quiet
    if talk and not options.json:
        _introduce(plan, splits["train"], model, fabric)
    if fabric.is_global_zero:
        records.write_json(folder / _SETTINGS, plan.as_json())
    options.interrupted = f"go on with: {_continuation(options, folder)}"
    resumed = (folder / _STATE).exists()
    history = _train(options, plan, model, criterion, splits, fabric, folder)
    if not fabric.is_global_zero:
        return
    test = evaluate(model, splits["test"])  # once, after everything is decided
    record: dict[str, Any] = {
        "format": 2,
        "config": plan.as_config()
        | {
            "num_classes": model.num_classes,
            "accelerator": fabric.device.type,
        },
        "data": {
            split: {"images": len(part), "sha256": part.fingerprint, "source": part.source}
            for split, part in splits.items()
        },
        "parameters": sum(p.numel() for p in model.parameters()),
        "history": [
            {k: v for k, v in epoch.items() if k not in training.TIMINGS} for epoch in history
        ],
        "test": test,
        "weights_sha256": records.save_checkpoint(model, folder / _CHECKPOINT, dataset=plan.name),
        "environment": here,
        # Everything that differs between two runs of one seed on one machine stands below.
        "timing": {
            "started": started.isoformat(timespec="seconds"),
            "seconds": time.perf_counter() - clock,
            "resumed": resumed,
            "epochs": [{k: epoch[k] for k in training.TIMINGS} for epoch in history],
        },
    }
    records.write_json(folder / _RECORD, record)
    (folder / _STATE).unlink()  # the run is complete: nothing is left to resume
    _report(options, folder, record, splits["test"])


def _train(
    options: argparse.Namespace,
    plan: _Plan,
    model: CSAE,
    criterion: JointLoss,
    splits: dict[str, data.ImageDataset],
    fabric: Fabric,
    folder: Path,
) -> list[training.Metrics]:
    """Train; after each epoch keep the weights and say how it goes."""
    config = plan.recipe.training
    draw = None
    if options.tensorboard and fabric.is_global_zero:
        draw = _open_tensorboard(folder / "tensorboard")

    def finish_epoch(metrics: training.Metrics) -> None:
        records.save_checkpoint(model, folder / _CHECKPOINT, dataset=plan.name)
        if draw is not None:
            draw(metrics)
        if not options.quiet and not options.json:
            line = f"epoch {metrics['epoch']}/{config.epochs}: {training.summary(metrics)}"
            tqdm.write(line)

    return training.train(
        model,
        criterion,
        splits["train"],
        config,
        validate=lambda trained: evaluate(trained, splits["validation"]),  # type: ignore[arg-type]
        on_epoch=finish_epoch,
        state_file=folder / _STATE,
        save_every=options.save_every,
        fabric=fabric,
        progress=not options.quiet,
    )


def _check_ranges(options: argparse.Namespace) -> None:
    """Refuse numbers out of range before any work, and before memory is taken."""
    for name, (least, most) in _WHOLE.items():
        if hasattr(options, name):
            checks.integer(name, getattr(options, name), least, most)
    for name, kind, *_ in _OPTIMISATION + _AUGMENTATION + _METHOD:
        name = name.lstrip("-").replace("-", "_")
        if kind is float and hasattr(options, name):
            checks.number(name, getattr(options, name), most=1e9)
    if hasattr(options, "seed"):
        checks.seed("seed", options.seed)
    checks.number("save_every", options.save_every, least=0, infinite=True)
    if options.threads is not None:
        checks.integer("threads", options.threads, 1, os.cpu_count() or 1)


def _planned(options: argparse.Namespace) -> _Plan:
    """Settle what a new run does: the recipe, with the options that were given."""
    if not hasattr(options, "dataset"):
        raise ValueError(f"--dataset must be given: one of {', '.join(data.DATASETS)}")
    if options.sample and options.dataset not in data.SAMPLES:
        raise ValueError(
            f"--sample knows {' and '.join(data.SAMPLES)}, got --dataset {options.dataset}"
        )
    chosen = getattr(options, "recipe", _RECIPE)
    found = recipe(chosen, _name(options.dataset, options.sample))
    given = vars(options)
    augmentation = {k: given[k] for k in ("flip", *_names(_AUGMENTATION)) if k in given}
    changes = {k: given[k] for k in _names(_OPTIMISATION) if k in given}
    changes |= {k: given[k] for k in ("seed", *_MACHINE) if k in given}
    # Settled now, so that a continuation elsewhere computes with the same one.
    device = runtime.resolve_device(options.accelerator)
    changes["precision"] = runtime.resolve_precision(options.precision, device)
    training_config = dataclasses.replace(
        found.training,
        augmentation=dataclasses.replace(found.training.augmentation, **augmentation),
        **changes,
    )
    method = {k.removesuffix("_weight"): given[k] for k in _names(_METHOD) if k in given}
    settled = dataclasses.replace(found, training=training_config, **method)
    return _Plan(options.dataset, options.sample, chosen, settled)


_MACHINE = ("accelerator", "devices", "num_nodes")


def _continuation(options: argparse.Namespace, folder: Path) -> str:
    """Return the command that goes on with a run, with all that the run does not keep."""
    words = ["csae", "train", "--resume", str(folder)]
    for name, usual in (("accelerator", "auto"), ("devices", 1), ("num_nodes", 1), ("root", None)):
        if (given := getattr(options, name, usual)) != usual:
            words += [f"--{name.replace('_', '-')}", str(given)]
    return shlex.join([*words, "--tensorboard"] if options.tensorboard else words)


def _names(rows: tuple[tuple[str, type, str, str], ...]) -> list[str]:
    return [name.lstrip("-").replace("-", "_") for name, *_ in rows]


def _resumed(options: argparse.Namespace) -> _Plan:
    """Read back what an interrupted run does."""
    folder: Path = options.resume
    if (folder / _RECORD).exists():
        raise ValueError(f"the run in {folder} is complete: nothing is left to resume")
    if not (folder / _SETTINGS).exists():
        raise ValueError(f"resume must be the folder of a run, got {folder}: no {_SETTINGS} in it")
    given = [
        name
        for name in (
            "dataset",
            "recipe",
            "seed",
            "flip",
            *_names(_OPTIMISATION + _AUGMENTATION + _METHOD),
        )
        if hasattr(options, name)
    ]
    if given or options.sample:
        named = ", ".join(f"--{name.replace('_', '-')}" for name in given or ["sample"])
        raise ValueError(
            f"resume takes the settings of the run: leave out {named}. Beside --resume go "
            f"{_BESIDE_RESUME}"
        )
    plan = _Plan.from_json(json.loads((folder / _SETTINGS).read_text()))
    precision = plan.recipe.training.precision
    if options.precision not in ("auto", precision):
        raise ValueError(f"precision must be {precision} as before, got {options.precision}")
    machine = {k: getattr(options, k) for k in _MACHINE}
    settled = dataclasses.replace(plan.recipe.training, **machine)
    return dataclasses.replace(plan, recipe=dataclasses.replace(plan.recipe, training=settled))


def _folder(options: argparse.Namespace, plan: _Plan) -> Path:
    """Make the folder for a run's results, never one that already holds something."""
    if options.resume is not None:
        return Path(options.resume)
    out: Path | None = options.out
    if out is not None:
        if (out / _STATE).exists():
            raise ValueError(f"out holds an interrupted run; to go on with it: --resume {out}")
        records.check_new_folder("out", out)
        out.mkdir(parents=True, exist_ok=True)
        return out
    name = f"{plan.name}-seed{plan.recipe.training.seed}"
    if plan.recipe_name != _RECIPE:
        name = f"{plan.name}-{plan.recipe_name}-seed{plan.recipe.training.seed}"
    count = 1
    while True:
        folder = Path("runs") / (name if count == 1 else f"{name}-{count}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            count += 1


def _introduce(plan: _Plan, train: data.ImageDataset, model: CSAE, fabric: Fabric) -> None:
    parameters = sum(p.numel() for p in model.parameters())
    precision = plan.recipe.training.precision
    processes = f", {fabric.world_size} processes" if fabric.world_size > 1 else ""
    print(
        f"{train}\nrecipe {plan.recipe_name}: {parameters:,} parameters, {model.latent_dim} latent "
        f"dimensions, {model.num_classes} centroids; {fabric.device}{processes}, {precision}"
    )


def _report(
    options: argparse.Namespace, folder: Path, record: dict[str, Any], tested: data.ImageDataset
) -> None:
    test, seconds = record["test"], record["timing"]["seconds"]
    if options.json:
        print(
            json.dumps(
                {
                    "checkpoint": str(folder / _CHECKPOINT),
                    "record": str(folder / _RECORD),
                    "test_images": len(tested),
                    "data_source": tested.source,
                    **test,
                    "seconds": seconds,
                }
            )
        )
        return
    print(
        f"test accuracy {test['accuracy']:.2%}, PSNR {test['psnr']:.2f} dB "
        f"({len(tested):,} images{tested.remark}, {seconds:.0f} s in all)\n"
        f"written: {folder / _CHECKPOINT}\n         {folder / _RECORD}"
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
