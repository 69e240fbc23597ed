"""The sample of MNIST and Fashion-MNIST that ships inside the package."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import torch

from csae.data.images import SHIPPED, ImageDataset
from csae.data.names import SAMPLES, class_names
from csae.data.official import CorruptDataError

_SAMPLE_FOLDER = Path(__file__).parents[1] / "sample"
_SAMPLE_SHA256 = {
    "mnist": "5d458d8a0fe7c4610605d829846cd2eb4ad0827cbb6a4a4884bf802510770a44",
    "fashion-mnist": "eb5c8673881bb86b4dcb92bb7b5aafc7e5aab7d39deeed7f37fcacaeded5fa55",
}
_POINTER = b"version https://git-lfs"  # what a pointer of Git LFS begins with
_REINSTALL = "Install csae again."


def load_sample(name: str, split: str) -> ImageDataset:
    """Load one split of the shipped sample; refuse a file that is not the shipped one."""
    if name not in SAMPLES:
        raise ValueError(
            f"name must be one of {SAMPLES} with sample=True (--sample), which ships no other "
            f"data set; got {name!r}"
        )
    path = _SAMPLE_FOLDER / f"{name}.npz"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CorruptDataError(
            f"{path}, which belongs to csae, cannot be read ({error.strerror}). {_REINSTALL}"
        ) from error
    if hashlib.sha256(content).hexdigest() != _SAMPLE_SHA256[name]:
        pulled = ' In a clone with Git LFS, "git lfs pull" fetches it.'
        pointer = content.startswith(_POINTER)
        raise CorruptDataError(
            f"{path} is damaged: its SHA-256 is not that of the file shipped with csae. "
            f"{_REINSTALL}{pulled if pointer else ''}"
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        images = torch.from_numpy(arrays[f"{split}_images"]).unsqueeze(1)
        labels = torch.from_numpy(arrays[f"{split}_labels"]).long()
    return ImageDataset(images, labels, class_names(name), f"{name}-sample", split, source=SHIPPED)
