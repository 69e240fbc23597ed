"""Typical mistakes in the exercises of the chapter on learning in a minute."""

import math

import torch


def values(gradient):
    return torch.linalg.svdvals(gradient)


def rounds(value, least=0.6):
    count = 0
    while value <= least:
        value = 3.4445 * value - 4.7750 * value**3 + 2.0315 * value**5
        count += 1
    return count


MISTAKES = [
    ("largest_fall", ..., "Replace the three dots"),
    ("largest_fall", lambda g, n: values(g).sum(), "values up to 1"),
    ("largest_fall", lambda g, n: n * values(g)[0], "along one direction"),
    ("largest_fall", lambda g, n: n * g.norm().item(), "not on the length"),
    ("largest_fall", lambda g, n: n * g.square().sum().item(), "with itself"),
    ("largest_fall", lambda g, n: n * g.abs().sum().item(), "each entry"),
    ("largest_fall", lambda g, n: -n * values(g).sum().item(), "The sign is turned"),
    ("largest_fall", lambda g, n: 1.0, "what is its product with the gradient"),
    ("rounds_needed", ..., "Replace the three dots"),
    ("rounds_needed", lambda v: max(1, rounds(v)), "before the first round"),
    ("rounds_needed", lambda v: max(0, rounds(v) - 1), "One more round"),
    ("rounds_needed", lambda v: rounds(v) + (v < 0.6), "one round earlier"),
    ("rounds_needed", lambda v: 0 if v > 0.6 else math.ceil(1 / v), "and count until"),
]
