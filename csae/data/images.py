"""Images as stored bytes, as what the networks read, and as pixels; a labelled set of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from csae import checks

SPLITS = ("train", "validation", "test")
IMAGE_SIZE = 28  # height and width of the images in the files
PADDED_SIZE = 32  # and of what the networks read by default: two black pixels on each side

# Where images come from, as `ImageDataset.source` says it.
OFFICIAL = "official files"
UNVERIFIED = "not verified as the official files"
SHIPPED = "sample shipped with csae"
OWN = "own data"


@dataclass(frozen=True, eq=False, repr=False)
class ImageDataset:
    """One split of a labelled image data set, held in memory.

    Attributes:
        images: (N, 1, 28, 28) uint8 with N >= 1, upright, ink or cloth bright on black.
        labels: (N,) int64 in 0..K-1.
        classes: K class names; ``classes[label]`` names a label.
        name: Name of the data set, such as ``"mnist"``.
        split: ``"train"``, ``"validation"`` or ``"test"``.
        fingerprint: SHA-256, in hexadecimal, of images and labels; computed if it is left out.
        source: Where the images come from. ``load_dataset`` says whether they are the official
            files.

    Raises:
        ValueError: An argument is something else.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    name: str
    split: str
    fingerprint: str = ""
    source: str = OWN

    def __post_init__(self) -> None:
        checks.tensor(
            "images",
            self.images,
            ("N", 1, IMAGE_SIZE, IMAGE_SIZE),
            dtype=torch.uint8,
            hint=_images_hint(self.images),
        )
        checks.tensor(
            "labels", self.labels, ("N",), dtype=torch.int64, hint=_labels_hint(self.labels)
        )
        object.__setattr__(self, "classes", _class_tuple(self.classes))
        checks.labels("labels", self.labels, len(self.images), len(self.classes))
        if not checks.instance("name", self.name, str):
            raise ValueError("name must say what the data set is, got ''")
        checks.choice("split", self.split, SPLITS)
        checks.instance("fingerprint", self.fingerprint, str)
        checks.instance("source", self.source, str)
        if not self.fingerprint:
            object.__setattr__(self, "fingerprint", _fingerprint(self.images, self.labels))

    @property
    def num_classes(self) -> int:
        """Number of classes K."""
        return len(self.classes)

    @property
    def remark(self) -> str:
        """What must be said beside the name: that files are not known to be the official ones."""
        return f", {self.source}" if self.source == UNVERIFIED else ""

    def to(self, device: torch.device | str) -> ImageDataset:
        """Return the data set with its tensors on a device; itself if they are there."""
        if self.images.device == torch.device(device):
            return self
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    def first(self, count: int) -> ImageDataset:
        """Return the first images, at least 1, as a data set of their own.

        Raises:
            ValueError: There are not as many.
        """
        count = checks.integer("count", count, 1, len(self))
        return replace(self, images=self.images[:count], labels=self.labels[:count], fingerprint="")

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return (
            f"ImageDataset({self.name} {self.split}, {len(self):,} images, "
            f"{self.num_classes} classes, {self.fingerprint[:8]}{self.remark})"
        )


def prepare(images: Tensor, image_size: int = PADDED_SIZE) -> Tensor:
    """Turn stored images into what the networks read.

    Args:
        images: (N, 1, 28, 28) uint8 in 0..255.
        image_size: Height and width to pad to with black, even and at least 28.

    Returns:
        (N, 1, image_size, image_size) float32 in [-1, 1].

    Raises:
        ValueError: ``images`` are of another type or shape, or ``image_size`` is out of range.
    """
    checks.tensor(
        "images",
        images,
        ("N", 1, IMAGE_SIZE, IMAGE_SIZE),
        dtype=torch.uint8,
        least=0,
        hint=_images_hint(images),
    )
    padding = (even_size(image_size) - IMAGE_SIZE) // 2
    return F.pad(images, (padding,) * 4).float() / 127.5 - 1


def to_pixels(images: Tensor) -> Tensor:
    """Turn the networks' images into what metrics and figures use.

    Args:
        images: (N, 1, S, S) float with an even S of at least 28, nominally in [-1, 1].

    Returns:
        (N, 1, 28, 28) float in [0, 1]: the padding cut off, values outside the range clipped.

    Raises:
        ValueError: ``images`` are of another type or shape.
    """
    checks.tensor("images", images, ("N", 1, "S", "S"), floating=True, least=0)
    size = images.shape[-1]
    if size < IMAGE_SIZE or size % 2:
        raise ValueError(
            f"images must have an even height and width of at least {IMAGE_SIZE}, got "
            f"{checks.show(images)}"
        )
    start = (images.shape[-1] - IMAGE_SIZE) // 2
    inside = slice(start, start + IMAGE_SIZE)
    return ((images[..., inside, inside] + 1) / 2).clamp(0, 1)


def to_bytes(pixels: Tensor) -> Tensor:
    """Turn pixels in [0, 1], floating point, into stored images: uint8 in 0..255."""
    checks.tensor("pixels", pixels, floating=True)
    return (pixels * 255).round().byte()


def _images_hint(images: object) -> str:
    """Say how to turn what was given for stored images into stored images."""
    if isinstance(images, np.ndarray):
        return "turn arrays into tensors with torch.from_numpy(images)"
    if isinstance(images, Tensor) and images.is_floating_point():
        return "turn pixels in [0, 1] into bytes with csae.data.to_bytes(images)"
    if isinstance(images, Tensor) and images.shape[1:] == (IMAGE_SIZE, IMAGE_SIZE):
        return "add the axis of channels with images.unsqueeze(1)"
    return ""


def _labels_hint(labels: object) -> str:
    if isinstance(labels, np.ndarray):
        return "turn arrays into tensors with torch.from_numpy(labels).long()"
    if isinstance(labels, Tensor) and labels.dtype != torch.int64:
        return "turn other integers into int64 with labels.long()"
    return ""


def _class_tuple(classes: object) -> tuple[str, ...]:
    """Check class names; a string names each class by a letter."""
    names = (
        tuple(classes) if isinstance(classes, str) else checks.sequence("classes", classes, "names")
    )
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"classes must be the classes' names, got {checks.show(classes)}")
    return names


def even_size(image_size: int) -> int:
    """Check a size to pad to."""
    size = checks.integer("image_size", image_size, IMAGE_SIZE)
    if size % 2:
        raise ValueError(
            f"image_size must be even, because both sides are padded alike, got {size}"
        )
    return size


def _fingerprint(images: Tensor, labels: Tensor) -> str:
    digest = hashlib.sha256(images.cpu().contiguous().numpy().data)  # no copy
    digest.update(labels.cpu().contiguous().numpy().data)
    return digest.hexdigest()
