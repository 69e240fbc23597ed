"""The command ``csae export``."""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

from csae import checks, data, export, files, progress, runtime
from csae.cli import options as shared
from csae.weights import CheckpointHeader, load_checkpoint


def add(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    command = commands.add_parser(
        "export",
        help="write a trained model as ONNX files and check them",
        description="Write encoder.onnx (images to latents and similarities), decoder.onnx "
        "(latents to images) and model.json, which says what goes in and out. Before writing, the "
        "outputs of ONNX Runtime and PyTorch are compared. Needs the extra csae[export].",
    )
    command.set_defaults(run=_run)
    shared.add_checkpoint(command)
    results = command.add_argument_group("results")
    results.add_argument(
        "--out",
        type=shared.path,
        metavar="FOLDER",
        required=True,
        help="folder for the files; it must be new or empty",
    )
    shared.add_json(results)
    comparison = command.add_argument_group("comparison")
    comparison.add_argument(
        "--count",
        type=int,
        metavar="N",
        default=1000,
        help="images to compare on, the first of the split (default: %(default)s)",
    )
    comparison.add_argument(
        "--tolerance",
        type=float,
        metavar="DIFFERENCE",
        default=export.TOLERANCE,
        help="largest absolute difference allowed (default: %(default)s)",
    )
    shared.add_split(comparison)
    shared.add_data(command, default="that of the checkpoint, complete")


def _run(options: argparse.Namespace) -> None:
    runtime.require_extra("export", *export.PACKAGES)
    checks.integer("count", options.count, 1)
    checks.number("tolerance", options.tolerance, above=0)
    files.check_new_folder("out", options.out)
    files.check_can_write("out", options.out)
    runtime.settle_threads()
    model, header = load_checkpoint(options.checkpoint)
    export.check_exports(model)
    _check_own_dataset(options, header)
    dataset = shared.load_images(options, model, header, options.split).first(options.count)
    with progress.bar(
        total=len(export.STAGES), bar_format="{desc} ({n}/{total})", delay=1, leave=False
    ) as bar:

        def show(stage: str) -> None:
            bar.update()
            bar.set_description_str(f"exporting: {stage}")

        record = export.export_onnx(
            model,
            options.out,
            data.prepare(dataset.images, model.image_size),
            description=_description(options.checkpoint, header, dataset),
            tolerance=options.tolerance,
            on_stage=show,
        )
    if options.json:
        print(json.dumps({"folder": str(options.out), **record}))
    else:
        print(_summary(options.out, dataset, record["check"]))


def _check_own_dataset(options: argparse.Namespace, header: CheckpointHeader) -> None:
    """Refuse another data set than the checkpoint's: its classes would have the wrong names."""
    own = shared.own_dataset(header)
    name = getattr(options, "dataset", own)
    if own in data.DATASETS and name != own:
        raise ValueError(
            f"dataset must be the one of the checkpoint, {own}, whose class names are written to "
            f"model.json; got {name}"
        )


def _description(
    checkpoint: Path, header: CheckpointHeader, dataset: data.ImageDataset
) -> dict[str, Any]:
    """What ``model.json`` says about the model beyond its networks."""
    size = header.network.image_size
    return {
        "checkpoint": {
            "file": checkpoint.name,
            "sha256": hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
        },
        "dataset": header.dataset,
        "classes": dataset.classes,
        "preprocessing": f"pad grey images of 28x28 pixels, 0 (black) to 255, with black to "
        f"{size}x{size}; divide by 127.5; subtract 1",
        "checked_on": {
            "dataset": dataset.name,
            "split": dataset.split,
            "sha256": dataset.fingerprint,
        },
    }


def _summary(folder: Path, dataset: data.ImageDataset, measured: dict[str, Any]) -> str:
    differences = ", ".join(
        f"{name} {value:.1e}" for name, value in measured["largest_difference"].items()
    )
    same = measured["same_class"]
    named = "" if same is None else f"same class: {same:,} of {len(dataset):,}\n"
    return (
        f"{dataset.name}, {dataset.split}, {len(dataset):,} images, ONNX Runtime and PyTorch "
        f"{measured['reference']}:\n"
        f"largest differences: {differences}\n"
        f"{named}"
        f"written: {folder}/encoder.onnx, decoder.onnx, model.json"
    )
