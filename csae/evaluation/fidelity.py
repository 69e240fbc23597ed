"""How faithful reconstructions are to their images."""

from __future__ import annotations

import math

from torch import Tensor

from csae import checks


def psnr(images: Tensor, reconstructions: Tensor) -> float:
    """Peak signal-to-noise ratio of a whole set of images.

    It is 10 log10(1 / MSE), with the mean squared error taken over all pixels of all images. The
    mean of the single images' ratios, which others report, is never lower.

    Args:
        images: Floating point of any shape, in [0, 1]; a data set's images divided by 255.
        reconstructions: Floating point of the same shape, on the same scale.

    Returns:
        The ratio in dB; infinite when the two are equal.

    Raises:
        ValueError: The shapes differ, a tensor is empty or not floating point, or ``images`` leave
            [0, 1].
    """
    hint = "divide the images of a data set by 255"
    checks.tensor("images", images, floating=True, hint=hint)
    checks.tensor("reconstructions", reconstructions, floating=True, hint=hint)
    checks.same_shape("images", images, "reconstructions", reconstructions)
    if images.numel() == 0:
        raise ValueError(f"images must not be empty, got {checks.show(images)}")
    low, high = (limit.item() for limit in images.aminmax())
    if not (low >= 0 and high <= 1):
        raise ValueError(f"images must be in [0, 1], got values from {low:g} to {high:g}; {hint}")
    error = (images.double() - reconstructions.double()).square().mean().item()
    return math.inf if error == 0 else -10 * math.log10(error)
