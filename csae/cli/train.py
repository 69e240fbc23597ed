"""The command ``csae train``."""

from __future__ import annotations

import argparse
import dataclasses
import math
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from csae import data, records, runtime, training
from csae.centroids import simplex
from csae.cli import options as shared
from csae.evaluation import evaluate
from csae.losses import CSAELoss
from csae.networks import CSAE

# Mirrored clothes are clothes, mirrored digits are not digits: handwriting is shifted instead.
# Whether clothes gain from shifts, too, has not been measured.
_AUGMENTATION = {"fashion-mnist": data.Augmentation(flip=True)}
_HANDWRITING = data.Augmentation(shift=2)


def add(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    train = commands.add_parser(
        "train",
        help="train a model; write its weights and a record of the run",
        description="Train a model with a progress bar, measure it once on the test images, and "
        "write checkpoint.safetensors and record.json.",
    )
    train.set_defaults(run=_run, interrupted="epochs that had finished are in the checkpoint")
    defaults = training.TrainingConfig()
    shared.add_data(train, required=True)
    train.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="folder for the results; it must be new or empty (default: a new folder in runs/)",
        default=argparse.SUPPRESS,
    )
    optimisation = train.add_argument_group("optimisation")
    optimisation.add_argument(
        "--epochs",
        type=int,
        metavar="N",
        default=defaults.epochs,
        help="passes over the training images (default: %(default)s)",
    )
    optimisation.add_argument(
        "--batch-size",
        type=int,
        metavar="N",
        default=defaults.batch_size,
        help="images a step (default: %(default)s)",
    )
    optimisation.add_argument(
        "--learning-rate",
        type=float,
        metavar="RATE",
        default=defaults.learning_rate,
        help="peak of the one-cycle schedule (default: %(default)s)",
    )
    optimisation.add_argument(
        "--weight-decay",
        type=float,
        metavar="RATE",
        default=defaults.weight_decay,
        help="AdamW's weight decay (default: %(default)s)",
    )
    optimisation.add_argument(
        "--seed",
        type=int,
        metavar="N",
        default=defaults.seed,
        help="chooses weights, order and noise (default: %(default)s)",
    )
    optimisation.add_argument(
        "--shift",
        type=int,
        metavar="PIXELS",
        help="largest random shift of a training image (default: 0 for fashion-mnist, else 2)",
        default=argparse.SUPPRESS,
    )
    optimisation.add_argument(
        "--flip",
        action=argparse.BooleanOptionalAction,
        help="mirror half of the training images (default: only for fashion-mnist)",
        default=argparse.SUPPRESS,
    )
    method = train.add_argument_group("method")
    method.add_argument(
        "--latent-dim",
        type=int,
        metavar="N",
        default=40,
        help="numbers in a code, at least classes - 1 (default: %(default)s)",
    )
    method.add_argument(
        "--noise",
        type=float,
        metavar="FRACTION",
        default=0.04,
        help="latent noise in training, in units of the centroids' norm (default: %(default)s)",
    )
    method.add_argument(
        "--classification-weight",
        type=float,
        metavar="WEIGHT",
        default=1.0,
        help="weight of the cross-entropy (default: %(default)s)",
    )
    method.add_argument(
        "--reconstruction-weight",
        type=float,
        metavar="WEIGHT",
        default=10.0,
        help="weight of the mean squared error of the images (default: %(default)s)",
    )
    machine = train.add_argument_group("machine")
    shared.add_accelerator(machine)
    machine.add_argument(
        "--precision",
        choices=runtime.PRECISIONS,
        default="auto",
        help="auto is bf16 where the hardware has it, else fp32",
    )
    machine.add_argument("--quiet", action="store_true", help="show no progress, only the results")


