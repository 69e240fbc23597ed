"""The command ``csae reconstruct``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from torch import Tensor

from csae import checks, data, evaluation, files
from csae.cli import options as shared
from csae.models import check_decodes
from csae.weights import load_checkpoint

_MOST = 200  # images that a picture can show


def add(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    command = commands.add_parser(
        "reconstruct",
        help="show images above their reconstructions",
        description="Draw the first images of a data set above their reconstructions, with their "
        "true and predicted classes, and measure accuracy and PSNR on the images shown.",
    )
    command.set_defaults(run=_run)
    shared.add_checkpoint(command)
    command.add_argument(
        "--count",
        type=int,
        metavar="N",
        default=20,
        help=f"images to show, {_MOST} at most (default: %(default)s)",
    )
    results = command.add_argument_group("results")
    results.add_argument(
        "--out", type=shared.path, metavar="FILE.png", required=True, help="the picture; a new file"
    )
    shared.add_json(results)
    shared.add_data(command, default="that of the checkpoint, complete")
    shared.add_split(command)
    shared.add_accelerator(command)


def _run(options: argparse.Namespace) -> None:
    checks.integer("count", options.count, 1, _MOST)
    shared.check_new_file("out", options.out, ".png")
    device = shared.settle_device(options)
    model, header = load_checkpoint(options.checkpoint)
    check_decodes(model)
    dataset = shared.load_images(options, model, header, options.split)
    shown = dataset.first(options.count)
    model.to(device)
    result = evaluation.evaluate(model, shown)
    named = evaluation.classify(model, shown) if model.classifies else None
    _write(options.out, shown, evaluation.reconstruct(model, shown).reconstructions, named)
    _print(options, shown, result)


def _write(
    out: Path, shown: data.ImageDataset, reconstructions: Tensor, named: Tensor | None
) -> None:
    """Write the picture; a model without classes predicts none."""
    pictures = shared.load_pictures()
    picture = pictures.reconstruction_pairs(
        shown.images[:, 0],
        data.to_bytes(reconstructions)[:, 0],
        [shown.classes[label] for label in shown.labels.tolist()],
        None if named is None else [shown.classes[label] for label in named.tolist()],
    )
    files.write_all({out: picture})


def _print(options: argparse.Namespace, shown: data.ImageDataset, result: dict[str, float]) -> None:
    if options.json:
        print(
            json.dumps(
                {
                    "checkpoint": str(options.checkpoint),
                    "dataset": shown.name,
                    "split": shown.split,
                    "images": len(shown),
                    "data_sha256": shown.fingerprint,
                    **result,
                    "files": [str(options.out)],
                }
            )
        )
    else:
        print(
            f"{shown.name}, {shown.split}: {shared.scores(result)} "
            f"(the first {len(shown)} of the split)\n"
            f"written: {options.out}"
        )
