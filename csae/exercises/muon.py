"""Checks for the exercises of the chapter on learning in a minute."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from csae.exercises._checks import HintError, call, check, hint_for_mistakes, hint_if, number, plain


@check
def check_largest_fall(answer: Callable[[Tensor, float], float]) -> str:
    """Check a function that returns how far a step of bounded singular values lowers a loss."""
    generator = torch.Generator().manual_seed(0)
    for rows, columns, largest in ((3, 5, 1.0), (6, 4, 0.1), (8, 8, 2.0)):
        gradient = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
        found = number(plain(call(answer, gradient.clone(), largest)))
        values = torch.linalg.svdvals(gradient)
        right = largest * values.sum().item()
        if math.isclose(found, right, rel_tol=1e-5):
            continue
        case = f"For a gradient of {rows} rows and {columns} columns"
        hint_for_mistakes(
            found,
            (right / largest, "That holds for steps with values up to 1. What if they are longer?"),
            (largest * values.max().item(), "That is the fall along one direction. Use them all."),
            (
                largest * gradient.norm().item(),
                "The bound is on each direction, not on the length of the whole step.",
            ),
            (
                largest * values.square().sum().item(),
                "That is the product of the gradient with itself. The step has other values.",
            ),
            (largest * gradient.abs().sum().item(), "That bounds each entry of the step."),
            (-right, "The sign is turned: a fall counts as positive here."),
            case=f"{case} you are near.",
            rel_tol=1e-5,
        )
        raise HintError(
            f"{case} you return {found:.4g}. The best step has the directions of the gradient, all "
            "with the largest value allowed: what is its product with the gradient?"
        )
    return "Every direction counts by its singular value: their sum is called the nuclear norm."


@check
def check_rounds_needed(answer: Callable[[float], int]) -> str:
    """Check a function that counts the rounds that lift a singular value above 0.6."""
    for value in (0.7, 0.3, 0.1, 0.01, 0.001, 0.00001):
        found = number(plain(call(answer, value)))
        right, moved = 0, value
        while moved <= 0.6:
            moved = 3.4445 * moved - 4.7750 * moved**3 + 2.0315 * moved**5
            right += 1
        if found == right:
            continue
        hint_if(right == 0, f"{value:g} is above 0.6 before the first round; you say {found:g}.")
        case = f"For {value:g} you return {found:g}."
        hint_if(found == right - 1, f"{case} It is not above 0.6 yet. One more round?")
        hint_if(found == right + 1, f"{case} It is above 0.6 one round earlier.")
        raise HintError(
            f"{case} Put the value through the polynomial again and again, and count until it is "
            "above 0.6."
        )
    return "Each round is worth a factor of up to 3.4: five of them reach down to a thousandth."
