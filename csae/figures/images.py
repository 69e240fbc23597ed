"""Rows of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor


def image_rows(rows: Mapping[str, Tensor], titles: Sequence[str] = ()) -> Figure:
    """Show rows of images, each row with its name at the left.

    Args:
        rows: For each name, n images (n, 1, H, W) in [0, 1]; all rows have the same n.
        titles: n titles over the columns; none by default.

    Returns:
        The figure.
    """
    count = max(len(images) for images in rows.values())
    size = 6.6 / count  # inches an image, with the gap
    figure, axes = plt.subplots(
        len(rows), count, figsize=(7.4, size * len(rows) + 0.4 * bool(titles)), squeeze=False
    )
    for line, (name, images) in zip(axes, rows.items(), strict=True):
        show_row(line, images)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    for axis, title in zip(axes[0], titles, strict=False):
        axis.set_title(title, fontsize=8)
    return figure


def show_row(axes: Sequence[Axes], images: Tensor) -> None:
    """Show n images (n, 1, H, W) in [0, 1] in n axes, without ticks or frames."""
    for axis, image in zip(axes, images, strict=True):
        # Pixels stay pixels: the eye should not be helped where sharpness is the question.
        axis.imshow(
            image[0].numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest", origin="upper"
        )
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