def _run(options: argparse.Namespace) -> None:
    started, clock = datetime.now(timezone.utc), time.perf_counter()
    # Everything that can be wrong with the arguments is found before any work is done.
    config = _training_config(options)
    criterion = CSAELoss(options.classification_weight, options.reconstruction_weight)
    device = runtime.resolve_device(config.device)
    environment = runtime.environment(device)  # now: the source may change while it trains
    splits = {split: shared.load_split(options, options.dataset, split) for split in data.SPLITS}
    num_classes = splits["train"].num_classes
    torch.manual_seed(config.seed)
    centroids = simplex(
        num_classes, options.latent_dim, scale=math.sqrt(options.latent_dim), seed=config.seed
    )
    model = CSAE(centroids, noise=options.noise)
    if config.batch_size > len(splits["train"]):
        raise ValueError(
            f"batch_size must be at most the {len(splits['train']):,} training images, "
            f"got {config.batch_size}"
        )
    name = splits["train"].name
    folder = _result_folder(getattr(options, "out", None), f"{name}-seed{config.seed}")
    checkpoint = folder / "checkpoint.safetensors"
    if not options.quiet:
        parameters = sum(p.numel() for p in model.parameters())
        print(
            f"{splits['train']}\n{parameters:,} parameters, {options.latent_dim} latent numbers, "
            f"{num_classes} centroids; {device}, "
            f"{runtime.resolve_precision(config.precision, device)}"
        )

    def finish_epoch(metrics: training.Metrics) -> None:
        records.save_checkpoint(model, checkpoint, dataset=name)
        if not options.quiet:
            line = f"epoch {metrics['epoch']}/{config.epochs}: {training.summary(metrics)}"
            tqdm.write(line)

    history = training.train(
        model,
        criterion,
        splits["train"],
        config,
        validate=lambda trained: evaluate(trained, splits["validation"]),  # type: ignore[arg-type]
        on_epoch=finish_epoch,
        progress=not options.quiet,
    )
    test = evaluate(model, splits["test"])  # once, after everything is decided
    record: dict[str, Any] = {
        "format": 1,
        "config": {
            "dataset": name,
            "latent_dim": options.latent_dim,
            "num_classes": num_classes,
            "noise": options.noise,
            "classification_weight": options.classification_weight,
            "reconstruction_weight": options.reconstruction_weight,
            **dataclasses.asdict(config),
            "device": device.type,
            "precision": runtime.resolve_precision(config.precision, device),
        },
        "data": {
            split: {"images": len(part), "sha256": part.fingerprint}
            for split, part in splits.items()
        },
        "parameters": sum(p.numel() for p in model.parameters()),
        "history": [
            {k: v for k, v in epoch.items() if k not in training.TIMINGS} for epoch in history
        ],
        "test": test,
        "weights_sha256": records.save_checkpoint(model, checkpoint, dataset=name),
        "environment": environment,
        # Everything that differs between two runs of one seed on one machine stands below.
        "timing": {
            "started": started.isoformat(timespec="seconds"),
            "seconds": time.perf_counter() - clock,
            "epochs": [{k: epoch[k] for k in training.TIMINGS} for epoch in history],
        },
    }
    records.write_json(folder / "record.json", record)
    print(
        f"test accuracy {test['accuracy']:.2%}, PSNR {test['psnr']:.2f} dB "
        f"({len(splits['test']):,} images, {record['timing']['seconds']:.0f} s in all)\n"
        f"written: {checkpoint}\n         {folder / 'record.json'}"
    )


def _training_config(options: argparse.Namespace) -> training.TrainingConfig:
    usual = _AUGMENTATION.get(options.dataset, _HANDWRITING)
    return training.TrainingConfig(
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        weight_decay=options.weight_decay,
        seed=options.seed,
        augmentation=data.Augmentation(
            shift=getattr(options, "shift", usual.shift), flip=getattr(options, "flip", usual.flip)
        ),
        device=options.accelerator,
        precision=options.precision,
    )


def _result_folder(out: Path | None, name: str) -> Path:
    """Make the folder for a run's results, never one that already holds something."""
    if out is not None:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise ValueError(f"out must be a new or empty folder, got {out}, which holds something")
        out.mkdir(parents=True, exist_ok=True)
        return out
    count = 1
    while True:
        folder = Path("runs") / (name if count == 1 else f"{name}-{count}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            count += 1
