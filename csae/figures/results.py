"""What the chapter on results shows of its records: all kinds at a glance, effects, tables."""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from csae.claims import QUANTITIES, SEEDS, SIDES, Claim, Comparison, verdict
from csae.evaluation import mean_interval
from csae.figures.charts import log_ticks, settings
from csae.figures.style import INK, PALETTE, table
from csae.records import Record, Spread, spread
from csae.runtime import counted

# What to call a setting, and its colour and mark.
LOOKS = {
    "paper": ("CSAE, the paper's form", 0, "o"),
    "ours": ("CSAE, this book's form", 2, "*"),
    "linear-head": ("trained head", 1, "s"),
    "classifier": ("classifier", 8, "_"),
    "autoencoder": ("autoencoder", 4, "D"),
    "vae": ("VAE", 6, "^"),
    "cvae": ("CVAE", 5, "v"),
    "vae-optimal": ("σ-VAE", 6, ">"),
    "cvae-optimal": ("σ-CVAE", 5, "<"),
    "rae": ("RAE", 7, "p"),
}
CHANGES = {
    "classifier-paper": "classifier with the paper's smoothing",
    "no-wavelet-image-20": "no wavelet loss, image twice",
    "no-noise": "no latent noise",
    "distance-in-class-subspace": "distance in the class subspace added",
}
NAMES = {"mnist": "digits", "fashion-mnist": "clothes", "emnist-letters": "letters"}
NOT_RUN = "not run yet"


