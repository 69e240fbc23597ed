"""Checks for the exercise of the chapter on the ingredients."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from csae.evaluation import spread_of
from csae.exercises._checks import HintError, call, check, hint_for_mistakes, number, plain


@check
def check_noise_std(answer: Callable[[Tensor, float], Tensor | float]) -> str:
    """Check the standard deviation of noise that is so many spreads of the codes."""
    generator = torch.Generator().manual_seed(0)
    for dim, size in ((1, 1.0), (3, 0.5), (8, 2.0)):
        scale, offset = torch.rand(2, dim, generator=generator) * 4 + 1
        codes = torch.randn(200, dim, generator=generator) * scale + offset
        found = number(plain(call(answer, codes, size)))
        spread = spread_of(codes)
        right = size * spread
        if math.isclose(found, right, rel_tol=0.004):  # divided by N or by N - 1
            continue
        case = f"In {dim} dimension{'s' if dim > 1 else ''}, for {size:g} spreads,"
        hint_for_mistakes(
            found,
            (spread, "That is one spread. Multiply by the size."),
            (size, "That is the size alone. Measure how far the codes spread."),
            (
                size * codes.square().mean().sqrt().item(),
                "You measure how far the codes lie from zero. Take away their mean first.",
            ),
            (size * spread**2, "That is the size times a variance. Take the root."),
            (
                right * math.sqrt(dim),
                "You add up the dimensions. The noise is that of a single one: take their mean.",
            ),
            (
                size * codes.std().item(),
                "You take away one mean for all dimensions. Each has its own.",
            ),
            case=f"{case} you are near.",
            right=right,
            rel_tol=0.004,
        )
        raise HintError(
            f"{case} you return {found:.4g}. The mean of the codes has d entries; the squares of "
            "the deviations from it are averaged over all N × d, and the root taken."
        )
    return (
        "A model whose codes are twice as large gets noise twice as large, so it wins nothing by "
        "making them so."
    )
