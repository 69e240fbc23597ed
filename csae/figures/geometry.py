"""Where centroids and codes lie: angles, shadows, arrangements and regions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from torch import Tensor

from csae.figures.charts import contours
from csae.figures.style import INK, PALETTE


def cosine_matrix(centroids: Tensor, axis: Axes, classes: Sequence[str]) -> None:
    """Show the cosine of every pair of centroids (K, d) as a table of colours and numbers."""
    unit = torch.nn.functional.normalize(centroids.double(), dim=1)
    cosines = unit @ unit.T
    axis.imshow(cosines.numpy(), cmap="RdBu_r", vmin=-1, vmax=1, origin="upper")
    for row, line in enumerate(cosines.tolist()):
        for column, value in enumerate(line):
            colour = "white" if abs(value) > 0.6 else INK
            text = f"{value:.2f}".replace("-", "−")
            axis.text(column, row, text, ha="center", va="center", fontsize=6, color=colour)
    positions = range(len(classes))
    axis.set_xticks(positions, classes, rotation=45, ha="right", fontsize=8)
    axis.set_yticks(positions, classes, fontsize=8)
    axis.spines[:].set_visible(False)


def polygon_plane(centroids: Tensor) -> Tensor:
    """Return the plane in which the shadows of a simplex form a regular polygon.

    Ten points at equal distances do not fit into a plane, but their orthogonal shadow on this one
    is fair to all of them: centroid k falls on the angle 2 pi k / K of a circle whose radius is
    sqrt(2 / (K - 1)) times the centroids' norm.

    Args:
        centroids: (K, d) vertices of a regular simplex, K >= 3, as `csae.simplex` returns them.

    Returns:
        (d, 2) orthonormal columns: ``latents @ plane`` are the shadows of codes.
    """
    count = len(centroids)
    if count < 3:
        raise ValueError(f"centroids must be at least 3 to form a polygon, got {count}")
    unit = torch.nn.functional.normalize(centroids, dim=1)
    angle = 2 * math.pi * torch.arange(count, dtype=torch.float64) / count
    corners = torch.stack((angle.cos(), angle.sin()), dim=1).to(centroids)  # (K, 2)
    return math.sqrt(2 * (count - 1)) / count * unit.T @ corners


def shadow(
    centroids: Tensor, axis: Axes, classes: Sequence[str], latents: Tensor, labels: Tensor
) -> None:
    """Draw codes and centroids in the plane of `polygon_plane`.

    Args:
        centroids: (K, d) vertices of a regular simplex.
        axis: Where to draw.
        classes: K class names.
        latents: (N, d) codes; N may be 0.
        labels: (N,) their classes.
    """
    centroids = centroids.float().cpu()
    plane = polygon_plane(centroids)
    corners, codes = centroids @ plane, latents @ plane
    outline = torch.cat((corners, corners[:1]))
    axis.plot(*outline.T.tolist(), color="#cccccc", linewidth=1, zorder=0)
    for label, name in enumerate(classes):
        colour = PALETTE[label % len(PALETTE)]
        x, y = codes[labels == label].T
        axis.scatter(x, y, s=5, color=colour, alpha=0.6, linewidths=0)
        corner_x, corner_y = corners[label].tolist()
        axis.scatter(
            corner_x,
            corner_y,
            s=70,
            marker="X",
            color=colour,
            edgecolors=INK,
            linewidths=1,
            zorder=3,
        )
        length = math.hypot(corner_x, corner_y)
        towards_x, towards_y = corner_x / length, corner_y / length
        side = "center" if abs(towards_x) < 0.3 else "left" if towards_x > 0 else "right"
        axis.annotate(
            name,
            (corner_x, corner_y),
            xytext=(12 * towards_x, 14 * towards_y),
            textcoords="offset points",
            ha=side,
            va="center",
            fontsize=9,
            path_effects=[withStroke(linewidth=3, foreground="white")],  # readable over dots
        )
    axis.set_aspect("equal")
    axis.margins(0.1)
    axis.axis("off")


def shadow_by_class(
    centroids: Tensor, classes: Sequence[str], latents: Tensor, labels: Tensor
) -> Figure:
    """Draw codes in the plane of `polygon_plane`, one panel a class: no colours to tell apart.

    Args:
        centroids: (K, d) vertices of a regular simplex.
        classes: K class names.
        latents: (N, d) codes.
        labels: (N,) their classes.

    Returns:
        The figure.
    """
    centroids = centroids.float().cpu()
    plane = polygon_plane(centroids)
    corners, codes = centroids @ plane, latents @ plane
    lines = math.ceil(len(classes) / 5)
    figure, axes = plt.subplots(
        lines, 5, figsize=(7.4, 1.7 * lines), sharex=True, sharey=True, squeeze=False
    )
    for axis in axes.flat:
        axis.set_aspect("equal")
        axis.axis("off")
    for label, (name, axis) in enumerate(zip(classes, axes.flat, strict=False)):
        members = labels == label
        axis.scatter(*codes[~members].T, s=2, color="#cccccc", linewidths=0)
        axis.scatter(*codes[members].T, s=4, color="#1f5fa8", linewidths=0)
        axis.scatter(*corners[label], s=60, marker="X", color="#ffa90e", edgecolors=INK)
        axis.set_title(name, fontsize=9)
    return figure


def arrangement(points: Tensor, axis: Axes, *, tolerance: float = 1e-4) -> None:
    """Draw directions on a circle or a sphere, with lines between the closest pairs.

    Args:
        points: (K, 2) or (K, 3) points of equal norm.
        axis: Where to draw. Points at the back of the sphere are paler and smaller.
        tolerance: Pairs are joined whose distance is the smallest or larger by at most this
            fraction of it.
    """
    if points.ndim != 2 or points.shape[1] not in (2, 3):
        raise ValueError(f"points must be of shape (K, 2) or (K, 3), got {tuple(points.shape)}")
    unit = torch.nn.functional.normalize(points, dim=1)
    closest = torch.nn.functional.pdist(unit).min() if len(unit) > 1 else unit.new_zeros(())
    joined = torch.triu(torch.cdist(unit, unit) <= closest * (1 + tolerance), 1).nonzero()
    turn = torch.linspace(0, 2 * math.pi, 121, dtype=unit.dtype)
    circle = torch.stack((turn.cos(), turn.sin()), dim=1)
    if points.shape[1] == 2:
        axis.plot(*circle.T, color="#cccccc", linewidth=1, zorder=0)
        for i, j in joined.tolist():
            axis.plot(*unit[[i, j]].T, color=PALETTE[0], linewidth=1)
        x, y = unit.T.tolist()
        axis.scatter(x, y, s=40, color=PALETTE[0], edgecolors=INK, zorder=3)
        axis.set(xlim=(-1.15, 1.15), ylim=(-1.15, 1.15))
    else:
        _sphere(unit, joined.tolist(), circle, axis)
    axis.set_aspect("equal")
    axis.axis("off")


def _sphere(unit: Tensor, joined: Sequence[Sequence[int]], circle: Tensor, axis: Axes) -> None:
    # Drawn by hand as a parallel projection: lighter than matplotlib's 3-D axes, and what lies in
    # front is certain.
    tilt, spin = math.radians(20), math.radians(17)
    across = unit.new_tensor([math.cos(spin), math.sin(spin), 0.0])
    view = unit.new_tensor(
        [-math.cos(tilt) * math.sin(spin), math.cos(tilt) * math.cos(spin), math.sin(tilt)]
    )
    up = torch.linalg.cross(across, view)
    x, y, depth = unit @ across, unit @ up, unit @ view  # depth is 1 in front, -1 at the back
    axis.fill(*circle.T, color="#f1f4f8", zorder=-3)
    axis.plot(*circle.T, color="#cccccc", linewidth=1, zorder=-2)
    for i, j in joined:
        front = ((depth[i] + depth[j]) / 2).item()
        axis.plot(
            x[[i, j]],
            y[[i, j]],
            color=PALETTE[0],
            linewidth=1,
            alpha=0.65 + 0.35 * front,
            zorder=front,
        )
    for i in range(len(unit)):
        front = depth[i].item()
        colour = PALETTE[0] if front >= 0 else "#a9c6e3"
        axis.scatter(
            x[i],
            y[i],
            s=34 + 14 * front,
            color=colour,
            edgecolors=INK,
            linewidths=0.7,
            zorder=2 + front,
        )
    axis.set(xlim=(-1.12, 1.12), ylim=(-1.12, 1.12))


def centroid_map(ticks: Tensor, values: Tensor, centroids: Tensor, axis: Axes) -> None:
    """Draw a quantity over the plane, three centroids, and the borders between their regions.

    Args:
        ticks: (n,) positions along both axes.
        values: (n * n,) the quantity on the grid, in the order of ``torch.cartesian_prod``.
        centroids: (3, 2) corners of an equilateral triangle around the origin.
        axis: Where to draw.
    """
    spread = ticks.max().item()
    contours(ticks, ticks, values.reshape(len(ticks), len(ticks)).T, axis)
    for border in -centroids:  # opposite a centroid, its two rivals are level
        x, y = (2 * spread * border).tolist()
        axis.plot([0, x], [0, y], "--", color=INK, linewidth=1)
    for colour, (x, y) in zip(PALETTE, centroids.tolist(), strict=False):
        cross(axis, (x, y), colour)
    limits = (-spread, spread)
    axis.set(aspect="equal", xticks=[], yticks=[], xlim=limits, ylim=limits)


def arrow(
    axis: Axes, start: Sequence[float], end: Sequence[float], colour: str, width: float
) -> None:
    """Draw an arrow between two points of the plane."""
    style = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "color": colour, "linewidth": width}
    axis.annotate("", xy=(end[0], end[1]), xytext=(start[0], start[1]), arrowprops=style)


def class_legend(figure: Figure, classes: Sequence[str]) -> None:
    """Explain below a figure which colour belongs to which class."""
    handles = [
        Line2D([], [], marker="X", linestyle="", color=colour, markeredgecolor=INK)
        for colour in PALETTE[: len(classes)]
    ]
    figure.legend(handles, classes, loc="outside lower center", ncols=5, fontsize=8)


def cross(axis: Axes, place: Sequence[float], colour: str, *, size: float = 80) -> None:
    """Mark the place of a centroid in the plane."""
    x, y = place
    axis.scatter(x, y, s=size, marker="X", color=colour, edgecolors=INK, zorder=3)
