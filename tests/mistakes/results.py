"""Typical mistakes in the exercises of the chapter on results."""

import math
import statistics

from csae.evaluation import mean_interval


def side(low, high, limit):
    return "for" if low > limit else "against" if high < limit else "open"


def by_mean(values, margin):
    mean = statistics.mean(values)
    return side(mean, mean, -margin)


def by_normal(values, margin):
    half = 1.96 * statistics.stdev(values) / math.sqrt(len(values))
    mean = statistics.mean(values)
    return side(mean - half, mean + half, -margin)


def gap(m1, m2):
    return (m1 - m2).square().sum()


def distance(m1, v1, m2, v2):
    return gap(m1, m2) + (v1.sqrt() - v2.sqrt()).square().sum()


MISTAKES = [
    ("says", ..., "Replace the three dots"),
    ("says", lambda d, m: True, "Return one of 'for', 'open', 'against'"),
    ("says", by_mean, "not the mean"),
    ("says", by_normal, "use Student's"),
    ("says", lambda d, m: side(*mean_interval(d)[1:], 0.0), "minus the margin, not zero"),
    ("says", lambda d, m: side(*mean_interval(d)[1:], m), "its sign is turned"),
    ("says", lambda d, m: "against", "On which side of 0 does it lie"),
    ("frechet", ..., "Replace the three dots"),
    ("frechet", lambda m1, v1, m2, v2: gap(m1, m2), "the means only"),
    ("frechet", lambda m1, v1, m2, v2: gap(v1.sqrt(), v2.sqrt()), "the widths only"),
    ("frechet", lambda *a: distance(*a).sqrt(), "its root"),
    (
        "frechet",
        lambda *a: distance(*a) / len(a[0]),
        "In 3 dimensions you are near. That is a mean",
    ),
    ("frechet", lambda m1, v1, m2, v2: gap(m1, m2) + gap(v1, v2), "Widths are standard deviations"),
    ("frechet", lambda m1, v1, m2, v2: gap(m1, m2) + (v1 + v2).sum(), "The last term is missing"),
    ("frechet", lambda *a: 0.5, "the product of the standard deviations"),
]
