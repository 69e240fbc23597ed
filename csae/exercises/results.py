"""Checks for the exercises of the chapter on results."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable

from csae.claims import SIDES
from csae.evaluation import mean_interval
from csae.exercises._checks import HintError, call, check, hint_if

_DIFFERENCES = (
    # differences, margin
    ([0.5, 0.6, 0.55], 0.0),
    ([-0.5, -0.6, -0.55], 0.0),
    ([0.5, -0.3, 0.2], 0.0),
    ([0.05, 0.04, 0.06], 0.1),
    ([-0.05, -0.04, -0.06], 0.1),
    ([0.2, 0.9, 0.6], 0.0),
    ([-0.2, -0.3, -0.25], 0.1),
    ([-0.05, -0.3, -0.02], 0.1),
)


@check
def check_says(answer: Callable[[list[float], float], str]) -> str:
    """Check a function that says what paired differences mean for a claim with a margin."""
    for values, margin in _DIFFERENCES:
        found = call(answer, list(values), margin)
        hint_if(
            found not in SIDES,
            f"Return one of {', '.join(map(repr, SIDES))}, not {found!r}.",
        )
        mean, low, high = mean_interval(values)
        right = _side(low, high, -margin)
        if found == right:
            continue
        case = f"For the differences {values} and the margin {margin:g} you say {found!r}."
        narrow = 1.96 * statistics.stdev(values) / math.sqrt(len(values))
        for mistake, hint in (
            (
                _side(mean - narrow, mean + narrow, -margin),
                "Your interval is too narrow for three seeds: use Student's.",
            ),
            (_side(mean, mean, -margin), "It is the interval that counts, not the mean."),
            (_side(low, high, 0.0), "The limit is minus the margin, not zero."),
            (_side(low, high, margin), "A margin forgives: its sign is turned."),
        ):
            hint_if(found == mistake, f"{case} {hint}")
        raise HintError(
            f"{case} The interval goes from {low:.2f} to {high:.2f}. On which side of "
            f"{0 - margin:g} does it lie?"
        )
    return "Three differences on one side of zero are not enough: they have to agree, too."


def _side(low: float, high: float, limit: float) -> str:
    if low > limit:
        return "for"
    return "against" if high < limit else "open"
