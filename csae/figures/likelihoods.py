"""Fidelity against sample quality of variational autoencoders, by their likelihood."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from csae.claims import QUANTITIES
from csae.figures.charts import log_ticks
from csae.figures.results import LOOKS, NAMES
from csae.figures.style import INK, PALETTE
from csae.records import Record


def likelihoods(runs: Sequence[Record], datasets: Sequence[str], samplers: Sequence[str]) -> Figure:
    """Draw the Fréchet distance of samples over the PSNR of validation images.

    A line joins the Gaussian likelihoods of one kind in the order of their standard deviation.
    Large filled marks are the Bernoulli likelihood, hollow ones a Gaussian of optimal variance. A
    column is a data set, and a row, with its own scale, a sampler.

    Args:
        runs: Records with one seed for each kind and likelihood.
        datasets: Names of the data sets.
        samplers: Endings of measures, such as ``"prior"``.
    """
    figure, axes = plt.subplots(
        len(samplers),
        len(datasets),
        figsize=(3.6 * len(datasets), 0.6 + 2.5 * len(samplers)),
        layout="constrained",
        sharex="col",
        squeeze=False,
    )
    for column, dataset in zip(axes.T, datasets, strict=True):
        here = [run for run in runs if run.dataset == dataset]
        for axis, sampler in zip(column, samplers, strict=True):
            for kind in ("vae", "cvae"):
                _curve(axis, [run for run in here if run.recipe.kind == kind], sampler)
            axis.set_yscale("log")
            axis.invert_yaxis()
            log_ticks(axis.yaxis)
        column[0].set_title(NAMES[dataset])
        column[-1].set_xlabel("PSNR (dB)\n(further right: better)")
    for line, sampler in zip(axes, samplers, strict=True):
        words = QUANTITIES[f"frechet_{sampler}"].words
        line[0].set_ylabel(words.replace(", ", ",\n") + "\n(further up: better)")
    figure.legend(handles=_keys(), loc="outside lower center", ncols=5, fontsize=8)
    return figure


# How a likelihood is drawn: its name, its line, and the size and filling of its marks.
_DRAWN: dict[str, tuple[str, Literal["-", "none"], int, bool]] = {
    "gaussian": ("Gaussian, fixed", "-", 4, True),
    "bernoulli": ("Bernoulli", "none", 9, True),
    "gaussian-optimal": ("Gaussian, optimal", "none", 9, False),
}


def _curve(axis: Axes, runs: Sequence[Record], sampler: str) -> None:
    """Draw the likelihoods of one kind of model."""
    _, colour, mark = LOOKS[runs[0].recipe.kind]
    for likelihood, (_, line, size, filled) in _DRAWN.items():
        found = [run for run in runs if run.recipe.likelihood == likelihood]
        found.sort(key=lambda run: run.recipe.likelihood_std)
        axis.plot(
            [run.measured("validation_psnr") for run in found],
            [run.measured(f"frechet_{sampler}") for run in found],
            mark,
            linestyle=line,
            markersize=size,
            color=PALETTE[colour],
            mfc=PALETTE[colour] if filled else "white",
        )


def _keys() -> list[Line2D]:
    """Return a key for each kind, and one for each likelihood."""
    keys = [
        Line2D([], [], color=PALETTE[colour], marker=mark, label=label)
        for label, colour, mark in (LOOKS["vae"], LOOKS["cvae"])
    ]
    keys += [
        Line2D(
            [],
            [],
            color=INK,
            marker="^",
            linestyle=line,
            markersize=size,
            mfc=INK if filled else "white",
            label=label,
        )
        for label, line, size, filled in _DRAWN.values()
    ]
    return keys
