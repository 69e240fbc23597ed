"""Typical mistakes in the exercises of the chapter on noise injection."""

import math
from statistics import NormalDist

import torch

quantile = NormalDist().inv_cdf


def directions(d, count):
    return torch.randn(count, d)


def estimate(jvp, vectors):
    return sum(jvp(v).square().sum() for v in vectors) / len(vectors)


MISTAKES = [
    ("noise_budget", ..., "Replace the three dots"),
    ("noise_budget", 0.3, "Pass the function itself"),
    ("noise_budget", lambda p, d: d / (2 * quantile(p)), "Which sign has the quantile"),
    ("noise_budget", lambda p, d: -d / quantile(p), "half the distance away"),
    ("noise_budget", lambda p, d: -2 * quantile(p) / d, "turn the fraction round"),
    ("noise_budget", lambda p, d: -quantile(p) * d / 2, "in the denominator"),
    ("noise_budget", lambda p, d: -d / (2 * quantile(p / 2)), "Only one side counts"),
    ("noise_budget", lambda p, d: p * d, "Set it into the formula"),
    ("probe", lambda jvp, d, n: 3.0, "call jvp"),
    ("probe", lambda jvp, d, n: estimate(jvp, directions(d, 1).expand(n, d)), "Draw a new"),
    ("probe", lambda jvp, d, n: estimate(jvp, directions(d, 1)), "called 1 times for 4000"),
    ("probe", lambda jvp, d, n: estimate(jvp, torch.rand(n, d)), "not torch.rand"),
    ("probe", lambda jvp, d, n: estimate(jvp, directions(d, n)) * n, "take the mean"),
    ("probe", lambda jvp, d, n: estimate(jvp, directions(d, n)) / 50, "Sum over the pixels"),
    ("probe", lambda jvp, d, n: math.sqrt(estimate(jvp, directions(d, n))), "the square of it"),
    ("probe", lambda jvp, d, n: estimate(jvp, 2 * directions(d, n)), "whose squared norm is"),
    (
        "probe",
        lambda jvp, d, n: estimate(jvp, torch.nn.functional.normalize(directions(d, n), dim=1)),
        "as long as they are drawn",
    ),
    ("probe", lambda jvp, d, n: jvp(torch.ones(d, 1)), r"stopped: ValueError: v has shape"),
    ("warm_up", lambda t, wait, top: top * (t - wait) / (1 - wait), "wait at zero"),
    ("warm_up", lambda t, wait, top: top * t, "should be no noise yet"),
    ("warm_up", lambda t, wait, top: top * max(0, t - wait), "at its top"),
    ("warm_up", lambda t, wait, top: top if t > wait else 0.0, "share of the rise"),
    ("warm_up", lambda t, wait, top: "slow", "Return a number, not a str"),
    ("best_factor", lambda v, s2: s2 / (v + s2), "Without noise the factor should be 1"),
    ("best_factor", lambda v, s2: math.sqrt(v / (v + s2)), "Is its error smallest"),
    ("best_factor", lambda v, s2: 1.0, "lets all the noise through"),
    ("best_factor", lambda v, s2: v**0.5 / (v**0.5 + s2**0.5) if v > 1 else v / (v + s2), "Varian"),
    ("best_factor", lambda v, s2: v / (1 + s2), "what is missing of it"),
]
