"""Checks for the exercises of the chapter on noise injection."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import torch
from torch import Tensor

from csae.exercises._checks import HintError, call, check, hint_for_mistakes, hint_if, number


@check
def check_noise_budget(answer: Callable[[float, float], float]) -> str:
    """Check a function that returns the noise that crosses between centroids with a probability."""
    for probability, distance in ((0.01, 9.43), (0.2, 1.0), (0.001, 3.0)):
        case = f"For a probability of {probability} at distance {distance}"
        found = number(call(answer, probability, distance))
        quantile = NormalDist().inv_cdf(probability)
        right = -distance / (2 * quantile)
        if math.isclose(found, right, rel_tol=1e-5):
            continue
        hint_for_mistakes(
            found,
            (-right, "A standard deviation is positive. Which sign has the quantile?"),
            (2 * right, "The middle plane is half the distance away."),
            (-2 * quantile / distance, "You have solved for 1 / std: turn the fraction round."),
            (-quantile * distance / 2, "The noise is in the denominator of the formula."),
            (
                -distance / (2 * NormalDist().inv_cdf(probability / 2)),
                "Only one side counts: noise away from the other centroid crosses nothing.",
            ),
            rel_tol=1e-5,
        )
        raise HintError(f"{case} you return {found:.4g}. Set it into the formula: what comes out?")
    return "The allowed noise is proportional to the distance, and forgets the dimensions."


@check
def check_probe(answer: Callable[[Callable[[Tensor], Tensor], int, int], Any]) -> str:
    """Check an estimate of a Jacobian's squared norm from random directions."""
    dim, count = 6, 4000
    generator = torch.Generator().manual_seed(0)
    jacobian = torch.randn(50, dim, generator=generator)
    directions: list[Tensor] = []

    def jvp(v: Tensor) -> Tensor:
        if tuple(v.shape) != (dim,):
            raise ValueError(f"v has shape {tuple(v.shape)}, not ({dim},)")
        directions.append(v)
        return jacobian @ v.to(jacobian)

    with torch.random.fork_rng():
        torch.manual_seed(0)
        result = call(answer, jvp, dim, count)
    found = number(result.item() if isinstance(result, Tensor) else result)
    hint_if(not directions, "The estimate never asks for J v: call jvp.")
    right = jacobian.square().sum().item()
    drawn = torch.stack(directions).double()
    hint_if(
        len(directions) != count, f"jvp was called {len(directions)} times for {count} directions."
    )
    hint_if(
        len(drawn) > 1 and bool((drawn == drawn[0]).all()), "Draw a new direction for each probe."
    )
    hint_if(
        drawn.mean().abs() > 0.1,
        "The directions should have mean zero: torch.randn, not torch.rand.",
    )
    hint_if(
        bool(((drawn.norm(dim=1) - 1).abs() < 1e-4).all()),
        "Leave the directions as long as they are drawn: for unit vectors the mean is |J|^2 / d.",
    )
    hint_for_mistakes(
        found,
        (right * count, "This is the sum over the directions; take the mean."),
        (right / 50, "Sum over the pixels, and take the mean over directions only."),
        (math.sqrt(right), "This is the norm; the square of it was asked for."),
        rel_tol=0.05,
    )
    hint_if(
        not math.isclose(found, right, rel_tol=0.05),
        f"For a matrix whose squared norm is {right:.1f} you find {found:.4g}.",
    )
    return "A few products J v replace the whole matrix."


@check
def check_warm_up(answer: Callable[[float, float, float], float]) -> str:
    """Check a schedule that waits and then rises in a straight line."""
    for progress, wait, top in (
        (0.0, 0.1, 2.0), (0.05, 0.1, 2.0), (0.1, 0.1, 2.0), (1.0, 0.1, 2.0), (0.55, 0.1, 2.0),
        (0.3, 0.0, 1.0), (0.75, 0.5, 0.4),
    ):  # fmt: skip
        case = f"At progress {progress}, with wait {wait} and top {top},"
        found = number(call(answer, progress, wait, top))
        right = top * max(0.0, progress - wait) / (1 - wait)
        hint_if(found < 0, f"{case} the noise is {found:.4g}: it should wait at zero.")
        hint_if(
            progress <= wait and found > 1e-12, f"{case} there should be no noise yet: {found:.4g}."
        )
        hint_if(
            progress == 1 and not math.isclose(found, top, rel_tol=1e-9),
            f"{case} you return {found:.4g}: at the end the noise should be at its top.",
        )
        hint_if(
            not math.isclose(found, right, rel_tol=1e-9, abs_tol=1e-12),
            f"{case} you return {found:.4g}. What share of the rise is done then?",
        )
    return "Set noise.std to it in on_step, and training warms up."


@check
def check_best_factor(answer: Callable[[float, float], float]) -> str:
    """Check the factor by which a decoder should shrink a noisy code."""
    for variance, noise in ((1.0, 1.0), (4.0, 1.0), (1.0, 0.0), (0.5, 4.0)):
        case = f"For v = {variance} and noise of variance {noise}"
        found = number(call(answer, variance, noise))
        right = variance / (variance + noise)
        if math.isclose(found, right, rel_tol=1e-6, abs_tol=1e-12):
            continue
        hint_for_mistakes(
            found,
            (noise / (variance + noise), "Without noise the factor should be 1, not 0."),
            (
                math.sqrt(right),
                "This keeps the variance of the reconstruction. Is its error smallest?",
            ),
            (1.0, "A factor of 1 lets all the noise through. Does less not pay?"),
            (
                math.sqrt(variance) / (math.sqrt(variance) + math.sqrt(noise)),
                "Variances add up, standard deviations do not.",
            ),
            rel_tol=1e-6,
            abs_tol=1e-12,
        )
        raise HintError(
            f"{case} you return {found:.4g}. Write the error of one dimension as a function of a: "
            "what is missing of it, and what noise comes with it?"
        )
    return "The noisier the code, the nearer to the mean the reconstruction: this is the blur."
