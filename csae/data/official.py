"""The official files of MNIST, Fashion-MNIST and EMNIST: where they lie, read and verified."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from csae import files
from csae.data.images import IMAGE_SIZE, OFFICIAL, UNVERIFIED

# SHA-256 of the unpacked files of the original distributions. torchvision checks the archives it
# downloads, but not files that already lie on disk. None are published for EMNIST's unpacked
# files: theirs are noted beside them when torchvision has checked the archive.
NOTE = "official-sha256.json"
_SHA256 = {
    "MNIST/raw/train-images-idx3-ubyte": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    ),
    "MNIST/raw/train-labels-idx1-ubyte": (
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
    ),
    "MNIST/raw/t10k-images-idx3-ubyte": (
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
    ),
    "MNIST/raw/t10k-labels-idx1-ubyte": (
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
    ),
    "FashionMNIST/raw/train-images-idx3-ubyte": (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
    ),
    "FashionMNIST/raw/train-labels-idx1-ubyte": (
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"
    ),
    "FashionMNIST/raw/t10k-images-idx3-ubyte": (
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"
    ),
    "FashionMNIST/raw/t10k-labels-idx1-ubyte": (
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"
    ),
}

REPLACE = 'Download it again with download="force" (--redownload), or replace the file.'


class DataUnavailableError(RuntimeError):
    """The files of a data set are not here and could not be fetched."""


class CorruptDataError(RuntimeError):
    """A file of a data set is truncated or damaged, or one that ships with csae is missing."""


def part_files(name: str) -> dict[str, tuple[str, str]]:
    """Image and label file of the training and test part, relative to the root."""
    folder = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}.get(name, "EMNIST")
    prefixes = (
        {"train": f"{name}-train", "test": f"{name}-test"}
        if folder == "EMNIST"
        else {"train": "train", "test": "t10k"}
    )
    return {
        part: (f"{folder}/raw/{p}-images-idx3-ubyte", f"{folder}/raw/{p}-labels-idx1-ubyte")
        for part, p in prefixes.items()
    }


def read_part(
    folder: Path, parts: dict[str, tuple[str, str]], part: str
) -> tuple[Tensor, Tensor, str]:
    """Read images and labels of one part, as they stand in the files, and their source."""
    image_path, label_path = (folder / file for file in parts[part])
    contents = {file: _read(folder / file) for file in parts[part]}
    images, labels = (_parse_idx(folder / file, content) for file, content in contents.items())
    if len(images) != len(labels):
        raise CorruptDataError(
            f"{label_path} holds {len(labels):,} labels for {len(images):,} images. {REPLACE}"
        )
    source = _source(folder, contents)
    other = folder / parts["train" if part == "test" else "test"][0]
    _check_other_part(image_path, contents[parts[part][0]], other)
    return images, labels, source


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataUnavailableError(
            f"{path} cannot be read ({error.strerror}): make it readable, or name another folder "
            "with root=... or the environment variable CSAE_DATA"
        ) from error


def _parse_idx(path: Path, content: bytes) -> Tensor:
    """Return the array of an IDX file, refusing one that is not whole."""
    dims = 3 if "images" in path.name else 1
    header = 4 * (dims + 1)
    shape = [int.from_bytes(content[i : i + 4], "big") for i in range(4, header, 4)]
    if content[:4] != bytes([0, 0, 8, dims]) or (dims == 3 and shape[1:] != [28, 28]):
        raise CorruptDataError(
            f"{path} is damaged: its header is not that of an IDX file of "
            f"{'28x28 images' if dims == 3 else 'labels'}. {REPLACE}"
        )
    expected = header + math.prod(shape)
    if len(content) != expected:
        state = "truncated" if len(content) < expected else "damaged"
        raise CorruptDataError(
            f"{path} is {state}: {len(content):,} bytes where its header promises {expected:,}. "
            + REPLACE
        )
    if shape[0] == 0:
        raise CorruptDataError(f"{path} holds no {'images' if dims == 3 else 'labels'}. {REPLACE}")
    # Copied, because PyTorch wants memory it may write to.
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=header).reshape(shape).copy())


def _source(folder: Path, contents: dict[str, bytes]) -> str:
    """Say whether files are the official ones, which those of MNIST must be.

    Raises:
        CorruptDataError: A file whose checksum is known has another one.
    """
    sums = {file: hashlib.sha256(content).hexdigest() for file, content in contents.items()}
    for file, found in sums.items():
        if found != _SHA256.get(file, found):
            raise CorruptDataError(
                f"{folder / file} is damaged: its SHA-256 is not that of the original file. "
                + REPLACE
            )
    known: dict[str, object] = dict(_SHA256)
    if not sums.keys() <= _SHA256.keys():
        noted = _read_note(folder / "EMNIST" / "raw" / NOTE)
        known = {f"EMNIST/raw/{file}": value for file, value in noted.items()}
    return OFFICIAL if all(known.get(file) == found for file, found in sums.items()) else UNVERIFIED


def _read_note(path: Path) -> dict[str, object]:
    """Read the checksums back; a note that is missing or damaged vouches for nothing."""
    try:
        noted = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return noted if isinstance(noted, dict) else {}


def write_note(path: Path, sums: dict[str, str]) -> None:
    """Note the checksums of the official files beside the files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_whole(path, (json.dumps(sums, indent=2, sort_keys=True) + "\n").encode())


def _check_other_part(path: Path, content: bytes, other: Path) -> None:
    """Refuse training images that serve as test images, too, all of them or the first ones.

    The other file is read on only if its first image is the same.
    """
    header, image = 16, IMAGE_SIZE**2
    try:
        with other.open("rb") as file:
            file.seek(header)
            start = file.read(image)
            same = len(start) == image and start == content[header : header + image]
            if same:
                start += file.read(len(content))
                same = start[: len(content) - header] == content[header : header + len(start)]
    except OSError:  # not there, or not readable: not used here
        return
    if same:
        raise CorruptDataError(
            f"{path} and {other} hold the same images: a model would be tested on what it was "
            f"trained on. {REPLACE}"
        )
