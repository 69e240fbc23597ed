"""The command line: ``python -m csae train`` and ``python -m csae evaluate``."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

import csae
from csae import data, records, runtime, training
from csae.centroids import simplex
from csae.evaluation import evaluate
from csae.losses import CSAELoss
from csae.networks import CSAE

_DESCRIPTION = """\
Train and evaluate classification-supervised autoencoders (CSAE): one network that encodes,
classifies, reconstructs and generates images, because its classes sit on fixed, evenly spread
centroids.
"""
_EXAMPLES = """\
examples:
  python -m csae train --dataset mnist --sample --epochs 5     a first run, no download
  python -m csae train --dataset fashion-mnist --epochs 10     the full data set
  python -m csae evaluate runs/mnist-sample-seed0/checkpoint.safetensors --sample
"""
# Mirrored clothes are clothes, mirrored digits are not digits: handwriting is shifted instead.
# Whether clothes gain from shifts, too, has not been measured.
_AUGMENTATION = {"fashion-mnist": data.Augmentation(flip=True)}
_HANDWRITING = data.Augmentation(shift=2)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What follows the program's name; by default, what the shell passed.

    Returns:
        The exit status: 0, or 2 after wrong input, or 130 after an interrupt.
    """
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except KeyboardInterrupt:
        print("csae: interrupted; epochs that had finished are in the checkpoint", file=sys.stderr)
        return 130
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"csae: error: {error}", file=sys.stderr)
        return 2
    except (data.DataUnavailableError, data.CorruptDataError) as error:
        print(f"csae: error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="csae",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"csae {csae.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_train(commands)
    _add_evaluate(commands)
    return parser


def _add_train(commands: Any) -> None:
    train = commands.add_parser(
        "train",
        help="train a model; write its weights and a record of the run",
        description="Train a model with a progress bar, measure it once on the test images, and "
        "write checkpoint.safetensors and record.json.",
    )
    train.set_defaults(run=_train)
    defaults = training.TrainingConfig()
    _add_data_options(train, required=True)
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
    machine.add_argument(
        "--device",
        choices=runtime.DEVICES,
        default="auto",
        help="where to compute (default: %(default)s)",
    )
    machine.add_argument(
        "--precision",
        choices=runtime.PRECISIONS,
        default="auto",
        help="auto is bf16 where the hardware has it, else fp32",
    )
    machine.add_argument("--quiet", action="store_true", help="show no progress, only the results")


def _add_evaluate(commands: Any) -> None:
    command = commands.add_parser(
        "evaluate",
        help="measure a trained model's accuracy and reconstruction",
        description="Measure a checkpoint's classification accuracy, and the PSNR of its "
        "reconstructions on the 28x28 image in [0, 1].",
    )
    command.set_defaults(run=_evaluate)
    command.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a .safetensors file")
    _add_data_options(command, required=False)
    command.add_argument(
        "--split",
        choices=data.SPLITS,
        default="test",
        help="which part of the data set (default: %(default)s)",
    )
    command.add_argument(
        "--device",
        choices=runtime.DEVICES,
        default="auto",
        help="where to compute (default: %(default)s)",
    )
    command.add_argument("--json", action="store_true", help="print the result as json")


def _add_data_options(parser: argparse.ArgumentParser, *, required: bool) -> None:
    group = parser.add_argument_group("data")
    group.add_argument(
        "--dataset",
        choices=data.DATASETS,
        metavar="NAME",
        required=required,
        help=f"one of {', '.join(data.DATASETS)}"
        + ("" if required else " (default: the one of the checkpoint)"),
        default=argparse.SUPPRESS,
    )
    group.add_argument(
        "--root",
        type=Path,
        metavar="FOLDER",
        help="where the data sets lie (default: $CSAE_DATA, else a cache folder)",
        default=argparse.SUPPRESS,
    )
    group.add_argument(
        "--sample",
        action="store_true",
        help="use the small sample shipped with csae (mnist, fashion-mnist); no download",
    )
    how = group.add_mutually_exclusive_group()
    how.add_argument("--no-download", action="store_true", help="never use the network")
    how.add_argument(
        "--redownload", action="store_true", help="download the files again and replace them"
    )


def _load(options: argparse.Namespace, name: str, split: str) -> data.ImageDataset:
    # Only the first split fetches anew: the next ones are in the same files.
    force = options.redownload
    options.redownload = False
    return data.load_dataset(
        name,
        split,
        root=getattr(options, "root", None),
        download="force" if force else not options.no_download,
        sample=options.sample,
    )


def _train(options: argparse.Namespace) -> None:
    started, clock = datetime.now(timezone.utc), time.perf_counter()
    # Everything that can be wrong with the arguments is found before any work is done.
    config = _training_config(options)
    criterion = CSAELoss(options.classification_weight, options.reconstruction_weight)
    device = runtime.resolve_device(config.device)
    environment = runtime.environment(device)  # now: the source may change while it trains
    splits = {split: _load(options, options.dataset, split) for split in data.SPLITS}
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
        device=options.device,
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


def _evaluate(options: argparse.Namespace) -> None:
    device = runtime.resolve_device(options.device)
    model, header = records.load_checkpoint(options.checkpoint)
    name = getattr(options, "dataset", header["dataset"].removesuffix("-sample"))
    dataset = _load(options, name, options.split)
    if name != header["dataset"].removesuffix("-sample"):
        print(
            f"csae: note: this checkpoint was trained on {header['dataset']}, not on {name}",
            file=sys.stderr,
        )
    result = evaluate(model.to(device), dataset)
    if options.json:
        print(
            json.dumps(
                {
                    "checkpoint": str(options.checkpoint),
                    "dataset": dataset.name,
                    "split": dataset.split,
                    "images": len(dataset),
                    "data_sha256": dataset.fingerprint,
                    **result,
                }
            )
        )
    else:
        print(
            f"{dataset.name}, {dataset.split}: accuracy {result['accuracy']:.2%}, "
            f"PSNR {result['psnr']:.2f} dB ({len(dataset):,} images)"
        )
