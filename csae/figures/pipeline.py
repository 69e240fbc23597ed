"""The method as one drawing: what an image goes through, and where the loss acts."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from torch import Tensor

from csae import checks
from csae.data import prepare, to_pixels
from csae.evaluation.running import evaluating
from csae.figures.style import INK, PALETTE
from csae.models import CSAE

_WIDTH, _HEIGHT = 7.4, 3.7  # of the drawing, in inches, which are its coordinates too
_MIDDLE = 1.35  # height of the line from image to reconstruction


@torch.no_grad()
def pipeline(model: CSAE, image: Tensor, classes: Sequence[str]) -> Figure:
    """Draw an image's way through a model: code, class and reconstruction, and the loss's terms.

    Args:
        model: A trained model; it is left in the mode it came in.
        image: (1, 28, 28) uint8, one image of a data set.
        classes: Names of the K classes.

    Raises:
        ValueError: The image has another shape or type, or the names are not K.
    """
    checks.instance("model", model, CSAE)
    checks.tensor("image", image, (1, 28, 28), dtype=torch.uint8)
    if len(classes) != model.num_classes:
        raise ValueError(f"classes must be {model.num_classes} names, got {len(classes)}")
    with evaluating(model):
        code = model.encode(prepare(image[None]).to(model.centroids.device))
        decoded = to_pixels(model.decode(code))[0, 0].cpu()
        similarities = model.similarities(code)[0].cpu()

    figure = plt.figure(figsize=(_WIDTH, _HEIGHT), layout="none")
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(0, _WIDTH), ylim=(0, _HEIGHT))
    axis.axis("off")
    _picture(axis, image[0] / 255, 0.15, "image $x$")
    _network(axis, 1.5, "encoder", narrows=True)
    _bars(axis, code[0].cpu(), (2.65, 0.8, 0.75, 1.1))
    axis.text(3.02, 0.55, f"code $z$: {model.latent_dim} dimensions", ha="center", fontsize=9)
    _network(axis, 4.75, "decoder", narrows=False)
    _picture(axis, decoded, 6.1, r"reconstruction $\hat{x}$")
    for start, end in ((1.2, 1.48), (2.4, 2.65), (3.4, 4.0), (4.3, 4.73), (5.65, 6.08)):
        _arrow(axis, (start, _MIDDLE), (end, _MIDDLE))
    axis.plot(4.15, _MIDDLE, "o", markersize=15, mfc="white", mec=PALETTE[4])
    axis.text(4.15, _MIDDLE - 0.02, "+", ha="center", va="center", color=PALETTE[4])
    axis.text(4.15, 0.85, "noise,\nin training", ha="center", va="center", fontsize=8)

    _arrow(axis, (4.15, _MIDDLE + 0.17), (4.15, 2.2))
    _similarities(axis, similarities, classes, (3.2, 2.25, 2.2, 0.75))
    _term(axis, 5.55, 2.6, "classification", "the label's similarity\nshould be the largest", 0)
    _term(axis, 2.95, 2.6, "distance", "the code should lie\non its centroid", 6, "right")
    _term(axis, 3.7, 0.15, "reconstruction, wavelet", r"$\hat{x}$ should be $x$", 2, "center")
    for x in (0.65, 6.6):
        axis.plot([x, x], [0.2, 0.5], color=PALETTE[2], linestyle=":")
    axis.plot([0.65, 2.2], [0.2, 0.2], color=PALETTE[2], linestyle=":")
    axis.plot([5.2, 6.6], [0.2, 0.2], color=PALETTE[2], linestyle=":")
    return figure


def _picture(axis: Axes, pixels: Tensor, left: float, name: str) -> None:
    """Draw an image (28, 28) in [0, 1], an inch wide, on the middle line."""
    low = _MIDDLE - 0.5
    axis.imshow(
        pixels.numpy(),
        cmap="gray",
        vmin=0,
        vmax=1,
        interpolation="nearest",
        origin="upper",
        extent=(left, left + 1, low, low + 1),
    )
    axis.set(xlim=(0, _WIDTH), ylim=(0, _HEIGHT), aspect="equal")  # an image sets its own
    axis.text(left + 0.5, low - 0.22, name, ha="center", fontsize=9)


def _network(axis: Axes, left: float, name: str, *, narrows: bool) -> None:
    """Draw a network as a trapezium 0.9 inches wide, narrow at the side of the code."""
    tall, short = 0.65, 0.35
    start, end = (tall, short) if narrows else (short, tall)
    corners = [
        (left, _MIDDLE - start),
        (left, _MIDDLE + start),
        (left + 0.9, _MIDDLE + end),
        (left + 0.9, _MIDDLE - end),
    ]
    axis.add_patch(Polygon(corners, fc="#eeeeee", ec=INK))
    axis.text(left + 0.45, _MIDDLE, name, ha="center", va="center", fontsize=10)


def _bars(axis: Axes, code: Tensor, box: tuple[float, float, float, float]) -> None:
    """Draw a code (d,) as bars to both sides of a line, in a box (left, low, width, height)."""
    left, low, width, height = box
    middle = left + width / 2
    lengths = code / code.abs().max() * width / 2
    places = torch.linspace(low + height, low, len(code))
    axis.barh(places.numpy(), lengths.numpy(), height / len(code) * 0.8, middle, color=PALETTE[4])


def _similarities(
    axis: Axes, values: Tensor, names: Sequence[str], box: tuple[float, float, float, float]
) -> None:
    """Draw similarities (K,) as bars over a line, and name the largest."""
    left, low, width, height = box
    base = low + 0.25 * height
    places = left + (torch.arange(len(values)) + 0.5) * width / len(values)
    heights = values / values.abs().max() * 0.7 * height
    best = int(values.argmax())
    colours = [PALETTE[0] if k == best else PALETTE[3] for k in range(len(values))]
    axis.bar(places.numpy(), heights.numpy(), width / len(values) * 0.7, base, color=colours)
    axis.axhline(base, left / _WIDTH, (left + width) / _WIDTH, color=INK, linewidth=0.6)
    title = f"similarities to the {len(values)} centroids; the nearest one says: {names[best]}"
    axis.text(left + width / 2, low + height + 0.3, title, ha="center", va="bottom", fontsize=9)


def _term(
    axis: Axes, x: float, y: float, name: str, wish: str, colour: int, side: str = "left"
) -> None:
    """Write a term of the loss and what it asks for."""
    text = f"{name}\n{wish}" if side != "center" else f"{name}: {wish}"
    axis.text(x, y, text, color=PALETTE[colour], ha=side, va="center", fontsize=8, weight="bold")


def _arrow(axis: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axis.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": INK})
