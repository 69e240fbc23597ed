"""Checks for the exercises of the chapter on comparing."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from csae.evaluation import mean_interval
from csae.exercises._checks import HintError, call, check, hint_for_mistakes, number, plain


@check
def check_standard_error(answer: Callable[[float, int], float]) -> str:
    """Check a function that returns the standard error of an accuracy measured on some images."""
    for accuracy, count in ((0.5, 250), (0.94, 5000), (0.996, 10_000)):
        found = number(call(answer, accuracy, count))
        right = math.sqrt(accuracy * (1 - accuracy) / count)
        if math.isclose(found, right, rel_tol=1e-3):
            continue
        case = f"For an accuracy of {accuracy:g} on {count:,} images"
        hint_for_mistakes(
            found,
            (right**2, "That is the variance: take its root."),
            (
                right * math.sqrt(count),
                "That is the scatter of one image's verdict, not of a mean.",
            ),
            (right * count, "That is in images. Divide by their number."),
            (100 * right, "That is in per cent."),
            (1.96 * right, "That is half a 95 % interval. One standard error, please."),
            case=f"{case} you are near.",
            rel_tol=1e-3,
        )
        raise HintError(
            f"{case} you return {found:.4g}. Each verdict is 1 with probability p, else 0: what is "
            "its variance, and what that of a mean of n?"
        )
    return "At 94 % on 5,000 images that is a third of a point, for each of two models."


@check
def check_winner_luck(answer: Callable[[Tensor, float], float]) -> str:
    """Check a function that says by how much the winners of searches look better than they are."""
    generator = torch.Generator().manual_seed(0)
    for searches, settings, truth in ((200, 2, 0.9), (300, 10, 0.94), (50, 1, 0.99)):
        noise = 0.003 * torch.randn(searches, settings, generator=generator, dtype=torch.float64)
        scores = truth + noise
        found = number(plain(call(answer, scores.clone(), truth)))
        right = scores.amax(dim=1).mean().item() - truth
        if math.isclose(found, right, rel_tol=1e-6, abs_tol=1e-9):
            continue
        case = f"For {searches} searches among {settings} settings"
        hint_for_mistakes(
            found,
            (scores.max().item() - truth, "That is the luckiest of all searches, not the average."),
            (-right, "The sign is turned: the winner looks better than it is."),
            (right + truth, "Subtract what all settings are worth in truth."),
            (scores.mean().item() - truth, "That is the average setting, not the winner."),
            (
                scores.amax(dim=0).mean().item() - truth,
                "The winner of a search is the largest number in its row, not in a column.",
            ),
            case=f"{case} you are near.",
            rel_tol=1e-6,
            abs_tol=1e-9,
        )
        raise HintError(f"{case} you return {found:.4g}. Who wins each search, and with what?")
    return "Nobody was better, and still somebody won: that is why the winner is measured anew."


@check
def check_paired_error(answer: Callable[[Tensor, Tensor], float]) -> str:
    """Check a function that returns the standard error of a difference on the same images."""
    generator = torch.Generator().manual_seed(0)
    for count, hard, own in ((4000, 0.06, 0.01), (2000, 0.2, 0.05)):
        common = torch.rand(count, generator=generator) < hard  # images that both get wrong
        right_a, right_b = (
            ~(common | (torch.rand(count, generator=generator) < own)) for _ in range(2)
        )
        found = number(plain(call(answer, right_a.clone(), right_b.clone())))
        difference = right_a.double() - right_b.double()
        right = (difference.std() / math.sqrt(count)).item()
        if math.isclose(found, right, rel_tol=1e-3):
            continue
        shares = [flags.double().mean().item() for flags in (right_a, right_b)]
        apart = math.sqrt(sum(p * (1 - p) for p in shares) / count)
        case = f"For {count:,} images"
        hint_for_mistakes(
            found,
            (apart, "That holds for two different sets of images. These are the same ones."),
            (difference.mean().item(), "That is the difference itself, not its error."),
            (difference.std().item(), "That is the scatter of one image, not of a mean."),
            case=f"{case} you are near.",
            rel_tol=1e-3,
        )
        raise HintError(
            f"{case} you return {found:.4g}. For each image, take the difference of the two "
            "verdicts: 1, 0 or -1. How far is the mean of these from the truth?"
        )
    return "Images that are hard for both cancel, and a smaller difference can be seen."


@check
def check_seed_interval(answer: Callable[[list[float]], Sequence[float]]) -> str:
    """Check a function that returns the ends of the 95 % interval of a mean over seeds."""
    for values in ([0.1, 0.3, -0.1], [0.5, 0.9, 0.6, 0.7, 0.4], [2.0, 3.0]):
        found = call(answer, list(values))
        if not (isinstance(found, tuple | list) and len(found) == 2):
            raise HintError(f"Return two numbers, the lower and the upper end, not {found!r}.")
        low, high = (number(plain(end)) for end in found)
        mean, *right = mean_interval(values)
        if all(math.isclose(a, b, rel_tol=1e-3) for a, b in zip((low, high), right, strict=True)):
            continue
        case = f"For {len(values)} seeds"
        half, count = (high - low) / 2, len(values)
        full = right[1] - mean
        known = 1.96 * statistics.stdev(values) / math.sqrt(count)
        if not math.isclose((low + high) / 2, mean, rel_tol=1e-3):
            raise HintError(f"{case} the middle of your interval is not the mean.")
        hint_for_mistakes(
            half,
            (known, "1.96 holds if the standard deviation is known. Use the factor t."),
            (full * math.sqrt(count), "That is for one more seed. A mean of m varies less."),
            (
                full * math.sqrt((count - 1) / count),
                "Divide by m - 1 in the standard deviation: that is `statistics.stdev`.",
            ),
            (-full, "The lower end comes first."),
            (full / count**0.5, "Divide by the root of m, once."),
            case=f"{case} you are near.",
            rel_tol=1e-3,
        )
        raise HintError(
            f"{case} half of your interval is {half:.4g}. It is t times the standard deviation, "
            "by the root of the number of seeds."
        )
    return "With three seeds it takes 2.5 standard deviations to be 95 % sure, with two it takes 9."
