"""Checks for the exercises of the chapter on results."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable

import torch
from torch import Tensor

from csae.claims import SIDES
from csae.evaluation import frechet_distance, mean_interval
from csae.exercises._checks import HintError, call, check, hint_for_mistakes, hint_if, number, plain

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


@check
def check_frechet(answer: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor | float]) -> str:
    """Check the squared Fréchet distance of Gaussians whose dimensions are independent."""
    generator = torch.Generator().manual_seed(0)
    for dim in (1, 3, 8):
        means, deviations = torch.rand(2, 2, dim, generator=generator, dtype=torch.float64) + 0.2
        variances = deviations.square()
        gap, widths = (means[0] - means[1]).square(), (deviations[0] - deviations[1]).square()
        found = number(plain(call(answer, means[0], variances[0], means[1], variances[1])))
        right = (gap + widths).sum().item()
        if math.isclose(found, right, rel_tol=1e-6):
            continue
        case = f"In {dim} dimension{'s' if dim > 1 else ''}"
        hint_for_mistakes(
            found,
            (gap.sum().item(), "You compare the means only."),
            (widths.sum().item(), "You compare the widths only."),
            (math.sqrt(right), "That is its root. The squared distance, please."),
            (right / dim, "That is a mean over dimensions. Add them up."),
            (
                (gap + (variances[0] - variances[1]).square()).sum().item(),
                "You take differences of variances. Widths are standard deviations.",
            ),
            (
                (gap + variances.sum(0)).sum().item(),
                "The last term is missing: it takes away what the two have in common.",
            ),
            case=f"{case} you are near.",
            right=right,
            rel_tol=1e-6,
        )
        raise HintError(
            f"{case} you return {found:.4g}. Without correlations the root of the product of the "
            "covariances is, on its diagonal, the product of the standard deviations."
        )
    same = torch.randn(500, 2, generator=generator)
    floor = frechet_distance(same[:250], same[250:])
    return (
        "Equal Gaussians are at distance zero; two samples of 250 from the same one, in two "
        f"dimensions, at {floor:.3f}. That is why it is read beside that of real images."
    )
