"""Typical mistakes in the exercise of the chapter on the ingredients."""


def deviations(codes):
    return codes - codes.mean(dim=0)


def spread(codes):
    return deviations(codes).square().mean().sqrt()


MISTAKES = [
    ("noise_std", ..., "Replace the three dots"),
    ("noise_std", lambda c, size: size, "In 1 dimension, for 1 spreads, you are near. That is the"),
    ("noise_std", lambda c, size: spread(c), "Multiply by the size"),
    ("noise_std", lambda c, size: size * c.square().mean().sqrt(), "Take away their mean first"),
    ("noise_std", lambda c, size: size * deviations(c).square().mean(), "Take the root"),
    (
        "noise_std",
        lambda c, size: size * deviations(c).square().sum(dim=1).mean().sqrt(),
        "take their mean",
    ),
    ("noise_std", lambda c, size: size * c.std(), "Each has its own"),
    ("noise_std", lambda c, size: 0.1, "The mean of the codes has d entries"),
]
