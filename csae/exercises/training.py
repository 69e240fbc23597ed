"""Checks for the exercises of the chapter on full training."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from csae.exercises._checks import HintError, call, check, hint_if, number


@check
def check_own_images(answer: Callable[[Tensor, int, int], Tensor]) -> str:
    """Check a function that returns the rows of the data set that one process visits."""
    generator = torch.Generator().manual_seed(0)
    for steps, batch, processes in ((3, 8, 2), (2, 12, 4), (5, 6, 1)):
        order = torch.randperm(steps * batch, generator=generator).view(steps, batch)
        for rank in range(processes):
            case = f"For {steps} batches of {batch}, process {rank} of {processes}:"
            found = call(answer, order.clone(), rank, processes)
            hint_if(
                not isinstance(found, Tensor),
                f"Return a torch tensor, not a {type(found).__name__}.",
            )
            hint_if(found.ndim != 1, f"{case} return a tensor of one dimension; flatten it.")
            right = order.view(steps, processes, -1)[:, rank].flatten()
            if torch.equal(found, right):
                continue
            mine, wanted = found.tolist(), right.tolist()
            hint_if(
                mine == order.flatten().view(processes, -1)[rank].tolist(),
                f"{case} you give whole batches to each process. They share each batch.",
            )
            hint_if(
                mine == order[:, rank::processes].flatten().tolist(),
                f"{case} you deal the images out one by one, like cards. A process takes one "
                "piece of each row.",
            )
            hint_if(
                len(mine) != len(wanted),
                f"{case} you return {len(mine)} images of {steps * batch}; its share is "
                f"{len(wanted)}.",
            )
            hint_if(
                sorted(mine) == sorted(wanted),
                f"{case} these are the right images in another order: batch after batch.",
            )
            raise HintError(f"{case} you return {mine[:6]}..., and not {wanted[:6]}...")
    return "All processes together visit each image once, and none of them has to ask another."


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
    return "No loop, however clever, gets past this number without changing the layers."
