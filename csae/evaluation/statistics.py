"""How far measured values may be off: intervals over images and over seeds, and their differences.

Taught in the chapter on comparing.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

import torch
from scipy import special
from torch import Tensor

from csae import checks

_Z = 1.959964  # 97.5 % quantile of the normal distribution


def standard_error(accuracy: float, count: int) -> float:
    """Standard error of an accuracy over the choice of the images.

    Equations: accuracy-error.

    Args:
        accuracy: Fraction correct, in 0..1.
        count: Number of images, at least 1.

    Returns:
        The error, as a fraction.

    Raises:
        ValueError: An argument is out of range.
    """
    accuracy = checks.number("accuracy", accuracy, least=0, most=1)
    return math.sqrt(accuracy * (1 - accuracy) / checks.integer("count", count, 1))


def accuracy_interval(accuracy: float, count: int) -> tuple[float, float]:
    """95 % interval of an accuracy measured on a sample of images (Wilson 1927).

    It covers the choice of the test images only: another seed moves the accuracy further.

    Args:
        accuracy: Fraction correct, in 0..1.
        count: Number of images, at least 1.

    Returns:
        Lower and upper bound, in 0..1.

    Raises:
        ValueError: An argument is out of range.
    """
    accuracy = checks.number("accuracy", accuracy, least=0, most=1)
    count = checks.integer("count", count, 1)
    z = _Z
    centre = (accuracy + z**2 / (2 * count)) / (1 + z**2 / count)
    spread = math.sqrt(accuracy * (1 - accuracy) / count + (z / (2 * count)) ** 2)
    half = z * spread / (1 + z**2 / count)
    return max(0.0, centre - half), min(1.0, centre + half)


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean over seeds with its 95 % interval (Student 1908).

    It takes the seeds for a sample from a normal distribution. With three seeds the interval is
    2.5 standard deviations to each side, with two it is 9: two runs say little about a third.

    Equations: student-interval.

    Args:
        values: One measured value a seed, at least two.

    Returns:
        Mean, lower and upper bound.

    Raises:
        ValueError: There are fewer than two values, or one is no finite number.
    """
    values = [checks.number("values", value) for value in checks.sequence("values", values)]
    count = len(values)
    if count < 2:
        raise ValueError(f"values must hold at least 2 numbers, got {count}")
    mean = statistics.mean(values)
    half = special.stdtrit(count - 1, 0.975) * statistics.stdev(values) / math.sqrt(count)
    return mean, mean - half, mean + half


class PairedDifference(NamedTuple):
    """How much more often one model is right than another, on the same images.

    Attributes:
        gained: Images that only the new model gets right.
        lost: Images that only the old one gets right.
        difference: Accuracy of the new model less that of the old one.
        low: Lower end of its 95 % interval over the choice of the images.
        high: Upper end.
        p_value: How often disagreements are at least as uneven if each is a coin toss: the exact
            form of McNemar's test (1947).
    """

    gained: int
    lost: int
    difference: float
    low: float
    high: float
    p_value: float


def paired_difference(new: Tensor, old: Tensor) -> PairedDifference:
    """Compare two models on the same images.

    It compares two sets of weights: another seed would give two others.

    Equations: paired-error.

    Args:
        new: (N,) bool, at least two: whether the new model is right.
        old: (N,) bool: whether the old one is.

    Raises:
        ValueError: An argument is something else.
    """
    for name, flags in (("new", new), ("old", old)):
        checks.tensor(name, flags, ("N",))
        if flags.dtype != torch.bool or len(flags) < 2:
            raise ValueError(f"{name} must be at least 2 values of bool, got {checks.show(flags)}")
    checks.same_shape("new", new, "old", old)
    # Not at the top: it takes half a second to import.
    from scipy.stats import binomtest

    differences = new.cpu().double() - old.cpu().double()
    gained, lost = int((new & ~old).sum()), int((old & ~new).sum())
    difference = differences.mean().item()
    half = _Z * differences.std().item() / math.sqrt(len(differences))
    p_value = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    return PairedDifference(
        gained, lost, difference, difference - half, difference + half, float(p_value)
    )


def smallest_effect(seed_deviation: float, seeds: int, power: float = 0.8) -> float:
    """Return the smallest mean difference that an experiment over seeds is likely to show.

    To show it means that Student's 95 % interval, `mean_interval`, excludes zero. It is the
    noncentrality of his test, times the standard error of the mean.

    Equations: smallest-effect.

    Args:
        seed_deviation: Standard deviation of the difference from seed to seed, in any unit. For two
            methods whose seeds have nothing in common it is the root of 2 times that of one.
        seeds: Number of differences, at least 2.
        power: How likely it shall be shown, above 0.5 and below 1.

    Returns:
        The difference, in the unit of ``seed_deviation``.

    Raises:
        ValueError: An argument is out of range.
    """
    deviation = checks.number("seed_deviation", seed_deviation, least=0)
    seeds = checks.integer("seeds", seeds, 2)
    power = checks.number("power", power, above=0.5, below=1)
    freedom = seeds - 1
    limit = special.stdtrit(freedom, 0.975)
    noncentrality = special.nctdtrinc(freedom, 1 - power, limit)
    return float(noncentrality) * deviation / math.sqrt(seeds)
