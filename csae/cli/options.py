"""Options that several commands share, and the loading of what they name."""

from __future__ import annotations

import argparse
from pathlib import Path

from csae import data, runtime


def add_data(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Add what chooses the images: ``--dataset``, ``--root``, ``--sample`` and downloading."""
    group = parser.add_argument_group("data")
    group.add_argument(
        "--dataset",
        choices=data.DATASETS,
        metavar="NAME",
        help=f"one of {', '.join(data.DATASETS)}"
        + (" (needed for a new run)" if required else " (default: the one of the checkpoint)"),
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


def add_accelerator(parser: argparse._ActionsContainer) -> None:
    """Add ``--accelerator``, to a parser or to one of its groups."""
    parser.add_argument(
        "--accelerator",
        choices=runtime.ACCELERATORS,
        default="auto",
        help="where to compute (default: %(default)s)",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
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
