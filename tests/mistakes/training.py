"""Typical mistakes in the exercises of the chapter on full training."""

import math

import torch

from csae.exercises.training import _one_cycle


def in_line(step, steps, largest):
    top = 0.3 * steps - 1
    if step <= top:
        return largest / 25 + (largest - largest / 25) * step / top
    low = largest / 250_000
    return largest + (low - largest) * (step - top) / (steps - 1 - top)


def seconds(layers, peak, bandwidth):
    return [max(ops / peak, moved / bandwidth) for ops, moved in layers]


def of_sums(layers, peak, bandwidth):
    return 1 / max(sum(o for o, _ in layers) / peak, sum(m for _, m in layers) / bandwidth)


MISTAKES = [
    ("one_cycle_rate", ..., "Replace the three dots"),
    ("one_cycle_rate", lambda s, n, top: torch.tensor(0.1), "Return a number, not a Tensor"),
    ("one_cycle_rate", lambda s, n, top: 0.0 if s == 0 else top, "a 25th of the top"),
    ("one_cycle_rate", lambda s, n, top: _one_cycle(s / 1.1, n, top), "stand at the top"),
    (
        "one_cycle_rate",
        lambda s, n, top: top / 25 if s == n - 1 else _one_cycle(s, n, top),
        "the lowest rate of all",
    ),
    ("one_cycle_rate", in_line, "along a cosine"),
    ("gap_above", ..., "Replace the three dots"),
    ("gap_above", lambda w: 2**-7, "the gap above 1"),
    ("gap_above", lambda w: 2 ** (math.floor(math.log2(w)) - 8), "leave seven to choose"),
    ("gap_above", lambda w: w * 2**-7, "all gaps are the same"),
    ("gap_above", lambda w: 2 ** (math.ceil(math.log2(w)) - 7), "cut into 128 steps"),
    ("roof_speed", ..., "Replace the three dots"),
    ("roof_speed", lambda x, p, b: sum(seconds(x, p, b)), "How many images fit"),
    (
        "roof_speed",
        lambda x, p, b: 1 / sum(ops / p + moved / b for ops, moved in x),
        "the slower of the two counts",
    ),
    ("roof_speed", of_sums, "one after the other"),
    ("roof_speed", lambda x, p, b: p / sum(ops for ops, _ in x), "arithmetic only"),
    ("roof_speed", lambda x, p, b: b / sum(moved for _, moved in x), "memory only"),
    ("roof_speed", lambda x, p, b: 1 / max(seconds(x, p, b)), "slowest layer alone"),
    (
        "roof_speed",
        lambda x, p, b: 1 / sum(min(ops / p, moved / b) for ops, moved in x),
        "which is the larger time",
    ),
    ("roof_speed", lambda x, p, b: math.pi, "How long does each layer take"),
]
