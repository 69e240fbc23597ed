"""Pictures for the book. `import csae` does not load this module, nor matplotlib."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import torch
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from torch import Tensor

from csae.evaluation import accuracy_interval

# Petroff (2021, arXiv 2107.02270): ten colours told apart under the common colour deficiencies.
PALETTE = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6",
    "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip
INK = "#222222"


def use_style() -> None:
    """Set matplotlib's defaults for the book: white ground, which survives dark pages.

    What the user's own settings say, an image's origin for example, no longer holds.
    """
    plt.style.use("default")
    plt.rcParams.update(
        {
            "axes.prop_cycle": cycler(color=PALETTE),
            "axes.spines.right": False,
            "axes.spines.top": False,
            "axes.titlesize": 11,
            "figure.constrained_layout.use": True,
            "figure.dpi": 120,
            "figure.facecolor": "white",
            "font.size": 10,
            "legend.frameon": False,
            "savefig.facecolor": "white",
        }
    )


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


def confusion(counts: Tensor, classes: Sequence[str], axis: Axes) -> None:
    """Show a confusion matrix (K, K) of counts; zero cells stay empty."""
    share = counts.double() / counts.sum(dim=1, keepdim=True).clamp(min=1)
    axis.imshow(share.numpy(), cmap="Blues", vmin=0, vmax=1, origin="upper")
    for row, line in enumerate(counts.tolist()):
        for column, value in enumerate(line):
            if value:
                colour = "white" if share[row, column] > 0.6 else INK
                axis.text(
                    column, row, str(value), ha="center", va="center", fontsize=8, color=colour
                )
    positions = range(len(classes))
    axis.set_xticks(positions, classes, rotation=45, ha="right", fontsize=8)
    axis.set_yticks(positions, classes, fontsize=8)
    axis.set(xlabel="predicted class", ylabel="true class")
    axis.spines[:].set_visible(False)


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


def contours(x: Tensor, y: Tensor, heights: Tensor, axis: Axes) -> None:
    """Draw heights (len(y), len(x)) as shades and lines; lines are denser where it is low."""
    low, high = heights.min().item(), heights.max().item()
    levels = [low + (high - low) * (i / 14) ** 2 for i in range(15)]
    levels[-1] += 1e-6  # the highest point counts
    axis.contourf(x, y, heights, levels=levels, cmap="Blues")
    axis.contour(x, y, heights, levels=levels[1:], colors="#6b93bd", linewidths=0.5)


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


def interval(
    axis: Axes, row: float, values: Sequence[float], mean: float, low: float, high: float
) -> None:
    """Draw one value a seed as dots in a row, with their mean and its interval from low to high."""
    axis.plot([low, high], [row, row], color=INK, linewidth=1)
    axis.plot(mean, row, "|", color=INK, markersize=14)
    axis.plot(values, [row] * len(values), "o", color=PALETTE[0], mec=INK, markersize=5)


def cross(axis: Axes, place: Sequence[float], colour: str, *, size: float = 80) -> None:
    """Mark the place of a centroid in the plane."""
    x, y = place
    axis.scatter(x, y, s=size, marker="X", color=colour, edgecolors=INK, zorder=3)


def two_probabilities(axis: Axes, given: Tensor, asked: Tensor) -> None:
    """Show the probabilities (K,) that a model gives beside those that the labels ask for."""
    places, colours = torch.arange(len(given)), PALETTE[: len(given)]
    axis.bar(places - 0.2, given, 0.36, color=colours, label="given")
    axis.bar(
        places + 0.2, asked, 0.36, color="white", edgecolor=INK, hatch="///", label="asked for"
    )
    axis.set(ylim=(0, 1), ylabel="probability", xticks=places.tolist(), xlabel="class")
    axis.legend(fontsize=8)


def queue_sketch(axis: Axes, *, reads: bool) -> None:
    """Sketch four training steps that Python queues and a device computes.

    Args:
        axis: Where to draw.
        reads: Whether Python reads a result after each step, and so waits for the device.
    """
    queueing, computing, delay = 0.7, 1.0, 0.15
    python = done = 0.0
    for step in range(1, 5):
        start = max(python + delay, done)
        done = start + computing
        for left, width, low, colour in (
            (python, queueing, 1.1, PALETTE[1]),
            (start, computing, 0.0, PALETTE[0]),
        ):
            axis.broken_barh([(left, width)], (low, 0.8), fc=colour, ec="white")
            axis.text(left + width / 2, low + 0.4, str(step), ha="center", va="center")
        python = done if reads else python + queueing
    axis.axvline(done, color=INK, linestyle=":")
    axis.set_yticks([0.4, 1.5], ["device", "Python"])


def stacked_bars(axis: Axes, rows: Mapping[str, Sequence[float]], names: Sequence[str]) -> None:
    """Draw a horizontal bar for each row, made of named parts; label the parts for a legend.

    Args:
        axis: Where to draw.
        rows: For each row, from the top, the lengths of its parts.
        names: Names of the parts, five at most.
    """
    looks = tuple(zip((8, 0, 2, 1, 4), ("", "", "", "///", ""), strict=True))
    starts = [0.0] * len(rows)
    for k, (name, (colour, hatch)) in enumerate(zip(names, looks, strict=False)):
        lengths = [row[k] for row in rows.values()]
        axis.barh(
            range(len(rows)),
            lengths,
            left=starts,
            color=PALETTE[colour],
            hatch=hatch,
            edgecolor="white",
            label=name,
        )
        starts = [start + length for start, length in zip(starts, lengths, strict=True)]
    axis.set_yticks(range(len(rows)), list(rows))
    axis.invert_yaxis()


def labelled_bars(
    axis: Axes, values: Mapping[str, float], unit: str, *, pairs: bool = False
) -> None:
    """Draw a horizontal bar for each value, from the top, with the value and its unit beside it.

    Args:
        axis: Where to draw.
        values: Lengths of the bars, by name.
        unit: Their unit.
        pairs: Whether the bars are pairs, to be drawn in two colours.
    """
    colours = [PALETTE[7] if pairs and k % 2 == 0 else PALETTE[0] for k in range(len(values))]
    bars = axis.barh(list(values), list(values.values()), color=colours)
    texts = [f"{v:,.0f} {unit}" if v >= 100 else f"{v:.2g} {unit}" for v in values.values()]
    axis.bar_label(bars, texts, padding=3)
    axis.invert_yaxis()


def roofline(
    axis: Axes,
    layers: Sequence[tuple[str, float, float, float]],
    *,
    peak: float,
    bandwidth: float,
) -> None:
    """Draw layers under the roof of a machine, with logarithmic axes.

    Args:
        axis: Where to draw.
        layers: Kind, operations, bytes and seconds of each layer; five kinds at most.
        peak: Operations a second of the processor.
        bandwidth: Bytes a second of its memory.
    """
    bend = peak / bandwidth
    places = [layer[1] / layer[2] for layer in layers]  # operations a byte
    ends = [min(places) / 2, bend, max([*places, bend]) * 2]
    axis.loglog(ends, [min(peak, bandwidth * end) for end in ends], color=INK)
    kinds = dict.fromkeys(layer[0] for layer in layers)
    for kind, marker, colour in zip(kinds, "^soDP", (2, 1, 0, 4, 3), strict=False):
        of_kind = [layer for layer in layers if layer[0] == kind]
        axis.plot(
            [operations / moved for _, operations, moved, _ in of_kind],
            [operations / seconds for _, operations, _, seconds in of_kind],
            marker,
            color=PALETTE[colour],
            markeredgecolor=INK,
            label=kind,
        )
    axis.legend(fontsize=9, loc="lower right")


def growing_cost(
    axis: Axes, sizes: Sequence[int], seconds: Sequence[float], guide: Sequence[float]
) -> None:
    """Draw times over sizes with logarithmic axes, beside a dotted guide.

    Args:
        axis: Where to draw.
        sizes: What grows.
        seconds: The time for each size.
        guide: The times to compare with. Where they are all equal, the vertical axis is widened, so
            that small changes look small.
    """
    axis.loglog(sizes, seconds, "o-")
    axis.plot(sizes, guide, ":", color=INK)
    flat = min(guide) == max(guide)
    if flat:
        axis.set_ylim(min(seconds) / 4, max(seconds) * 4)
    axis.set_xticks(sizes, [f"{v:,}" if v < 1e4 else f"{v // 1000}k" for v in sizes])
    ends = seconds[:1] if flat else (seconds[0], seconds[-1])
    axis.set_yticks(ends, [f"{v:.2g} s" for v in ends])
    axis.tick_params(labelsize=8)
    axis.minorticks_off()


def speed_curves(axis: Axes, curves: Mapping[tuple[str, bool], Mapping[int, float]]) -> None:
    """Draw speeds over the batch size, with logarithmic axes.

    Args:
        axis: Where to draw.
        curves: For each precision, ``"fp32"`` or ``"bf16"``, and whether kernels were recorded: the
            images a second of each batch size.
    """
    for (precision, recorded), curve in curves.items():
        axis.loglog(
            list(curve),
            list(curve.values()),
            ("s" if precision == "bf16" else "o") + ("-" if recorded else "--"),
            color=PALETTE[0 if recorded else 6],
            fillstyle="none" if precision == "bf16" else "full",
            label=f"{precision}, {'recorded' if recorded else 'one by one'}",
        )
    axis.set_xticks(list(curve), [f"{size:,}" for size in curve])
    axis.minorticks_off()
    axis.legend(fontsize=8)


def runs_and_twins(
    left: Axes,
    right: Axes,
    runs: Mapping[int, Mapping[str, Any]],
    twins: Mapping[int, Mapping[str, Any]],
) -> None:
    """Draw the test results of a recipe, a row for each seed: accuracy left, PSNR right.

    Args:
        left: Where to draw accuracies in per cent, with their 95 % intervals and the validation
            accuracy of the last epoch.
        right: Where to draw PSNRs in dB.
        runs: For each seed the record of its run, as `csae.records.load_runs` reads it.
        twins: The same for runs without labels; seeds may be missing.
    """
    for seed, record in runs.items():
        accuracy, psnr = record["test"]["accuracy"], record["test"]["psnr"]
        ends = accuracy_interval(accuracy, record["data"]["test"]["images"])
        left.plot([100 * end for end in ends], [seed, seed], color=INK)
        left.plot(100 * accuracy, seed, "o", color=PALETTE[0], label="test")
        seen = record["history"][-1]["validation_accuracy"]
        left.plot(100 * seen, seed, "x", color=INK, label="validation")
        right.plot(psnr, seed, "D", color=PALETTE[6], label="with labels")
        if seed in twins:
            other = twins[seed]["test"]["psnr"]
            right.plot([psnr, other], [seed, seed], ":", color=INK)
            right.plot(other, seed, "s", color=PALETTE[4], label="its twin")
    for axis in (left, right):
        axis.set(yticks=list(runs), ylim=(max(runs) + 0.5, min(runs) - 0.5))


def seed_lines(
    axis: Axes, values: Mapping[int, Sequence[float]], names: Sequence[str], span: float
) -> None:
    """Join what each seed reached under several names, by a line with a mark of its own.

    Args:
        axis: Where to draw.
        values: For each seed, at most five, a value for each name.
        names: What is compared, from the left.
        span: Height of the axis: a scale on which small differences look small.
    """
    for (seed, line), marker in zip(values.items(), "os^Dv", strict=False):
        axis.plot(line, f"{marker}-", label=f"seed {seed}")
    axis.set_xticks(range(len(names)), names)
    low, high = axis.get_ylim()
    middle = (low + high) / 2
    axis.set(xlim=(-0.3, len(names) - 0.7), ylim=(middle - span / 2, middle + span / 2))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown, for `IPython.display.Markdown`.

    Args:
        columns: Their headings.
        rows: A cell for each column.
    """
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
