"""What records say of several settings, side by side: charts and tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from csae.figures.charts import settings
from csae.figures.engineering import runs_and_twins
from csae.figures.style import PALETTE, table
from csae.records import Record, Spread, spread


def accuracy_and_psnr(
    left: Axes,
    right: Axes,
    runs: Sequence[Record],
    names: Mapping[str, str],
    *,
    intervals: bool = True,
) -> None:
    """Draw what settings reach on validation images, by `settings`: accuracy left, PSNR right.

    Args:
        left: Where to draw accuracies in per cent.
        right: Where to draw PSNRs in dB.
        runs: Records of one experiment and data set.
        names: Which settings, from above to below, and what to call each.
        intervals: Whether to draw them.
    """
    chosen = [run for run in runs if run.setting in names]
    for axis, what, scale, colour in ((left, "accuracy", 100, 0), (right, "psnr", 1, 6)):
        found = spread(chosen, f"validation_{what}")
        settings(
            axis,
            {setting: found[setting] for setting in names},
            labels=names,
            scale=scale,
            colour=colour,
            intervals=intervals,
        )
    left.set_xlabel("validation accuracy (%)")
    right.set(xlabel="validation PSNR (dB)", yticklabels=[])


def settings_table(spreads: Mapping[str, Mapping[str, Spread]], forms: Mapping[str, str]) -> str:
    """Return a table of settings and seeds in Markdown: each value, their mean, its interval.

    Args:
        spreads: For each heading what `csae.records.spread` found, of the same settings.
        forms: For each heading how to write its values, such as ``"{:.1%}"``.
    """
    columns = ["setting"]
    for heading in spreads:
        columns += [f"{heading}, each seed", "mean (95 % interval)"]
    rows: dict[str, list[str]] = {}
    for heading, found in spreads.items():
        for setting, values in found.items():
            rows.setdefault(setting, [setting]).extend(_in_words(values, forms[heading]))
    return table(columns, rows.values())


def measure_lines(axis: Axes, runs: Sequence[Record], names: Mapping[str, str]) -> None:
    """Draw measures over the latent noise in training, a line for each seed.

    Args:
        axis: Where to draw; the names stand below it.
        runs: Records of one experiment and data set.
        names: Which measures, at most five, and what to call each.
    """
    sizes = sorted({run.recipe.noise for run in runs})
    for (name, label), mark, colour in zip(names.items(), "os^Dv", (0, 2, 4, 6, 8), strict=False):
        for k, seed in enumerate(sorted({run.seed for run in runs})):
            found = {run.recipe.noise: run.measured(name) for run in runs if run.seed == seed}
            places = [sizes.index(size) for size in sorted(found)]
            axis.plot(
                places,
                [found[size] for size in sorted(found)],
                f"{mark}-",
                color=PALETTE[colour],
                markersize=4,
                label=None if k else label,
            )
    axis.set_xticks(range(len(sizes)), [f"{size:g}" for size in sizes])
    axis.set_xlabel("noise in training")
    axis.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.24))


def tries(
    tried: Mapping[str, tuple[Mapping[int, Record], Mapping[int, Record]]],
    *,
    sharex: bool = False,
) -> Figure:
    """Draw the test results of several recipes, two panels each, by `runs_and_twins`.

    Args:
        tried: For each recipe its runs and their twins by seed.
        sharex: Whether all have the same scales.
    """
    figure, axes = plt.subplots(
        len(tried),
        2,
        figsize=(7, 1.8 * len(tried)),
        layout="constrained",
        sharex="col" if sharex else False,
        squeeze=False,
    )
    for (left, right), (name, (runs, twins)) in zip(axes, tried.items(), strict=True):
        runs_and_twins(left, right, runs, twins)
        left.set(ylabel="seed", title=name)
    axes[-1, 0].set_xlabel("accuracy (%)")
    axes[-1, 1].set_xlabel("test PSNR (dB)")
    marks: dict[str, Artist] = {}
    for axis in axes[-1]:
        handles, labels = axis.get_legend_handles_labels()
        marks |= dict(zip(labels, handles, strict=True))
    figure.legend(list(marks.values()), list(marks), loc="outside lower center", ncols=4)
    return figure


def _in_words(found: Spread, form: str) -> tuple[str, str]:
    values = ", ".join(form.format(value) for value in found.values)
    mean, low, high = (form.format(value) for value in (found.mean, found.low, found.high))
    return values, mean if math.isnan(found.low) else f"{mean} ({low} to {high})"
