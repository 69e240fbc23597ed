"""Checks for the exercises of the chapter on full training."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from csae.exercises._checks import HintError, call, check, hint_for_mistakes, hint_if, number


def _one_cycle(step: float, steps: int, largest: float) -> float:
    top = 0.3 * steps - 1
    if step <= top:
        start, end, share = largest / 25, largest, step / top
    else:
        start, end, share = largest, largest / 250_000, (step - top) / (steps - 1 - top)
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


@check
def check_one_cycle_rate(answer: Callable[[int, int, float], float]) -> str:
    """Check a function that returns the learning rate of the one-cycle before a step."""
    for step, steps, largest in (
        (0, 100, 1.0), (29, 100, 1.0), (99, 100, 1.0), (12, 100, 1.0), (60, 100, 1.0),
        (7, 40, 0.02), (39, 40, 0.02), (200, 1000, 4e-3), (301, 1000, 4e-3),
    ):  # fmt: skip
        case = f"Before step {step} of {steps}, with {largest:g} at the top,"
        found = number(call(answer, step, steps, largest))
        right = _one_cycle(step, steps, largest)
        if math.isclose(found, right, rel_tol=1e-6):
            continue
        hint_if(
            step == 0,
            f"{case} you return {found:.4g}: the cycle begins at a 25th of the top.",
        )
        hint_if(
            step == 0.3 * steps - 1,
            f"{case} you return {found:.4g}: here it should stand at the top. Steps are counted "
            "from 0.",
        )
        hint_if(
            step == steps - 1,
            f"{case} you return {found:.4g}: the last step has the lowest rate of all.",
        )
        rising = step < 0.3 * steps - 1
        raise HintError(
            f"{case} you return {found:.4g}, on the way {'up' if rising else 'down'}. Do you move "
            "along a cosine, from a to b, while t goes from 0 to 1?"
        )
    return (
        "A rise over the first 30 % of the steps, a fall over the rest, and no corner at the top."
    )


@check
def check_gap_above(answer: Callable[[float], float]) -> str:
    """Check a function that returns the distance of a bfloat16 number to the next larger one."""
    for weight in (1.0, 1.5, 2.0, 0.0625, 0.09375, 384.0):
        found = number(call(answer, weight))
        right = 2.0 ** (math.floor(math.log2(weight)) - 7)
        if math.isclose(found, right, rel_tol=1e-9):
            continue
        case = f"Above {weight:g} you find a gap of {found:.4g}."
        hint_for_mistakes(
            found,
            (
                2**-7,
                "That is the gap above 1. Numbers have a fixed count of digits: the gap grows with "
                "them.",
            ),
            (
                right / 2,
                "Eight significant bits, the first of which is always 1, leave seven to choose "
                "from.",
            ),
            (weight * 2**-7, "Between two powers of two all gaps are the same."),
            case=case,
        )
        raise HintError(f"{case} Which power of two lies below? It is cut into 128 steps.")
    return "Large weights lose larger updates: what counts is the ratio of the two."


@check
def check_roof_speed(answer: Callable[[list[tuple[float, float]], float, float], Any]) -> str:
    """Check a function that bounds images a second by the roofline of each layer."""
    peak, bandwidth = 1e11, 1e10
    bound_by_arithmetic, bound_by_memory = (4e8, 1e6), (1e5, 4e6)
    cases = ([bound_by_arithmetic], [bound_by_memory], [bound_by_arithmetic, bound_by_memory])
    found = [number(call(answer, list(layers), peak, bandwidth)) for layers in cases]

    def matches(rule: Callable[[list[float], list[float]], float]) -> bool:
        """Whether all answers follow a rule for the layers' times of computing and of moving."""
        return all(
            math.isclose(
                mine,
                rule([ops / peak for ops, _ in layers], [moved / bandwidth for _, moved in layers]),
                rel_tol=1e-6,
            )
            for mine, layers in zip(found, cases, strict=True)
        )

    for rule, hint in (
        (
            lambda c, m: sum(map(max, c, m)),
            "That is the time of an image. How many images fit into a second?",
        ),
        (
            lambda c, m: 1 / (sum(c) + sum(m)),
            "You add computing and moving. The roof says that the slower of the two counts.",
        ),
        (
            lambda c, m: 1 / max(sum(c), sum(m)),
            "The layers run one after the other: a bound for each, then the sum.",
        ),
        (lambda c, m: 1 / sum(c), "You count arithmetic only. Some layers wait for memory."),
        (lambda c, m: 1 / sum(m), "You count memory only. Some layers wait for arithmetic."),
        (
            lambda c, m: 1 / max(map(max, c, m)),
            "This is the slowest layer alone. The others take their time, too.",
        ),
        (
            lambda c, m: 1 / sum(map(min, c, m)),
            "The smaller speed counts, which is the larger time.",
        ),
    ):
        hint_if(matches(rule), hint)
    hint_if(
        not matches(lambda c, m: 1 / sum(map(max, c, m))),
        f"For one layer bound by arithmetic, one bound by memory, and both in a row you return "
        f"{', '.join(f'{value:.4g}' for value in found)}. How long does each layer take at least?",
    )
    return "No loop, however clever, gets past this number by much without changing the layers."
