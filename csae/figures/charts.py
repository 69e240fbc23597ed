"""Charts of measured values: tables of counts, contours, bars, intervals and lines."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import LogLocator, NullLocator
from torch import Tensor

from csae.figures.style import INK, PALETTE
from csae.records import Spread


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


def contours(x: Tensor, y: Tensor, heights: Tensor, axis: Axes) -> None:
    """Draw heights (len(y), len(x)) as shades and lines; lines are denser where it is low."""
    low, high = heights.min().item(), heights.max().item()
    levels = [low + (high - low) * (i / 14) ** 2 for i in range(15)]
    levels[-1] += 1e-6  # the highest point counts
    axis.contourf(x, y, heights, levels=levels, cmap="Blues")
    axis.contour(x, y, heights, levels=levels[1:], colors="#6b93bd", linewidths=0.5)


def interval(
    axis: Axes, row: float, values: Sequence[float], mean: float, low: float, high: float
) -> None:
    """Draw one value a seed as dots in a row, with their mean and its interval from low to high."""
    axis.plot([low, high], [row, row], color=INK, linewidth=1)
    axis.plot(mean, row, "|", color=INK, markersize=14)
    axis.plot(values, [row] * len(values), "o", color=PALETTE[0], mec=INK, markersize=5)


def two_probabilities(axis: Axes, given: Tensor, asked: Tensor) -> None:
    """Show the probabilities (K,) that a model gives beside those that the labels ask for."""
    places, colours = torch.arange(len(given)), PALETTE[: len(given)]
    axis.bar(places - 0.2, given, 0.36, color=colours, label="given")
    axis.bar(
        places + 0.2, asked, 0.36, color="white", edgecolor=INK, hatch="///", label="asked for"
    )
    axis.set(ylim=(0, 1), ylabel="probability", xticks=places.tolist(), xlabel="class")
    axis.legend(fontsize=8)


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


def settings(
    axis: Axes,
    spreads: Mapping[str, Spread],
    *,
    labels: Mapping[str, str] | None = None,
    scale: float = 1.0,
    colour: int = 0,
    intervals: bool = True,
) -> None:
    """Draw what `csae.records.spread` found: a row a setting, its seeds, their mean and interval.

    Args:
        axis: Where to draw; name its x axis after the figure and its unit.
        spreads: By setting, from above to below. One without values leaves its row empty.
        labels: Other names for some of the settings.
        scale: What to multiply values by, such as 100 for per cent.
        colour: Of the seeds' marks, an index of `PALETTE`. Their shapes tell seeds apart, in the
            order of the values: circle, square, triangle, diamond, triangle upside down, and again.
        intervals: Whether to draw them. Those of two seeds are so wide that they hide the rest.
    """
    for row, found in enumerate(spreads.values()):
        for value, mark in zip(found.values, itertools.cycle("os^Dv"), strict=False):
            axis.plot(scale * value, row, mark, color=PALETTE[colour], alpha=0.7)
        if intervals and not math.isnan(found.low):
            axis.plot([scale * found.low, scale * found.high], [row, row], color=INK, linewidth=1)
        if len(found.values) > 1:
            axis.plot(scale * found.mean, row, "|", color=INK, markersize=14)
    names = [(labels or {}).get(setting, setting) for setting in spreads]
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.5, -0.5)


def log_ticks(axis: Axis) -> None:
    """Set plain ticks for what a logarithmic scale shows: two powers of ten, or less."""
    low, high = sorted(axis.get_view_interval())
    axis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7) if high < 20 * low else (1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())