def glance(runs: Sequence[Record], datasets: Sequence[str]) -> Figure:
    """Draw what each kind of model reaches: above accuracy over PSNR, below its samples.

    Large marks are means, small ones seeds; bars are 95 % intervals, from three seeds on. Of a
    model that names no classes, the accuracy is that of a linear probe on its codes, and its mark
    is hollow.

    Args:
        runs: Records of the settings in ``LOOKS``.
        datasets: Names of the data sets, a column for each.
    """
    figure, axes = plt.subplots(
        2,
        len(datasets),
        figsize=(min(3.6 * len(datasets), 8.4), 6.4),
        layout="constrained",
        squeeze=False,
    )
    for (above, below), name in zip(axes.T, datasets, strict=True):
        found = {
            setting: [run for run in runs if (run.dataset, run.setting) == (name, setting)]
            for setting in LOOKS
        }
        _two_tasks(above, found)
        _samples(below, found)
        above.set_title(NAMES[name])
    axes[0, 0].set_ylabel("test error (%; further up: better)")
    axes[1, 0].set_ylabel("class confirmed (%)")
    shown = {run.setting for run in runs}
    handles = [_key(*look) for setting, look in LOOKS.items() if setting in shown]
    handles.append(Line2D([], [], color=INK, linewidth=0.8, label="real images, below"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=8)
    return figure


def _key(label: str, colour: int, mark: str) -> Line2D:
    """Return a mark for the legend; the classifier is a line."""
    alone = mark == "_"
    return Line2D(
        [],
        [],
        color=PALETTE[colour],
        marker="none" if alone else mark,
        linestyle="--" if alone else "none",
        markersize=11 if mark == "*" else 7,
        label=label,
    )


def _two_tasks(axis: Axes, found: Mapping[str, Sequence[Record]]) -> None:
    """Draw test errors over PSNR, with lines where one task alone ends."""
    for setting, runs in found.items():
        if not runs:
            continue
        named = "test_accuracy" if has(runs[0], "test_accuracy") else "probe_accuracy"
        errors = [100 - value for value in _scaled(runs, named)]
        colour = PALETTE[LOOKS[setting][1]]
        if setting == "classifier":
            axis.axhline(_mean(errors), color=colour, linestyle="--")
            continue
        psnr = _scaled(runs, "test_psnr")
        if setting == "autoencoder":
            axis.axvline(_mean(psnr), color=colour, linestyle=":", linewidth=1)
        _point(axis, psnr, errors, setting, hollow=named == "probe_accuracy")
    axis.set_yscale("log")
    axis.invert_yaxis()
    log_ticks(axis.yaxis)
    axis.set_xlabel("PSNR (dB)\n(further right: better)")


def _samples(axis: Axes, found: Mapping[str, Sequence[Record]]) -> None:
    """Draw the share of samples whose class is confirmed over their Fréchet distance."""
    decoding = {s: runs for s, runs in found.items() if runs and s != "classifier"}
    for setting, runs in decoding.items():
        for sampler, hollow in (("gaussian_classes", True), ("mixture_classes", False)):
            distances = _scaled(runs, f"frechet_{sampler}")
            shares = _scaled(runs, f"confirmed_{sampler}")
            _point(axis, distances, shares, setting, hollow=hollow)
    real = next(iter(decoding.values()), [])
    if real:
        axis.axhline(_mean(_scaled(real, "judge_accuracy")), color=INK, linewidth=0.8)
    axis.set_xscale("log")
    axis.invert_xaxis()
    log_ticks(axis.xaxis)
    axis.set_xlabel("Fréchet distance\n(further right: better)")


def _point(
    axis: Axes,
    across: Sequence[float],
    up: Sequence[float],
    setting: str,
    *,
    hollow: bool,
) -> None:
    _, colour, mark = LOOKS[setting]
    face = "white" if hollow else PALETTE[colour]
    half = [_half(values) if len(values) >= SEEDS else 0.0 for values in (across, up)]
    axis.plot(across, up, ".", color=PALETTE[colour], markersize=3, zorder=2)
    axis.errorbar(
        _mean(across),
        _mean(up),
        half[1] or None,
        half[0] or None,
        marker=mark,
        markersize=11 if mark == "*" else 7,
        color=PALETTE[colour],
        mfc=face,
        mec=PALETTE[colour],
        elinewidth=0.8,
        linestyle="none",
        zorder=3,
    )


def effects(comparisons: Sequence[Comparison], runs: Sequence[Record]) -> Figure:
    """Draw how far one setting is ahead of others: a panel a quantity, a row an opponent and data.

    What lies right of zero is better, whatever the quantity. A dashed line marks the margin, where
    a comparison has one. Beside each row stand the mean and what it says of the claim, and below
    all of them the opponents that have not met on some data set. Data sets of which there are no
    runs at all are left out.

    Args:
        comparisons: What is compared, from left to right, then down. Those that follow each other
            and differ in their opponent only share a panel.
        runs: Records, as `csae.claims.result_runs` returns them.
    """
    groups = [list(group) for _, group in itertools.groupby(comparisons, _alike)]
    found = [_effect_rows(group, runs) for group in groups]
    panels = [[row for row in rows if row[2].values] for rows in found]
    panels = [rows for rows in panels if rows]
    columns = min(2, len(panels)) or 1
    lines = [panels[i : i + columns] for i in range(0, len(panels), columns)]
    heights = [0.9 + 0.27 * max(map(len, line)) for line in lines] or [0.2]  # or words alone
    figure, axes = plt.subplots(
        len(heights),
        columns,
        figsize=(7.4, sum(heights) + 0.6),  # a title above, and words below
        layout=ConstrainedLayoutEngine(w_pad=0.16),  # words stand between the columns
        squeeze=False,
        height_ratios=heights,
    )
    for axis, rows in zip(axes.flat, panels, strict=False):
        _effect_panel(axis, rows)
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    missing = [
        f"{NAMES[name]}, {_opponent(comparison)}"
        for rows in found
        for name, comparison, effect in rows
        if not effect.values
    ]
    if missing:
        words = textwrap.fill(f"{NOT_RUN}: {'; '.join(dict.fromkeys(missing))}", 95)
        figure.supxlabel(words, x=0.01, ha="left", fontsize=9)
    return figure


def claim_effects(claim: Claim, runs: Sequence[Record]) -> Figure:
    """Draw the `effects` of a claim's comparisons under its verdict."""
    figure = effects(claim.comparisons, runs)
    figure.suptitle(f"{claim.id}: {verdict(claim, runs)}", x=0.01, ha="left", fontsize=11)
    return figure


def _alike(comparison: Comparison) -> Comparison:
    """Return what comparisons have to share to stand in one panel."""
    return comparison if comparison.old is None else replace(comparison, old="")


_Row = tuple[str, Comparison, Spread]


def _effect_rows(group: Sequence[Comparison], runs: Sequence[Record]) -> list[_Row]:
    """Return the rows of a panel, each with its data set; those of one stand together."""
    found = [comparison.effects(runs) for comparison in group]
    made = {run.dataset for run in runs}
    return [
        (name, comparison, effects[name])
        for name in NAMES
        for comparison, effects in zip(group, found, strict=True)
        if name in made and name in effects
    ]


def _effect_panel(axis: Axes, rows: Sequence[_Row]) -> None:
    _, first, _ = rows[0]
    opponents = {_opponent(comparison) for _, comparison, _ in rows}
    quantity = QUANTITIES[first.quantity]
    shown: dict[str, Spread] = {}
    for row, (name, comparison, effect) in enumerate(rows):
        said = f"{effect.mean:+{quantity.form}}  {comparison.says(effect)}"
        axis.text(1.02, row, said, transform=axis.get_yaxis_transform(), va="center", fontsize=8)
        effect = drawable(effect)
        opponent = f", {_opponent(comparison)}" if len(opponents) > 1 else ""
        shown[NAMES[name] + opponent] = effect
    settings(axis, shown)
    axis.axvline(0, color=INK, linewidth=0.8)
    if first.margin:
        axis.axvline(-first.margin, color=INK, linewidth=0.8, linestyle="--")
    axis.margins(x=0.12)
    axis.locator_params(axis="x", nbins=4)
    whom = "" if len(opponents) > 1 else f"\nagainst {_opponent(first)}"
    axis.set_title(quantity.words + whom, fontsize=9, loc="left")
    axis.set_xlabel(f"ahead by{f' ({quantity.unit})' if quantity.unit else ''}", fontsize=8)
    axis.tick_params(labelsize=8)


def drawable(effect: Spread) -> Spread:
    """Return an effect without its interval if that of so few seeds would hide the others."""
    if len(effect.values) < SEEDS:
        return effect._replace(low=math.nan, high=math.nan)
    return effect


def _opponent(comparison: Comparison) -> str:
    if comparison.old is None:
        return "the best reported"
    if comparison.old_quantity is None:
        return name_of(comparison.old)
    other = QUANTITIES[comparison.old_quantity].words
    if comparison.old == comparison.new:
        return other
    return f"{name_of(comparison.old)} ({other.rpartition(', ')[2]})"


def against(comparison: Comparison) -> str:
    """Say what is compared with what."""
    words = QUANTITIES[comparison.quantity].words
    return f"{words}: {name_of(comparison.new)} against {_opponent(comparison)}"


def name_of(setting: str) -> str:
    """Return what figures and tables call a setting."""
    if setting in LOOKS:
        return LOOKS[setting][0]
    return CHANGES.get(setting, setting.replace("-", " "))


def effects_table(claims: Iterable[Claim], runs: Sequence[Record]) -> str:
    """Return all comparisons of claims as a table in Markdown: effect, interval, what it says."""
    rows = []
    for claim in claims:
        for comparison in claim.comparisons:
            words = against(comparison)
            if comparison.margin:
                words += f", margin {comparison.margin:g}"
            if unit := QUANTITIES[comparison.quantity].unit:
                words += f" ({unit})"
            found = comparison.effects(runs)
            cells = (_effect(found[name], comparison) if name in found else "–" for name in NAMES)
            rows.append((claim.id, words, *cells))
    return table(("", "ahead in", *NAMES.values()), rows)


def _effect(effect: Spread, comparison: Comparison) -> str:
    if not effect.values:
        return NOT_RUN
    form = f"+{QUANTITIES[comparison.quantity].form}"
    if len(effect.values) < SEEDS:
        return ", ".join(format(value, form) for value in effect.values)
    return f"{interval_words(effect, form)}: **{comparison.says(effect)}**"


def interval_words(effect: Spread, form: str) -> str:
    """Return a mean and its interval, such as ``"+0.35 (+0.12 to +0.58)"``."""
    low, high = (format(end, form) for end in (effect.low, effect.high))
    return f"{effect.mean:{form}} ({low} to {high})"


def verdicts_table(claims: Iterable[Claim], runs: Sequence[Record]) -> str:
    """Return the verdict on each claim in Markdown."""
    rows = [
        (
            claim.question,
            "–" if claim.id == claim.question else claim.id,
            claim.text,
            str(verdict(claim, runs)),
        )
        for claim in claims
    ]
    return table(("question", "claim", "what is claimed", "verdict"), rows)


def verdicts(claims: Iterable[Claim], runs: Sequence[Record]) -> Figure:
    """Draw how many comparisons speak for each claim, leave it open, and speak against it.

    Bars are shares of those that have their runs; the numbers in them are counts.

    Args:
        claims: A bar each, from above.
        runs: Records, as `csae.claims.result_runs` returns them.
    """
    found = {claim.id: verdict(claim, runs) for claim in claims}
    figure, axis = plt.subplots(figsize=(6.8, 0.9 + 0.34 * len(found)))
    starts = [0.0] * len(found)
    # Blue and orange differ for everybody, and what is open is hatched.
    for side, colour, hatch in zip(SIDES, (0, 7, 6), ("", "////", ""), strict=True):
        counts = [one.counts[side] for one in found.values()]
        known = [sum(one.counts[s] for s in SIDES) or 1 for one in found.values()]
        shares = [100 * count / total for count, total in zip(counts, known, strict=True)]
        bars = axis.barh(list(found), shares, left=starts, color=PALETTE[colour], label=side)
        for bar in bars:
            bar.set(hatch=hatch, edgecolor="white")
        words = [str(count or "") for count in counts]
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        for text in axis.bar_label(bars, words, label_type="center", fontsize=9):
            if text.get_text():
                text.set_bbox(box)
        starts = [start + share for start, share in zip(starts, shares, strict=True)]
    axis.invert_yaxis()
    axis.set(xlabel="comparisons (%)", xlim=(0, 100))
    axis.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1), fontsize=9)
    return figure


