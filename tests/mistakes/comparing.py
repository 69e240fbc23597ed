"""Typical mistakes in the exercises of the chapter on comparing."""

import math
import statistics

from scipy import stats


def error(p, n):
    return math.sqrt(p * (1 - p) / n)


def scatter(a, b):
    return (a.double() - b.double()).std().item()


def around(values, half):
    mean = statistics.mean(values)
    return mean - half, mean + half


def student(values):
    return stats.t.ppf(0.975, len(values) - 1) * statistics.stdev(values)


MISTAKES = [
    ("standard_error", ..., "Replace the three dots"),
    ("standard_error", lambda p, n: error(p, n) ** 2, "That is the variance"),
    ("standard_error", lambda p, n: error(p, 1), "one image's verdict"),
    ("standard_error", lambda p, n: error(p, n) * n, "That is in images"),
    ("standard_error", lambda p, n: 100 * error(p, n), "in per cent"),
    ("standard_error", lambda p, n: 1.96 * error(p, n), "half a 95 % interval"),
    ("standard_error", lambda p, n: p / n, "what is its variance"),
    ("winner_luck", ..., "Replace the three dots"),
    ("winner_luck", lambda s, t: s.max() - t, "the luckiest of all"),
    ("winner_luck", lambda s, t: t - s.amax(1).mean(), "The sign is turned"),
    ("winner_luck", lambda s, t: s.amax(1).mean(), "Subtract what all settings"),
    ("winner_luck", lambda s, t: s.mean() - t, "the average setting"),
    ("winner_luck", lambda s, t: s.amax(0).mean() - t, "not in a column"),
    ("winner_luck", lambda s, t: 0.01, "Who wins each search"),
    ("paired_error", ..., "Replace the three dots"),
    (
        "paired_error",
        lambda a, b: math.sqrt(
            error(a.double().mean().item(), len(a)) ** 2
            + error(b.double().mean().item(), len(b)) ** 2
        ),
        "two different sets",
    ),
    ("paired_error", lambda a, b: a.double().mean() - b.double().mean(), "difference itself"),
    ("paired_error", scatter, "the scatter of one image"),
    ("paired_error", lambda a, b: scatter(a, b) / len(a), "How far is the mean"),
    ("seed_interval", ..., "Replace the three dots"),
    ("seed_interval", lambda v: statistics.mean(v), "Return two numbers"),
    ("seed_interval", lambda v: (0.0, 1.0), "is not the mean"),
    (
        "seed_interval",
        lambda v: around(v, 1.96 * statistics.stdev(v) / math.sqrt(len(v))),
        "if the standard deviation is known",
    ),
    ("seed_interval", lambda v: around(v, student(v)), "for one more seed"),
    (
        "seed_interval",
        lambda v: around(
            v,
            stats.t.ppf(0.975, len(v) - 1) * statistics.pstdev(v) / math.sqrt(len(v)),
        ),
        "Divide by m - 1",
    ),
    (
        "seed_interval",
        lambda v: around(v, -student(v) / math.sqrt(len(v))),
        "The lower end comes first",
    ),
    ("seed_interval", lambda v: around(v, student(v) / len(v)), "the root of m, once"),
    ("seed_interval", lambda v: around(v, 1.0), "by the root of the number"),
]
