"""Image data sets as plain tensors, and batches drawn from them.

A data set is one uint8 tensor of images and one int64 tensor of labels. Batches are cut from it,
padded and scaled on the device, so no image is ever handled one by one in Python.
"""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import platformdirs
import torch
import torchvision
from torch import Tensor
from torch.nn import functional as F

from csae.distributed import own_rows

SPLITS = ("train", "validation", "test")
VALIDATION_EVERY = 12  # every twelfth training image of each class is kept for validation
IMAGE_SIZE = 28  # height and width of the images in the files
PADDED_SIZE = 32  # and of what the networks read by default: two black pixels on each side

_DIGITS = tuple("0123456789")
_EMNIST_SPLITS = torchvision.datasets.EMNIST.splits
DATASETS = ("mnist", "fashion-mnist", *(f"emnist-{split}" for split in _EMNIST_SPLITS))
SAMPLES = ("mnist", "fashion-mnist")  # data sets that have a sample inside the package
_SAMPLE_FOLDER = Path(__file__).parent / "sample"

# Of the fields of an augmentation. Larger ones would cut into what the images show.
_LARGEST_CHANGES = {"rotation": 45, "zoom": 0.5, "shear": 0.5, "erase": 1, "erase_area": 0.5}

# SHA-256 of the unpacked files of the original distributions. torchvision checks the archives it
# downloads, but not files that already lie on disk.
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


class DataUnavailableError(RuntimeError):
    """The files of a data set are not here and could not be fetched."""


class CorruptDataError(RuntimeError):
    """A file of a data set is truncated or damaged."""


@dataclass(frozen=True, eq=False, repr=False)
class ImageDataset:
    """One split of a labelled image data set, held in memory.

    Attributes:
        images: (N, 1, 28, 28) uint8, upright, ink or cloth bright on black.
        labels: (N,) int64 in 0..K-1.
        classes: K class names; ``classes[label]`` names a label.
        name: Name of the data set, such as ``"mnist"``.
        split: ``"train"``, ``"validation"`` or ``"test"``.
        fingerprint: SHA-256, in hexadecimal, of images and labels.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    name: str
    split: str
    fingerprint: str

    @property
    def num_classes(self) -> int:
        """Number of classes K."""
        return len(self.classes)

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
        if not 1 <= count <= len(self):
            raise ValueError(
                f"count must be from 1 to the {len(self):,} images of {self.name} {self.split}, "
                f"got {count}"
            )
        images, labels = self.images[:count], self.labels[:count]
        return _make(images, labels, self.classes, self.name, self.split)

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return (
            f"ImageDataset({self.name} {self.split}, {len(self):,} images, "
            f"{self.num_classes} classes, {self.fingerprint[:8]})"
        )


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
        The split, EMNIST's images turned upright and its letters labelled from 0.

    Raises:
        ValueError: ``name``, ``split`` or ``download`` is unknown, or there is no sample.
        DataUnavailableError: Files are missing and could not be downloaded.
        CorruptDataError: A file is truncated or damaged.
    """
    _check_choice("name", name, DATASETS)
    _check_choice("split", split, SPLITS)
    _check_choice("download", download, (True, False, "force"))
    if sample:
        return _load_sample(name, split)

    folder = _resolve_root(root)
    part = "test" if split == "test" else "train"
    files = _files(name)
    if download == "force" or not all((folder / file).is_file() for file in files[part]):
        _download(name, folder, files, download)
    images, labels = (_read_idx(folder, file) for file in files[part])
    if len(images) != len(labels):
        raise CorruptDataError(
            f"{folder / files[part][1]} holds {len(labels):,} labels for {len(images):,} images. "
            + _REPLACE
        )

    classes = class_names(name)
    if name.startswith("emnist"):
        images = images.transpose(1, 2)  # EMNIST's files store columns as rows
    labels = labels.long() - (1 if name == "emnist-letters" else 0)
    if labels.min() < 0 or labels.max() >= len(classes):
        raise CorruptDataError(
            f"{folder / files[part][1]} holds labels outside the {len(classes)} classes of {name}. "
            + _REPLACE
        )
    images = images.unsqueeze(1)  # (N, 1, 28, 28)
    if split != "test":
        keep = _is_validation(labels, len(classes)) == (split == "validation")
        images, labels = images[keep], labels[keep]
    return _make(images, labels, classes, name, split)


