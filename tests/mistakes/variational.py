"""Typical mistakes in the exercise of the chapter on variational autoencoders."""


def gap(m1, m2):
    return (m1 - m2).square().sum()


def distance(m1, v1, m2, v2):
    return gap(m1, m2) + (v1.sqrt() - v2.sqrt()).square().sum()


MISTAKES = [
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
