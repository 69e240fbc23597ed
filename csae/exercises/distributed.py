"""Checks for the exercises of the chapter on sharing a batch."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from csae.exercises._checks import HintError, call, check, hint_for_mistakes, hint_if, number


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


@check
def check_sent_bytes(answer: Callable[[int, int, int, int], float]) -> str:
    """Check a function that returns the bytes a process sends for the gradients of an epoch."""
    for images, batch, parameters, processes in (
        (1000, 100, 50, 1), (1000, 100, 50, 2), (1050, 100, 400, 8), (55_000, 256, 282_185, 4),
    ):  # fmt: skip
        found = number(call(answer, images, batch, parameters, processes))
        steps = images // batch
        right = steps * 2 * (processes - 1) / processes * 4 * parameters
        if math.isclose(found, right, rel_tol=1e-9, abs_tol=1e-9):
            continue
        case = f"For {images:,} images, batches of {batch} and {processes} processes"
        hint_if(processes == 1, f"{case} you return {found:.6g}: to whom would it send anything?")
        hint_for_mistakes(
            found,
            (right / 4, "This counts values, not bytes."),
            (right / steps, "That is one step."),
            (right / 2, "Parts go round twice: to be added up, and to hand out the sums."),
            (right * processes, "That is what all processes together send."),
            (right / steps * images, "There is one sum of gradients a step, not one an image."),
            (right / steps * images / batch, "Batches that are not full are left out."),
            (
                right / steps * (images // (batch // processes)),
                "The whole batch has that size, all processes together.",
            ),
            case=f"{case} you are near.",
        )
        raise HintError(f"{case} you return {found:.6g}. How many steps, and how much in each?")
    return "More processes hardly add to it: it never exceeds twice the gradients of each step."


@check
def check_best_count(answer: Callable[[float, float, int], float]) -> str:
    """Check a function that returns the number of processes at which a step is fastest."""
    for seconds, latency, sums in ((0.2, 1e-4, 10), (0.1, 1e-5, 41), (3.0, 2e-4, 1)):
        found = number(call(answer, seconds, latency, sums))
        right = math.sqrt(seconds / (2 * sums * latency))
        if math.isclose(found, right, rel_tol=1e-6):
            continue
        case = f"For T = {seconds:g}, a latency of {latency:g} and {sums} sums"
        hint_for_mistakes(
            found,
            (right**2, "This is the square of the number."),
            (
                math.sqrt(seconds / (sums * latency)),
                "Each sum takes twice P - 1 messages, one way and back.",
            ),
            (math.sqrt(seconds / (2 * latency)), "There is more than one sum in a step."),
            (1 / right, "Turn the fraction round: the longer a step, the more processes pay."),
            (
                seconds / (2 * (right - 1) * sums * latency + seconds / right),
                "That is how many times as fast the step is, not with how many processes.",
            ),
            case=f"{case}:",
            rel_tol=1e-6,
        )
        raise HintError(
            f"{case} you return {found:.4g}. Write the time of a step as a function of P: where is "
            "its derivative zero?"
        )
    return "With four times the work in a step, the best number of processes doubles."
