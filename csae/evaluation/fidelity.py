"""How faithful reconstructions are to their images: pixels, structure, edges and details."""

from __future__ import annotations

import math

from torch import Tensor

from csae import checks
from csae.wavelets import band_energies, gradient_energy

_WINDOW = 11  # pixels a side of SSIM's Gaussian window
_WINDOW_STD = 1.5  # pixels


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
    _check_pair(images, reconstructions)
    error = (images.double() - reconstructions.double()).square().mean().item()
    return math.inf if error == 0 else -10 * math.log10(error)


def ssim(images: Tensor, reconstructions: Tensor) -> float:
    """Mean structural similarity (Wang, Bovik, Sheikh and Simoncelli 2004).

    A Gaussian window of 11 pixels a side and a standard deviation of 1.5 pixels compares means,
    variances and covariance around each pixel; the image is mirrored at its border. So a black
    background counts as much as what stands on it. (The original leaves out pixels around which the
    window does not fit, which of 28 pixels a side would be 10.)

    Args:
        images: (N, C, H, W) floating point in [0, 1], with sides of at least 11.
        reconstructions: Floating point of the same shape, on the same scale.

    Returns:
        The mean over all images, at most 1; 1 when the two are equal.

    Raises:
        ValueError: As `psnr`, or the images are too small.
    """
    _check_pair(images, reconstructions)
    _check_images(images, _WINDOW)
    # Not at the top: it takes half a second to import.
    from skimage.metrics import structural_similarity

    count, channels, *sides = images.shape
    planes = count * channels, *sides
    _, every = structural_similarity(  # type: ignore[no-untyped-call]
        images.cpu().double().reshape(planes).numpy(),
        reconstructions.detach().cpu().double().reshape(planes).numpy(),
        data_range=1.0,
        gaussian_weights=True,
        sigma=_WINDOW_STD,
        use_sample_covariance=False,
        channel_axis=0,  # each image by itself
        full=True,  # all pixels, not only those around which the window fits
    )
    return float(every.mean())


def gradient_energy_kept(images: Tensor, reconstructions: Tensor) -> float:
    """Gradient energy of the reconstructions as a share of that of the images.

    Below 1, edges are blurred. It compares how much edge there is, not where: noise in the
    reconstructions adds to it.

    Args:
        images: (N, C, H, W) floating point in [0, 1], with sides of at least 2, not all constant.
        reconstructions: Floating point of the same shape, on the same scale.

    Returns:
        The share, 0 or more.

    Raises:
        ValueError: As `psnr`, or the images have no gradients.
    """
    _check_pair(images, reconstructions)
    _check_images(images, 2)
    energy = gradient_energy(images)
    if energy == 0:
        raise ValueError("images must have gradients, got images that are constant")
    return gradient_energy(reconstructions) / energy


def band_errors(images: Tensor, reconstructions: Tensor, levels: int = 2) -> dict[str, float]:
    """Mean squared error, split into the shares of the Haar wavelet's bands.

    With sides divisible by 2^levels, as those of 28 are for two levels, the shares add up to it.

    Args:
        images: (N, C, H, W) floating point in [0, 1].
        reconstructions: Floating point of the same shape, on the same scale.
        levels: Number of levels, at least 1.

    Returns:
        By the names of `csae.wavelets.band_energies`, coarse to fine: ``"A2"``, ``"H2"``, ...,
        ``"D1"``.

    Raises:
        ValueError: As `psnr`, or ``levels`` is out of range.
    """
    _check_pair(images, reconstructions)
    _check_images(images, 1)
    return band_energies(reconstructions.double() - images.double(), levels=levels)


def fidelity_measures(images: Tensor, reconstructions: Tensor) -> dict[str, float]:
    """Return all of the above but `psnr` by name; of the bands, ``error_A2`` and so on.

    `psnr` is what `csae.evaluate` measures.

    Args:
        images: (N, C, H, W) floating point in [0, 1], with sides of at least 11.
        reconstructions: Floating point of the same shape, on the same scale.

    Raises:
        ValueError: The images do not fit together, are too small or constant.
    """
    bands = band_errors(images, reconstructions)
    return {
        "ssim": ssim(images, reconstructions),
        "gradient_energy_kept": gradient_energy_kept(images, reconstructions),
        **{f"error_{band}": error for band, error in bands.items()},
    }


def _check_pair(images: Tensor, reconstructions: Tensor) -> None:
    hint = "divide the images of a data set by 255"
    checks.tensor("images", images, floating=True, hint=hint)
    checks.tensor("reconstructions", reconstructions, floating=True, hint=hint)
    checks.same_shape("images", images, "reconstructions", reconstructions)
    if images.numel() == 0:
        raise ValueError(f"images must not be empty, got {checks.show(images)}")
    low, high = (limit.item() for limit in images.aminmax())
    if not (low >= 0 and high <= 1):
        raise ValueError(f"images must be in [0, 1], got values from {low:g} to {high:g}; {hint}")


def _check_images(images: Tensor, least: int) -> None:
    checks.tensor("images", images, ("N", "C", "H", "W"))
    if min(images.shape[-2:]) < least:
        raise ValueError(
            f"images must have sides of at least {least} pixels, got {checks.show(images)}"
        )
