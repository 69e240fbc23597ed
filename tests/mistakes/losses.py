"""Typical mistakes in the exercises of the chapter on classification supervision."""

import math

import torch
from torch.nn import functional as F


def logits(k, own):
    return math.log(own * (k - 1) / (1 - own))


def part(latents, centroids, first=1, second=1, factor=True):
    unit = centroids / centroids.norm(dim=1, keepdim=True) ** first
    other = centroids / centroids.norm(dim=1, keepdim=True) ** second
    k = len(centroids)
    return ((k - 1) / k if factor else 1) * (latents @ unit.T) @ other


def scores(z, c, share):
    return z @ c.T - share * c.square().sum(dim=1)


def covariances(codes, labels, correction=0):
    groups = [codes[labels == k] for k in labels.unique()]
    within = torch.stack([torch.cov(group.T, correction=correction) for group in groups])
    means = torch.stack([group.mean(dim=0) for group in groups])
    return within.mean(dim=0), torch.cov(means.T, correction=0)


def trace(within, between, inverse=None, classes=4):
    inverse = torch.linalg.pinv(between, rtol=1e-10) if inverse is None else inverse(between)
    return (within @ inverse).trace() / classes


MISTAKES = [
        ("scale_for", ..., "Replace the three dots"),
        ("scale_for", logits, "difference of the logits. By how much"),
        ("scale_for", lambda k, p: logits(k, p) * k / (k - 1), "Turn the fraction"),
        ("scale_for", lambda k, p: math.log(p / (1 - p)) * (k - 1) / k, "shared by all the other"),
        ("scale_for", lambda k, p: math.log(p / (1 - p)), "differ by more than 1"),
        ("scale_for", lambda k, p: -logits(k, p) * (k - 1) / k, "Mind the sign"),
        ("scale_for", lambda k, p: logits(k, p) * (k - 1) / k / math.log(10), "natural logarithms"),
        ("scale_for", lambda k, p: 1 / p, "logarithm of the ratio"),
        ("class_part", lambda z, c: z - part(z, c), "classes do not see: subtract it"),
        ("class_part", lambda z, c: part(z, c, factor=False), "mind the factor"),
        ("class_part", lambda z, c: part(z, c, 0, 0), "divide the centroids by their norm"),
        ("class_part", lambda z, c: part(z, c, 1, 0), "both times that it appears"),
        ("class_part", lambda z, c: part(z, c, 2, 2), "once too often"),
        ("class_part", lambda z, c: z @ c.T, r"shape \(6, 5\); yours has \(6, 3\)"),
        ("class_part", lambda z, c: z, "not the projection"),
        ("nearest_by_product", lambda z, c: (z @ c.T).argmax(1), "long centroids win"),
        ("nearest_by_product", lambda z, c: (z @ F.normalize(c).T).argmax(1), "largest cosine"),
        (
            "nearest_by_product",
            lambda z, c: (z @ (c / c.square().sum(1, True)).T).argmax(1),
            "for equal norms only",
        ),
        ("nearest_by_product", lambda z, c: scores(z, c, 1).argmax(1), "counts twice"),
        ("nearest_by_product", lambda z, c: scores(z, c, 0.5).argmin(1), "furthest centroids"),
        ("nearest_by_product", lambda z, c: scores(z, c, 0.5), r"shape \(200,\); yours"),
        ("nearest_by_product", lambda z, c: scores(z, c, 0.3).argmax(1), "codes get another"),
        ("variability", lambda z, y: trace(*covariances(z, y), classes=1), "number of classes"),
        (
            "variability",
            lambda z, y: trace(torch.cov(z.T, correction=0), covariances(z, y)[1]),
            "from the mean of the own class",
        ),
        ("variability", lambda z, y: trace(*covariances(z, y, 1)), "plain mean"),
        (
            "variability",
            lambda z, y: covariances(z, y)[0].trace() / covariances(z, y)[1].trace() / 4,
            "ratio of the traces",
        ),
        (
            "variability",
            lambda z, y: trace(*covariances(z, y), torch.linalg.pinv) * math.inf,
            "rounding hides that",
        ),
        ("variability", lambda z, y: trace(*covariances(z, y)[::-1]), "the covariance of the four"),
        ("variability", lambda z, y: z, "Return a number, not a Tensor"),
]  # fmt: skip
