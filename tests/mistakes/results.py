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


MISTAKES = [
    ("says", ..., "Replace the three dots"),
    ("says", lambda d, m: True, "Return one of 'for', 'open', 'against'"),
    ("says", by_mean, "not the mean"),
    ("says", by_normal, "use Student's"),
    ("says", lambda d, m: side(*mean_interval(d)[1:], 0.0), "minus the margin, not zero"),
    ("says", lambda d, m: side(*mean_interval(d)[1:], m), "its sign is turned"),
    ("says", lambda d, m: "against", "On which side of 0 does it lie"),
]
