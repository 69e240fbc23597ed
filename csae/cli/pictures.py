"""The pictures that commands write, as PNG files in memory.

Every pixel of an image becomes a square of whole pixels: nothing is smoothed or resampled.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec

from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath
from torch import Tensor

from csae.figures import INK

_DPI = 150
_GAP = 4  # white pixels between images
_MARGIN = 14  # white pixels around the sheet, and between names and images
_COLUMNS = 10  # pairs in a line
_ENLARGED = 4
_NAME = 9  # points
_SMALL = 7
_LINE = 20  # pixels of a line of small writing
_GREY = "#666666"  # for what names rows, not classes
_WRONG = {"color": "#bd1f01", "weight": "bold"}  # and a cross: never by colour alone


_P = ParamSpec("_P")


def _by_default(draw: Callable[_P, bytes]) -> Callable[_P, bytes]:
    """Let a function draw with matplotlib's own settings, not with the user's."""

    @functools.wraps(draw)
    def drawn(*arguments: _P.args, **options: _P.kwargs) -> bytes:
        with style.context("default"):
            return draw(*arguments, **options)

    return drawn


@_by_default
def class_rows(images: Tensor, classes: Sequence[str]) -> bytes:
    """Draw a row of images for each class, with its name at the left.

    Args:
        images: (K, N, H, W) uint8.
        classes: K class names.
    """
    rows, columns, height, width = images.shape
    scale = max(2, min(_ENLARGED, 1600 // (max(rows, columns) * width)))
    across, down = width * scale + _GAP, height * scale + _GAP
    left = _names_width(classes, _NAME)
    sheet = _Sheet(left + columns * across - _GAP + _MARGIN, 2 * _MARGIN + rows * down - _GAP)
    for row, name in enumerate(classes):
        top = _MARGIN + row * down
        sheet.write(name, left - _MARGIN, top + (down - _GAP) / 2, _NAME, ha="right")
        for column in range(columns):
            sheet.paste(images[row, column], left + column * across, top, scale)
    return sheet.png()


@_by_default
def reconstruction_pairs(
    originals: Tensor, reconstructions: Tensor, true: Sequence[str], predicted: Sequence[str] | None
) -> bytes:
    """Draw images above their reconstructions, titled with their true and predicted classes.

    Args:
        originals: (N, H, W) uint8.
        reconstructions: (N, H, W) uint8.
        true: N class names.
        predicted: N class names; where they are not the true ones, they are marked. None of a model
            that names no classes.
    """
    count, height, width = originals.shape
    columns = min(count, _COLUMNS)
    across, down = width * _ENLARGED + 2 * _GAP, height * _ENLARGED + _GAP
    names = ("true", "predicted" if predicted else "", "image", "reconstruction")
    places = (_LINE / 2, 1.5 * _LINE, 2 * _LINE + down / 2, 2 * _LINE + 1.5 * down)
    left, pitch = _names_width(names, _SMALL), 2 * _LINE + 2 * down + _MARGIN
    sheet = _Sheet(left + columns * across + _MARGIN, _MARGIN + -(-count // columns) * pitch)
    for index in range(count):
        x, y = left + index % columns * across, _MARGIN + index // columns * pitch
        if x == left:
            for name, place in zip(names, places, strict=True):
                sheet.write(name, left - _MARGIN, y + place, _SMALL, ha="right", color=_GREY)
        middle = x + (across - 2 * _GAP) / 2
        sheet.write(true[index], middle, y + places[0], _SMALL, ha="center")
        if predicted is not None:
            right = predicted[index] == true[index]
            verdict, style = (predicted[index], {}) if right else (f"✗ {predicted[index]}", _WRONG)
            sheet.write(verdict, middle, y + places[1], _SMALL, ha="center", **style)
        sheet.paste(originals[index], x, y + 2 * _LINE, _ENLARGED)
        sheet.paste(reconstructions[index], x, y + 2 * _LINE + down, _ENLARGED)
    return sheet.png()


class _Sheet:
    """A white sheet; places on it are pixels from its left and its upper edge."""

    def __init__(self, width: float, height: float) -> None:
        self._width, self._height = round(width), round(height)
        size = (self._width / _DPI, self._height / _DPI)
        self._figure = Figure(figsize=size, dpi=_DPI)

    def paste(self, image: Tensor, left: float, top: float, scale: int) -> None:
        """Paste an image (H, W) uint8, each of its pixels as a square."""
        large = image.repeat_interleave(scale, dim=0).repeat_interleave(scale, dim=1)
        colours = large.unsqueeze(2).expand(-1, -1, 3)  # a colour map would shift some by one
        bottom = self._height - round(top) - len(large)
        self._figure.figimage(colours.numpy(), round(left), bottom, origin="upper")

    def write(self, text: str, x: float, y: float, size: float, **style: Any) -> None:
        """Write a text, vertically centred on y."""
        style = {"color": INK, "va": "center"} | style
        self._figure.text(x / self._width, 1 - y / self._height, text, size=size, **style)

    def png(self) -> bytes:
        """Return the sheet as a PNG file."""
        content = io.BytesIO()
        self._figure.savefig(content, format="png", dpi=_DPI, facecolor="white")
        return content.getvalue()


def _names_width(names: Sequence[str], size: float) -> float:
    """Width in pixels of a column that holds these names between two margins."""
    extents = (TextPath((0, 0), name, size=size).get_extents() for name in names if name)
    return max(float(extent.width) for extent in extents) * _DPI / 72 + 2 * _MARGIN
