"""Augmentation: random changes to training images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from csae import checks
from csae.data.images import IMAGE_SIZE, PADDED_SIZE
from csae.distributed import own_rows

# Of the fields of an augmentation. Larger ones would cut into what the images show.
_LARGEST_CHANGES = {"rotation": 45, "zoom": 0.5, "shear": 0.5, "erase": 1, "erase_area": 0.5}


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
        erase: Share of the images in which a rectangle is erased, filled with one random grey
            value, 0 to 1.
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
        largest_shift = (PADDED_SIZE - IMAGE_SIZE) // 2
        checked: dict[str, float] = {
            "shift": checks.integer("shift", self.shift, 0, largest_shift),
            "flip": checks.flag("flip", self.flip),
        }
        for name, most in _LARGEST_CHANGES.items():
            checked[name] = checks.number(name, getattr(self, name), least=0, most=most)
        for name, value in checked.items():  # kept as plain numbers, which JSON can hold
            object.__setattr__(self, name, value)
        if self.erase_area == 0:
            raise ValueError("erase_area must be above 0; erase=0 erases nothing")

    def __call__(self, images: Tensor) -> Tensor:
        """Return changed copies of ``images``, (N, 1, S, S) in [-1, 1].

        Raises:
            ValueError: ``images`` are of another type or shape.
        """
        checks.tensor("images", images, ("N", 1, "S", "S"), floating=True, least=0)
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
    """Fill a random rectangle of each image with grey, in a random share of the images."""
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
