"""The command ``csae sample``."""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from csae import checks, data, files, progress
from csae.cli import options as shared
from csae.generation import sample_latents
from csae.models import Autoencoder, check_decodes
from csae.weights import load_checkpoint

_BATCH = 500  # images, or codes, that go through the network at once
_MOST = 10_000  # new images of a class; a few hundred MB of random numbers
_SHOWN = 40  # most images of a class in the picture


def add(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    command = commands.add_parser(
        "sample",
        help="draw new images of each class",
        description="Draw new images of each class: fit a Gaussian to the codes of the class's "
        "training images, draw codes from it, decode them (with the class, where the model takes "
        "it). Writes one picture with a row for each class.",
    )
    command.set_defaults(run=_run)
    shared.add_checkpoint(command)
    command.add_argument(
        "--per-class",
        type=int,
        metavar="N",
        default=10,
        help=f"new images of each class; the picture shows {_SHOWN} at most (default: %(default)s)",
    )
    command.add_argument(
        "--seed", type=int, metavar="N", default=0, help="chooses the images (default: %(default)s)"
    )
    results = command.add_argument_group("results")
    results.add_argument(
        "--out", type=shared.path, metavar="FILE.png", required=True, help="the picture; a new file"
    )
    results.add_argument(
        "--arrays",
        type=shared.path,
        metavar="FILE.npz",
        help="also write all images (K, N, 28, 28) uint8 and labels (K, N) as NumPy arrays; "
        "a new file",
    )
    shared.add_json(results)
    shared.add_data(command, default="that of the checkpoint, complete")
    shared.add_accelerator(command)


def _run(options: argparse.Namespace) -> None:
    checks.integer("per_class", options.per_class, 1, _MOST)
    checks.seed("seed", options.seed)
    shared.check_new_file("out", options.out, ".png")
    if options.arrays is not None:
        shared.check_new_file("arrays", options.arrays, ".npz")
    device = shared.settle_device(options)
    model, header = load_checkpoint(options.checkpoint)
    check_decodes(model)
    dataset = shared.load_images(options, model, header, "train")
    model.to(device)
    latents = _encode(model, dataset, device)
    codes = sample_latents(latents, dataset.labels, options.per_class, seed=options.seed)
    images = _decode(model, codes, device)
    _write(options, images, dataset.classes)
    _print(options, dataset)


@torch.no_grad()
def _encode(model: Autoencoder, dataset: data.ImageDataset, device: torch.device) -> Tensor:
    """Return the codes (N, d) of a data set's images."""
    drawn = data.batches(dataset, _BATCH, device=device, image_size=model.image_size)
    with _bar("encoding", len(dataset)) as bar:
        latents = []
        for images, labels in drawn:
            given = (labels,) if model.takes_labels else ()
            latents.append(model.encode(images, *given).cpu())
            bar.update(len(images))
    return torch.cat(latents)


@torch.no_grad()
def _decode(model: Autoencoder, codes: Tensor, device: torch.device) -> Tensor:
    """Return the images (K, N, 28, 28) uint8 of codes (K, N, d)."""
    flat = codes.flatten(0, 1).to(device)
    labels = torch.arange(len(codes), device=device).repeat_interleave(codes.shape[1])
    with _bar("decoding", len(flat)) as bar:
        images = []
        for start in range(0, len(flat), _BATCH):
            batch = flat[start : start + _BATCH]
            given = (labels[start : start + _BATCH],) if model.takes_labels else ()
            pixels = data.to_pixels(model.decode(batch, *given))
            images.append(data.to_bytes(pixels).cpu())
            bar.update(len(batch))
    return torch.cat(images).view(*codes.shape[:2], data.IMAGE_SIZE, data.IMAGE_SIZE)


def _bar(what: str, total: int) -> tqdm:
    # Nothing is shown of what ends within a second.
    return progress.bar(
        desc=what, total=total, unit=" images", delay=1, leave=False, dynamic_ncols=True
    )


def _write(options: argparse.Namespace, images: Tensor, classes: tuple[str, ...]) -> None:
    contents: dict[Path, bytes] = {}
    if options.arrays is not None:
        labels = torch.arange(len(images)).unsqueeze(1).expand(images.shape[:2])
        arrays = io.BytesIO()
        np.savez_compressed(arrays, images=images.numpy(), labels=labels.numpy())
        contents[options.arrays] = arrays.getvalue()
    pictures = shared.load_pictures()
    contents[options.out] = pictures.class_rows(images[:, :_SHOWN], classes)
    files.write_all(contents)


def _print(options: argparse.Namespace, dataset: data.ImageDataset) -> None:
    files = [path for path in (options.out, options.arrays) if path is not None]
    if options.json:
        print(
            json.dumps(
                {
                    "checkpoint": str(options.checkpoint),
                    "dataset": dataset.name,
                    "data_sha256": dataset.fingerprint,
                    "classes": dataset.classes,
                    "per_class": options.per_class,
                    "seed": options.seed,
                    "files": [str(path) for path in files],
                }
            )
        )
        return
    print(
        f"{dataset.name}: {options.per_class:,} new images of each of {dataset.num_classes} classes"
    )
    if options.per_class > _SHOWN:
        print(f"the picture shows the first {_SHOWN} of each")
    for path in files:
        print(f"written: {path}")
