"""Options that several commands share, and the loading of what they name."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from types import ModuleType

import torch

from csae import data, files, runtime
from csae.models import Autoencoder
from csae.weights import CheckpointHeader


def path(text: str) -> Path:
    """Read the value of an option that names a file or a folder.

    Raises:
        argparse.ArgumentTypeError: It is empty, no UTF-8, or in the home folder of nobody.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        # Settings, records and weights are written by libraries that take no other names.
        raise argparse.ArgumentTypeError(
            f"a path must be UTF-8, got {os.fsencode(text)!r}"
        ) from None
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError(f"a path must have a name, got {text!r}")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise argparse.ArgumentTypeError(
            f"the home folder in {text!r} is not known; write the path in full, or ./~... for a "
            "file of that name"
        ) from None


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names a trained model."""
    parser.add_argument("checkpoint", type=path, metavar="CHECKPOINT", help="a .safetensors file")


def add_data(parser: argparse.ArgumentParser, *, default: str) -> None:
    """Add what chooses the images: ``--dataset``, ``--root``, ``--sample`` and downloading.

    Args:
        parser: The command's.
        default: What the help says of a command without ``--dataset``.
    """
    group = parser.add_argument_group("data")
    group.add_argument(
        "--dataset",
        choices=data.DATASETS,
        metavar="NAME",
        help=f"one of {', '.join(data.DATASETS)} (default: {default})",
        default=argparse.SUPPRESS,
    )
    group.add_argument(
        "--root",
        type=path,
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


def add_split(parser: argparse._ActionsContainer) -> None:
    """Add ``--split``."""
    parser.add_argument(
        "--split",
        choices=data.SPLITS,
        default="test",
        help="which part of the data set (default: %(default)s)",
    )


def add_accelerator(parser: argparse._ActionsContainer) -> None:
    """Add ``--accelerator``, to a parser or to one of its groups."""
    parser.add_argument(
        "--accelerator",
        choices=runtime.ACCELERATORS,
        default="auto",
        help="where to compute (default: %(default)s)",
    )


def add_json(parser: argparse._ActionsContainer) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", help="print the result as json")


def load_split(options: argparse.Namespace, name: str, split: str) -> data.ImageDataset:
    """Load a split of a data set as the options of `add_data` say."""
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


def load_images(
    options: argparse.Namespace, model: Autoencoder, header: CheckpointHeader, split: str
) -> data.ImageDataset:
    """Load images for a trained model: of its own data set, unless the options name another.

    Args:
        options: With those of `add_data`.
        model: The model; the data set must have as many classes.
        header: Header of its checkpoint.
        split: Name of the split.

    Raises:
        ValueError: The data set and the model differ in their number of classes, or the checkpoint
            names a data set that is not known and the options name none.
    """
    own = own_dataset(header)
    name = getattr(options, "dataset", own)
    if name not in data.DATASETS:
        raise ValueError(
            f"dataset must be one of {', '.join(data.DATASETS)}; the checkpoint was trained on "
            f"{name!r}, so name one with --dataset"
        )
    dataset = load_split(options, name, split)
    if dataset.num_classes != header.num_classes:
        raise ValueError(
            f"dataset has {dataset.num_classes} classes ({name}), but the model was built for "
            f"{header.num_classes}"
        )
    if name != own:
        print(
            f"csae: note: this checkpoint was trained on {header.dataset}, not on {name}",
            file=sys.stderr,
        )
    return dataset


def own_dataset(header: CheckpointHeader) -> str:
    """Name the data set a checkpoint was trained on, whether on the whole or on its sample."""
    return header.dataset.removesuffix("-sample")


def scores(measured: dict[str, float]) -> str:
    """Say what `csae.evaluate` measured.

    A model without classes has no accuracy, and one without a decoder no PSNR.
    """
    parts = []
    if "accuracy" in measured:
        parts.append(f"accuracy {measured['accuracy']:.2%}")
    if "psnr" in measured:
        parts.append(f"PSNR {measured['psnr']:.2f} dB")
    return ", ".join(parts)


def settle_device(options: argparse.Namespace) -> torch.device:
    """Return the device of `add_accelerator`; on a CPU, settle the number of threads."""
    device = runtime.resolve_device(options.accelerator)
    if device.type == "cpu":
        runtime.settle_threads()
    return device


def check_new_file(argument: str, path: Path, suffix: str) -> None:
    """Refuse a file that exists or cannot be written, or whose name does not say what it holds.

    Raises:
        ValueError: It is such a file.
    """
    if path.suffix.lower() != suffix:
        raise ValueError(f"{argument} must be a file named *{suffix}, got {path}")
    if os.path.lexists(path):
        raise ValueError(f"{argument} must be a new file, got {path}, which exists")
    files.check_can_write(argument, path.parent)


def load_pictures() -> ModuleType:
    """Load what draws pictures, so that it needs no window, whatever the environment says.

    It is loaded only when it is needed: help need not wait for matplotlib.
    """
    os.environ["MPLBACKEND"] = "agg"
    from csae.cli import pictures

    return pictures
