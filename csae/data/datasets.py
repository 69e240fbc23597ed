"""Splits of the data sets, from the official files or the shipped sample."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import platformdirs
import torch
from torch import Tensor

from csae import checks
from csae.data.download import download_files
from csae.data.images import SPLITS, ImageDataset
from csae.data.names import DATASETS, class_names
from csae.data.official import REPLACE, CorruptDataError, part_files, read_part
from csae.data.sample import load_sample

VALIDATION_EVERY = 12  # every twelfth training image of each class is kept for validation


def load_dataset(
    name: str,
    split: str,
    root: str | os.PathLike[str] | None = None,
    download: bool | Literal["force"] = True,
    sample: bool = False,
) -> ImageDataset:
    """Load one split of a data set, downloading its files when they are missing.

    ``validation`` is every twelfth training image of each class, in file order; ``train`` is the
    rest. So the split is the same on every machine and for every seed.

    Args:
        name: One of ``DATASETS``: ``"mnist"``, ``"fashion-mnist"``, ``"emnist-letters"``,
            ``"emnist-balanced"``, ``"emnist-byclass"``, ``"emnist-bymerge"``, ``"emnist-digits"``
            or ``"emnist-mnist"``.
        split: ``"train"``, ``"validation"`` or ``"test"``.
        root: Folder that holds torchvision's folders (``MNIST/raw`` and so on). Default: the
            environment variable ``CSAE_DATA``, else a cache folder of the user.
        download: Whether missing files may be downloaded. ``"force"`` downloads them again and
            replaces what is there.
        sample: Load the sample shipped inside the package instead: 4,500 training, 500 validation
            and 1,000 test images of MNIST or Fashion-MNIST. Each is a stratified part of the
            same split of the full data set. It needs no network and ignores ``root``.

    Returns:
        The split, EMNIST's images turned upright and its letters labelled from 0. Its ``source``
        says whether the files are the official ones: those of MNIST and Fashion-MNIST must be, and
        EMNIST's are known to be where this function has downloaded them.

    Raises:
        ValueError: An argument is unknown, or there is no sample, or no folder to look in.
        DataUnavailableError: Files are missing and could not be downloaded, or cannot be read.
        CorruptDataError: A file is truncated, damaged or holds no images, or the test images are
            the training images.
    """
    checks.choice("name", name, DATASETS)
    checks.choice("split", split, SPLITS)
    checks.choice("download", download, (True, False, "force"))
    if checks.flag("sample", sample):
        return load_sample(name, split)

    folder = _resolve_root(root)
    part = "test" if split == "test" else "train"
    parts = part_files(name)
    if download == "force" or not all(os.path.isfile(folder / file) for file in parts[part]):
        download_files(name, folder, parts, download)
    images, labels, source = read_part(folder, parts, part)

    classes = class_names(name)
    label_path = folder / parts[part][1]
    if name.startswith("emnist"):
        images = images.transpose(1, 2)  # EMNIST's files store columns as rows
    labels = labels.long() - (1 if name == "emnist-letters" else 0)
    if labels.min() < 0 or labels.max() >= len(classes):
        raise CorruptDataError(
            f"{label_path} holds labels outside the {len(classes)} classes of {name}. {REPLACE}"
        )
    images = images.unsqueeze(1)  # (N, 1, 28, 28)
    if split != "test":
        keep = _is_validation(labels, len(classes)) == (split == "validation")
        if not keep.any():
            raise CorruptDataError(
                f"{label_path} leaves no images for validation, which takes every "
                f"{VALIDATION_EVERY}th of each class: no class has as many. {REPLACE}"
            )
        images, labels = images[keep], labels[keep]
    return ImageDataset(
        images.contiguous(), labels.contiguous(), classes, name, split, source=source
    )


def _resolve_root(root: str | os.PathLike[str] | None) -> Path:
    """Return the folder of the data sets: as asked for, as CSAE_DATA says, or a cache."""
    argument, chosen = "root", root
    if root is None:
        argument, chosen = "the environment variable CSAE_DATA", os.environ.get("CSAE_DATA") or None
    if chosen is None:
        try:
            folder = platformdirs.user_cache_path("csae")
        except RuntimeError:
            folder = Path("~")
        if not folder.is_absolute():  # some versions leave the "~" of a user without a home
            raise ValueError(
                "root or the environment variable CSAE_DATA must name the folder of the data sets, "
                "because this user has no home folder for a cache, got neither"
            )
        return folder
    folder = checks.path(argument, chosen)
    try:
        return folder.expanduser()
    except RuntimeError:  # no such user, or a user without a home
        raise ValueError(
            f"{argument} must be the path of a folder, and {folder} begins with a home folder that "
            "is not known; write the path in full"
        ) from None


def _is_validation(labels: Tensor, num_classes: int) -> Tensor:
    """Mark every twelfth image of each class, in file order."""
    marked = torch.zeros(len(labels), dtype=torch.bool)
    for label in range(num_classes):
        members = torch.nonzero(labels == label).squeeze(1)
        marked[members[VALIDATION_EVERY - 1 :: VALIDATION_EVERY]] = True
    return marked
