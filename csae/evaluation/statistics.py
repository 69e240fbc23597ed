"""How far measured values may be off: intervals over images and over seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from scipy import special

from csae import checks


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
    z = 1.959964  # 97.5 % quantile of the normal distribution
    centre = (accuracy + z**2 / (2 * count)) / (1 + z**2 / count)
    spread = math.sqrt(accuracy * (1 - accuracy) / count + (z / (2 * count)) ** 2)
    half = z * spread / (1 + z**2 / count)
    return max(0.0, centre - half), min(1.0, centre + half)


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean over seeds with its 95 % interval (Student 1908).

    It takes the seeds for a sample from a normal distribution. With three seeds the interval is
    2.5 standard deviations to each side, with two it is 9: two runs say little about a third.

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
