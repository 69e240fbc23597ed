"""How figures and tables of the book look."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import matplotlib.pyplot as plt
from cycler import cycler

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


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown, for `IPython.display.Markdown`.

    Args:
        columns: Their headings.
        rows: A cell for each column.
    """
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