def map_dataset(
    images: str | os.PathLike[str],
    labels: str | os.PathLike[str],
    classes: Sequence[str],
    *,
    name: str,
    split: str,
) -> ImageDataset:
    """Open a data set of your own, of any size, without reading it into memory.

    The files are mapped: a training step reads the images of its batch, and the system keeps what
    fits. Both are read once in full here, a piece at a time, for their checksum and to check the
    labels.

    Args:
        images: A ``.npy`` file, as `numpy.save` writes it: (N, 28, 28) or (N, 1, 28, 28) uint8.
        labels: A ``.npy`` file: (N,) integers in 0..K-1.
        classes: The K class names.
        name: What to call the data set; it stands in records.
        split: One of ``SPLITS``.

    Returns:
        The data set; its images stay in their file, its labels are in memory.

    Raises:
        ValueError: ``split`` is unknown, or a file holds something else.
        FileNotFoundError: A file is missing.
    """
    _check_choice("split", split, SPLITS)
    # Copy-on-write, because PyTorch wants memory it may write to: the file never changes.
    pictures = np.load(images, mmap_mode="c", allow_pickle=False)
    numbers = np.load(labels, allow_pickle=False)
    if pictures.dtype != np.uint8 or pictures.shape[1:] not in ((28, 28), (1, 28, 28)):
        raise ValueError(
            f"images must be a file of uint8 images (N, 28, 28), {images} holds {pictures.dtype} "
            f"of shape {pictures.shape}"
        )
    if numbers.shape != (len(pictures),) or not np.issubdtype(numbers.dtype, np.integer):
        raise ValueError(
            f"labels must be a file of {len(pictures):,} integers, one for each image, {labels} "
            f"holds {numbers.dtype} of shape {numbers.shape}"
        )
    if len(numbers) == 0 or numbers.min() < 0 or numbers.max() >= len(classes):
        raise ValueError(f"labels must be from 0 to {len(classes) - 1}, one for each of classes")
    return _make(
        torch.from_numpy(pictures.reshape(-1, 1, IMAGE_SIZE, IMAGE_SIZE)),
        torch.from_numpy(numbers.astype(np.int64)),
        tuple(classes),
        name,
        split,
    )


def prepare(images: Tensor, image_size: int = PADDED_SIZE) -> Tensor:
    """Turn stored images into what the networks read.

    Args:
        images: (N, 1, 28, 28) uint8 in 0..255.
        image_size: Height and width to pad to with black, even and at least 28.

    Returns:
        (N, 1, image_size, image_size) float32 in [-1, 1].

    Raises:
        ValueError: ``image_size`` is out of range.
    """
    if image_size < IMAGE_SIZE or image_size % 2:
        raise ValueError(
            f"image_size must be even and at least {IMAGE_SIZE}, the size of the images in the "
            f"files, got {image_size!r}"
        )
    padding = (image_size - IMAGE_SIZE) // 2
    return F.pad(images, (padding,) * 4).float() / 127.5 - 1


def to_pixels(images: Tensor) -> Tensor:
    """Turn the networks' images into what metrics and figures use.

    Args:
        images: (N, 1, S, S) float with S >= 28, nominally in [-1, 1].

    Returns:
        (N, 1, 28, 28) float in [0, 1]: the padding cut off, values outside the range clipped.
    """
    start = (images.shape[-1] - IMAGE_SIZE) // 2
    inside = slice(start, start + IMAGE_SIZE)
    return ((images[..., inside, inside] + 1) / 2).clamp(0, 1)


def to_bytes(pixels: Tensor) -> Tensor:
    """Turn pixels in [0, 1] into the whole numbers of stored images: uint8 in 0..255."""
    return (pixels * 255).round().byte()


