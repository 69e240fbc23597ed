"""The command ``csae evaluate``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from csae import data, records, runtime
from csae.cli import options as shared
from csae.evaluation import evaluate


def add(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    command = commands.add_parser(
        "evaluate",
        help="measure a trained model's accuracy and reconstruction",
        description="Measure a checkpoint's classification accuracy, and the PSNR of its "
        "reconstructions on the 28x28 image in [0, 1].",
    )
    command.set_defaults(run=_run)
    command.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a .safetensors file")
    shared.add_data(command, required=False)
    command.add_argument(
        "--split",
        choices=data.SPLITS,
        default="test",
        help="which part of the data set (default: %(default)s)",
    )
    shared.add_accelerator(command)
    shared.add_json(command)


def _run(options: argparse.Namespace) -> None:
    device = runtime.resolve_device(options.accelerator)
    model, header = records.load_checkpoint(options.checkpoint)
    name = getattr(options, "dataset", header["dataset"].removesuffix("-sample"))
    dataset = shared.load_split(options, name, options.split)
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