def results_table(
    runs: Sequence[Record], settings: Mapping[str, str], quantities: Sequence[str]
) -> str:
    """Return a table in Markdown: a row a quantity, a column a setting, means and intervals.

    Args:
        runs: Of one data set.
        settings: Which settings, and what to call each. One without runs gets a column that says
            so.
        quantities: Names of ``csae.claims.QUANTITIES``.
    """
    rows = []
    seeds = {s: len({run.seed for run in runs if run.setting == s}) for s in settings}
    for name in quantities:
        quantity = QUANTITIES[name]
        found = spread([run for run in runs if has(run, name)], name)
        cells = [
            _cell(found.get(setting), quantity.scale, quantity.form) if seeds[setting] else NOT_RUN
            for setting in settings
        ]
        unit = {"points": " (%)", "": ""}.get(quantity.unit, f" ({quantity.unit})")
        rows.append((quantity.words + unit, *cells))
    titles = (f"{label}, {counted(seeds[s], 'seed')}" for s, label in settings.items())
    return table(("", *titles), rows)


def _cell(found: Spread | None, scale: float, form: str) -> str:
    if found is None:
        return "–"
    mean = format(scale * found.mean, form)
    if len(found.values) < SEEDS:
        return mean
    return f"{mean} ± {scale * (found.high - found.mean):{form}}"


def has(run: Record, name: str) -> bool:
    """Say whether a run has a figure: a model that names no classes has no accuracy."""
    if name.startswith("test_"):
        return run.test is not None and name.removeprefix("test_") in run.test
    return name in run.measures


def _scaled(runs: Sequence[Record], name: str) -> list[float]:
    return [QUANTITIES[name].scale * run.measured(name) for run in runs]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _half(values: Sequence[float]) -> float:
    mean, low, _ = mean_interval(values)
    return mean - low