@dataclass(frozen=True)
class Augmentation:
    """Random changes to training images, drawn anew for each image and epoch.

    Images are mirrored first, then shifted, then slanted, resized and turned in one go, then erased
    in part. A change whose field is zero costs nothing and draws no random numbers. What is moved
    out of the image is lost, and black fills the gaps.

    Attributes:
        shift: Largest shift in pixels along each axis, 0 to 2 (the usual padding leaves no more
            room; without padding, what is shifted out is lost).
        flip: Whether to mirror half of the images left to right. Right for clothes, wrong for
            digits and letters.
        rotation: Largest angle about the centre in degrees, either way, 0 to 45. Angles are
            spread evenly, as are the changes of size and the slants below.
        zoom: Largest relative change of size, up or down, 0 to 0.5: at 0.1 images become 0.9 to
            1.1 times as large.
        shear: Largest slant, either way, 0 to 0.5: at 0.1 each row moves sideways by up to a tenth
            of its height above the centre.
        erase: Share of the images in which a rectangle is painted over with one random grey value,
            0 to 1.
        erase_area: Largest area of the rectangle as a share of the image with its padding, above 0
            to 0.5. Areas are spread evenly below it, and the longer side is up to three times as
            long as the shorter one.

    Raises:
        ValueError: An argument is out of range.
    """

    shift: int = 0
    flip: bool = False
    rotation: float = 0.0
    zoom: float = 0.0
    shear: float = 0.0
    erase: float = 0.0
    erase_area: float = 0.25

    def __post_init__(self) -> None:
        _check_choice("shift", self.shift, range((PADDED_SIZE - IMAGE_SIZE) // 2 + 1))
        _check_choice("flip", self.flip, (False, True))
        for name, most in _LARGEST_CHANGES.items():
            value = getattr(self, name)
            if not 0 <= value <= most:
                raise ValueError(f"{name} must be a number from 0 to {most}, got {value!r}")
        if self.erase_area == 0:
            raise ValueError("erase_area must be above 0; erase=0 erases nothing")

    def __call__(self, images: Tensor) -> Tensor:
        """Return changed copies of ``images``, (N, 1, S, S) in [-1, 1]."""
        if self.flip:
            mirrored = _rand(images, 1, 1, 1) < 0.5
            images = torch.where(mirrored, images.flip(-1), images)
        if self.shift:
            images = _shift(images, self.shift)
        if self.rotation or self.zoom or self.shear:
            images = _warp(images, self.rotation, self.zoom, self.shear)
        if self.erase:
            images = _erase(images, self.erase, self.erase_area)
        return images


def batches(
    dataset: ImageDataset,
    batch_size: int,
    *,
    device: torch.device | str = "cpu",
    order: Tensor | None = None,
    augmentation: Augmentation | None = None,
    image_size: int = PADDED_SIZE,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield prepared batches.

    The uint8 images of a batch are gathered where the data set lies, and moved to ``device``, where
    they are padded, scaled and augmented. Random numbers come from PyTorch's global generator, so
    ``torch.manual_seed`` repeats them.

    Args:
        dataset: The images and labels: on ``device``, or in main memory, or mapped from files.
        batch_size: Images a batch, at least 1; the last batch may hold fewer.
        device: Where the batches go.
        order: (n,) int64 rows of the data set, in the order of the visit; by default all of them,
            from the first to the last.
        augmentation: Random changes to each image.
        image_size: Height and width of the batches' images, see `prepare`.

    Yields:
        Images (n, 1, image_size, image_size) float32 in [-1, 1] and labels (n,) int64, on
        ``device``.

    Raises:
        ValueError: ``batch_size`` is below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    device = torch.device(device)
    if order is not None:
        order = order.to(dataset.images.device)
    for start in range(0, len(dataset) if order is None else len(order), batch_size):
        rows: slice | Tensor = slice(start, start + batch_size)
        if order is not None:
            rows = order[rows]
        images, labels = _move(dataset.images[rows], device), _move(dataset.labels[rows], device)
        batch = prepare(images, image_size)
        yield (augmentation(batch) if augmentation else batch), labels


def _move(part: Tensor, device: torch.device) -> Tensor:
    """Copy to the device, without waiting for the copy where the device allows it."""
    if part.device.type == "cpu" and device.type == "cuda":
        part = part.pin_memory()
    return part.to(device, non_blocking=True)


def _rand(images: Tensor, *shape: int) -> Tensor:
    """Random numbers (N, *shape) between 0 and 1 for N images, the same however they are shared."""
    return own_rows(lambda rows: torch.rand(rows, *shape, device=images.device), len(images))


def _shift(images: Tensor, most: int) -> Tensor:
    """Move each image by its own random whole number of pixels; black fills the gap."""
    count, _, height, width = images.shape
    padded = F.pad(images, (most,) * 4, value=-1.0)
    offset = (_rand(images, 2, 1) * (2 * most + 1)).long()
    rows = (torch.arange(height, device=images.device) + offset[:, 0])[:, :, None]  # (N, H, 1)
    columns = (torch.arange(width, device=images.device) + offset[:, 1])[:, None, :]  # (N, 1, W)
    image = torch.arange(count, device=images.device)[:, None, None]
    return padded[:, 0][image, rows, columns].unsqueeze(1)


def _warp(images: Tensor, rotation: float, zoom: float, shear: float) -> Tensor:
    """Turn, resize and slant each image about its centre, by its own random amounts."""
    count, device = len(images), images.device
    angle = slant = torch.zeros(count, device=device)
    size = torch.ones(count, device=device)
    if rotation:
        most = math.radians(rotation)
        angle = most * (2 * _rand(images) - 1)
    if zoom:
        size = 1 + zoom * (2 * _rand(images) - 1)
    if shear:
        slant = shear * (2 * _rand(images) - 1)
    return _affine(images, angle, size, slant)


def _affine(images: Tensor, angle: Tensor, size: Tensor, slant: Tensor) -> Tensor:
    """Slant images, resize them, turn them counter-clockwise by an angle in radians; each (N,)."""
    cosine, sine, zero = angle.cos() / size, angle.sin() / size, torch.zeros_like(angle)
    # The sampler asks where each new pixel comes from, so this is the inverse map: turn back,
    # shrink back, slant back. Its y axis points down, so rows above the centre have negative y.
    back = torch.stack(
        [
            torch.stack([cosine + slant * sine, slant * cosine - sine, zero], dim=1),
            torch.stack([sine, cosine, zero], dim=1),
        ],
        dim=1,
    )
    grid = F.affine_grid(back, list(images.shape), align_corners=False)
    # Outside the image the sampler finds zeros, which are grey: raised by 1 they mean black.
    return F.grid_sample(images + 1, grid, align_corners=False) - 1


def _erase(images: Tensor, share: float, largest: float) -> Tensor:
    """Paint one random grey rectangle over each image of a random share of them."""
    height, width = images.shape[2:]
    device = images.device
    chosen = _rand(images) < share
    area = largest * _rand(images)
    stretch = 3 ** (_rand(images) - 0.5)  # the root of height / width
    place = _rand(images, 2)
    grey = 2 * _rand(images, 1, 1, 1) - 1
    # A long side is cut at the border of the image: the rectangle then lies wholly inside.
    rows = (height * area.sqrt() * stretch).round().clamp(1, height)
    columns = (width * area.sqrt() / stretch).round().clamp(1, width)
    top = (place[:, 0] * (height - rows + 1)).floor()
    left = (place[:, 1] * (width - columns + 1)).floor()
    y, x = torch.arange(height, device=device), torch.arange(width, device=device)
    in_rows = (y >= top[:, None]) & (y < (top + rows)[:, None])  # (N, H)
    in_columns = (x >= left[:, None]) & (x < (left + columns)[:, None])  # (N, W)
    erased = in_rows[:, None, :, None] & in_columns[:, None, None, :] & chosen[:, None, None, None]
    return torch.where(erased, grey, images)


def _check_choice(argument: str, value: object, allowed: range | tuple[object, ...]) -> None:
    if value not in allowed:
        choices = ", ".join(map(repr, allowed))
        raise ValueError(f"{argument} must be one of {choices}; got {value!r}")


def _resolve_root(root: str | os.PathLike[str] | None) -> Path:
    chosen = root if root is not None else os.environ.get("CSAE_DATA")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("csae")


def class_names(name: str) -> tuple[str, ...]:
    """Return the class names of a data set, without its files; ``[label]`` names a label.

    Args:
        name: One of ``DATASETS``.

    Raises:
        ValueError: There is no such data set.
    """
    _check_choice("name", name, DATASETS)
    if name == "fashion-mnist":
        return tuple(torchvision.datasets.FashionMNIST.classes)
    if name == "mnist":
        return _DIGITS
    names = torchvision.datasets.EMNIST.classes_split_dict[name.removeprefix("emnist-")]
    return tuple(label for label in names if label != "N/A")


def _files(name: str) -> dict[str, tuple[str, str]]:
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


def _download(
    name: str, folder: Path, files: dict[str, tuple[str, str]], download: bool | Literal["force"]
) -> None:
    """Let torchvision fetch, check and unpack the files of a data set."""
    everything = [file for part in files.values() for file in part]
    missing = [file for file in everything if not (folder / file).is_file()]
    if download:
        try:
            if download == "force":
                _replace_files(name, folder, everything)
            else:
                _fetch(name, folder)
            return
        except (OSError, RuntimeError) as error:  # no network, wrong checksum, read-only folder
            cause: Exception | None = error
            reason = "could not be downloaded"
    else:
        cause, reason = None, "are missing and download is off"
    two_ways = [
        f"put the files into {folder}, or name a folder that holds them with root=... or the "
        "environment variable CSAE_DATA"
    ]
    if name in SAMPLES:
        two_ways.insert(0, "use the shipped sample: sample=True, or --sample on the command line")
    else:
        two_ways.insert(0, "repeat this on a machine with a network; the files stay for later")
    raise DataUnavailableError(
        f"The files of {name} {reason}: {', '.join(missing)}.\n"
        f"Two ways out:\n  1. {two_ways[0]};\n  2. {two_ways[1]}."
        + (f"\nCause: {type(cause).__name__}: {str(cause).strip()}" if cause else "")
    ) from cause


def _fetch(name: str, folder: Path) -> None:
    if name == "mnist":
        torchvision.datasets.MNIST(folder, download=True)
    elif name == "fashion-mnist":
        torchvision.datasets.FashionMNIST(folder, download=True)
    else:
        torchvision.datasets.EMNIST(folder, name.removeprefix("emnist-"), download=True)


def _replace_files(name: str, folder: Path, files: list[str]) -> None:
    """Fetch beside the present files first: a failed download must not cost them."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="download-") as fresh:
        _fetch(name, Path(fresh))
        for file in files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            os.replace(Path(fresh) / file, folder / file)


_REPLACE = 'Download it again with download="force" (--redownload), or replace the file.'


def _read_idx(folder: Path, file: str) -> Tensor:
    """Read one IDX file, refusing one that is not whole."""
    path = folder / file
    content = path.read_bytes()
    dims = 3 if "images" in path.name else 1
    header = 4 * (dims + 1)
    shape = [int.from_bytes(content[i : i + 4], "big") for i in range(4, header, 4)]
    if content[:4] != bytes([0, 0, 8, dims]) or (dims == 3 and shape[1:] != [28, 28]):
        raise CorruptDataError(
            f"{path} is damaged: its header is not that of an IDX file of "
            f"{'28x28 images' if dims == 3 else 'labels'}. {_REPLACE}"
        )
    expected = header + int(np.prod(shape))
    if len(content) != expected:
        state = "truncated" if len(content) < expected else "damaged"
        raise CorruptDataError(
            f"{path} is {state}: {len(content):,} bytes where its header promises {expected:,}. "
            + _REPLACE
        )
    if file in _SHA256 and hashlib.sha256(content).hexdigest() != _SHA256[file]:
        raise CorruptDataError(
            f"{path} is damaged: its SHA-256 is not that of the original file. {_REPLACE}"
        )
    # Copied, because PyTorch wants memory it may write to.
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=header).reshape(shape).copy())


def _is_validation(labels: Tensor, num_classes: int) -> Tensor:
    """Mark every twelfth image of each class, in file order."""
    marked = torch.zeros(len(labels), dtype=torch.bool)
    for label in range(num_classes):
        members = torch.nonzero(labels == label).squeeze(1)
        marked[members[VALIDATION_EVERY - 1 :: VALIDATION_EVERY]] = True
    return marked


def _load_sample(name: str, split: str) -> ImageDataset:
    if name not in SAMPLES:
        raise ValueError(
            f"name must be one of {SAMPLES} with sample=True (--sample), which ships no other "
            f"data set; got {name!r}"
        )
    with np.load(_SAMPLE_FOLDER / f"{name}.npz", allow_pickle=False) as arrays:
        images = torch.from_numpy(arrays[f"{split}_images"]).unsqueeze(1)
        labels = torch.from_numpy(arrays[f"{split}_labels"]).long()
    return _make(images, labels, class_names(name), f"{name}-sample", split)


def _make(
    images: Tensor, labels: Tensor, classes: tuple[str, ...], name: str, split: str
) -> ImageDataset:
    images, labels = images.contiguous(), labels.contiguous()
    digest = hashlib.sha256(images.numpy().data)  # no copy: they may be mapped
    digest.update(labels.numpy().data)
    return ImageDataset(images, labels, classes, name, split, digest.hexdigest())
