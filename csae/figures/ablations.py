"""The paper's form beside itself with one thing changed."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from csae.claims import QUANTITIES, SEEDS, Comparison
from csae.figures.charts import settings
from csae.figures.results import NAMES, NOT_RUN, drawable, has, interval_words, name_of
from csae.figures.style import INK, PALETTE, table
from csae.records import Record, Spread


def ablations(
    changes: Sequence[str],
    quantities: Sequence[str],
    runs: Sequence[Record],
    datasets: Sequence[str],
) -> Figure:
    """Draw by how much the paper's form is ahead of itself with one thing changed.

    Right of zero, whatever the quantity, the paper's form is better. A row of panels is a data set.
    Each panel has its own scale, as tenths of a point are much on one data set and little on
    another.

    Args:
        changes: Settings that have all these quantities, a line in each panel.
        quantities: Names of ``csae.claims.QUANTITIES``, a column each.
        runs: Records, as `csae.claims.result_runs` returns them.
        datasets: Names of the data sets.
    """
    figure, axes = plt.subplots(
        len(datasets),
        len(quantities),
        figsize=(7.4, 0.6 + (0.6 + 0.28 * len(changes)) * len(datasets)),
        layout="constrained",
        sharey=True,
        squeeze=False,
    )
    for line, dataset in zip(axes, datasets, strict=True):
        for axis, name in zip(line, quantities, strict=True):
            rows = {name_of(change): _effect(change, name, runs, dataset) for change in changes}
            settings(axis, {label: drawable(effect) for label, effect in rows.items()})
            for row, effect in enumerate(rows.values()):
                if not effect.values:
                    where = axis.get_yaxis_transform()
                    words = axis.text(0.5, row, NOT_RUN, transform=where, size=7)
                    words.set(ha="center", va="center", backgroundcolor=axis.get_facecolor())
            axis.axvline(0, color=INK, linewidth=0.8)
            axis.margins(x=0.12)
            axis.locator_params(axis="x", nbins=3)
            axis.tick_params(labelsize=8)
        line[0].set_ylabel(NAMES[dataset])
    for axis, name in zip(axes[0], quantities, strict=True):
        axis.set_title(textwrap.fill(_titled(name), 16), fontsize=8)
    figure.supxlabel("the paper's form is ahead by", fontsize=9)
    return figure


def ablations_table(
    changes: Sequence[str], quantities: Sequence[str], runs: Sequence[Record], dataset: str
) -> str:
    """Return by how much the paper's form is ahead of itself with one thing changed, in Markdown.

    An effect is bold if its whole interval lies on one side of zero. A dash: a figure that the
    changed form does not have.

    Args:
        changes: Settings, a row each.
        quantities: Names of ``csae.claims.QUANTITIES``, a column each.
        runs: Records, as `csae.claims.result_runs` returns them.
        dataset: Name of the data set.
    """
    made = {run.setting for run in runs if run.dataset == dataset}
    rows = []
    for change in changes:
        cells = (_cell(_effect(change, name, runs, dataset), name) for name in quantities)
        rows.append((name_of(change), *(cells if change in made else [NOT_RUN] * len(quantities))))
    return table(("the paper's form against", *map(_titled, quantities)), rows)


def latent_noise(
    runs: Sequence[Record], names: Mapping[str, str], datasets: Sequence[str]
) -> Figure:
    """Draw the PSNR under noise in the codes: left noise of a fixed size, right of a relative one.

    A line is a run, and a row of panels a data set.

    Args:
        runs: Records of models with centroids.
        names: Which settings, three at most, and what to call each.
        datasets: Names of the data sets.
    """
    figure, axes = plt.subplots(
        len(datasets),
        2,
        figsize=(7, 0.6 + 2.1 * len(datasets)),
        layout="constrained",
        sharex="col",
        sharey="row",
        squeeze=False,
    )
    scales: dict[str, dict[float, str]] = {
        "standard deviation of the noise": {0: "quiet", 1: "codes_1", 2: "codes_2"},
        "the same, in spreads of the codes": {
            0: "quiet",
            **{size: f"codes_{size:g}_spreads" for size in (0.25, 0.5, 1)},
        },
    }
    for line, dataset in zip(axes, datasets, strict=True):
        here = [run for run in runs if run.dataset == dataset]
        for axis, measures in zip(line, scales.values(), strict=True):
            _falling(axis, here, names, measures)
        line[0].set_ylabel(f"{NAMES[dataset]}: PSNR (dB)")
    for axis, label in zip(axes[-1], scales, strict=True):
        axis.set_xlabel(label)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    marks = dict(zip(labels, handles, strict=True))  # one for each setting
    figure.legend(list(marks.values()), list(marks), loc="outside lower center", ncols=len(names))
    return figure


def _falling(
    axis: Axes, runs: Sequence[Record], names: Mapping[str, str], measures: Mapping[float, str]
) -> None:
    """Draw a line for each run: its PSNR over sizes of noise, given by the measures' names."""
    for (setting, label), colour, mark in zip(names.items(), (0, 6, 2), "os^", strict=False):
        for run in runs:
            if run.setting == setting:
                heights = [run.measured(f"psnr_{name}") for name in measures.values()]
                axis.plot(
                    list(measures),
                    heights,
                    f"{mark}-",
                    color=PALETTE[colour],
                    markersize=4,
                    label=label,
                )


def _effect(change: str, name: str, runs: Sequence[Record], dataset: str) -> Spread:
    measured = [run for run in runs if has(run, name)]
    return Comparison("paper", change, name).effects(measured)[dataset]


def _cell(effect: Spread, name: str) -> str:
    form = f"+{QUANTITIES[name].form}"
    if not effect.values:
        return "–"
    if len(effect.values) < SEEDS:
        return ", ".join(format(value, form) for value in effect.values)
    words = interval_words(effect, form)
    return f"**{words}**" if effect.low > 0 or effect.high < 0 else words


def _titled(name: str) -> str:
    quantity = QUANTITIES[name]
    return quantity.words + (f" ({quantity.unit})" if quantity.unit else "")
