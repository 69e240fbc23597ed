"""The command ``csae evaluate``."""

from __future__ import annotations

import argparse
import json
from typing import Any

from csae.cli import options as shared
from csae.evaluation import evaluate
from csae.weights import load_checkpoint


def add(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    command = commands.add_parser(
        "evaluate",
        help="measure a trained model's accuracy and reconstruction",
        description="Measure a checkpoint's classification accuracy, where it names classes, and "
        "the PSNR of its reconstructions on the 28x28 image in [0, 1], where it makes any.",
    )
    command.set_defaults(run=_run)
    shared.add_checkpoint(command)
    shared.add_data(command, default="that of the checkpoint, complete")
    shared.add_split(command)
    shared.add_accelerator(command)
    shared.add_json(command)


def _run(options: argparse.Namespace) -> None:
    device = shared.settle_device(options)
    model, header = load_checkpoint(options.checkpoint)
    dataset = shared.load_images(options, model, header, options.split)
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
                    "data_source": dataset.source,
                    **result,
                }
            )
        )
    else:
        print(
            f"{dataset.name}, {dataset.split}: {shared.scores(result)} "
            f"({len(dataset):,} images{dataset.remark})"
        )
