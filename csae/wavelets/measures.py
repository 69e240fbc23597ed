"""How much of an image lies in each band, at each frequency and in its edges."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from csae import checks
from csae.wavelets.transforms import check_images, check_wavelet, decompose


def band_energies(
    images: Tensor, wavelet: str = "haar", levels: int = 3, mode: str = "periodization"
) -> dict[str, float]:
    """Mean square of images, split into the shares of the wavelet bands.

    For an orthogonal wavelet in mode ``"periodization"`` on sides divisible by 2^levels, the shares
    add up to the mean square of all pixels. Of an error, the shares of the mean squared error.

    Equations: parseval.

    Args:
        images: (N, C, H, W), for instance reconstructions minus originals.
        wavelet: One of ``WAVELETS``.
        levels: Number of levels, at least 1.
        mode: One of ``MODES``.

    Returns:
        The sum of squares of each band over the number of pixels, coarse to fine: ``"A3"``,
        ``"H3"``, ``"V3"``, ``"D3"``, ..., ``"D1"``.

    Raises:
        ValueError: An argument is out of range.
    """
    check_wavelet(wavelet, mode)
    levels = checks.integer("levels", levels, 1)
    check_images("images", images)
    coarse, details = decompose(images.double(), wavelet, mode, levels)
    bands = {f"A{levels}": coarse}
    for level, triple in zip(range(levels, 0, -1), details, strict=True):
        bands |= {f"{name}{level}": band for name, band in zip("HVD", triple, strict=True)}
    return {name: (band.square().sum() / images.numel()).item() for name, band in bands.items()}


def gradient_energy(images: Tensor) -> float:
    """Mean squared difference between neighbouring pixels: how much edge there is in images.

    Equations: gradient-energy.

    Args:
        images: (N, C, H, W) with sides of at least 2.

    Returns:
        The mean square of differences to the right neighbour, plus that to the one below.

    Raises:
        ValueError: The images are too small.
    """
    check_images("images", images, least=2)
    x = images.double()
    return (x.diff(dim=-1).square().mean() + x.diff(dim=-2).square().mean()).item()


class Spectrum(NamedTuple):
    """Power of images over spatial frequency, averaged over all directions.

    Attributes:
        frequency: (B,) cycles per pixel, from 0; 0.5 alternates from pixel to pixel.
        power: (B,) mean power of the frequencies in each ring.
        share: (B,) share of all H W frequencies that lie in each ring; sums to 1.
    """

    frequency: Tensor
    power: Tensor
    share: Tensor


def radial_spectrum(images: Tensor) -> Spectrum:
    """Average the power spectrum of images over rings of equal frequency.

    The mean of ``power``, weighted by ``share``, is the mean square of the pixels (Parseval).

    Equations: error-spectrum.

    Args:
        images: (N, C, H, W), for instance reconstructions minus originals.

    Returns:
        Float64 tensors on the device of the images.

    Raises:
        ValueError: ``images`` does not hold images.
    """
    check_images("images", images)
    height, width = images.shape[-2:]
    power = torch.fft.fft2(images.double(), norm="ortho").abs().square()
    power = power.reshape(-1, height, width).mean(dim=0)
    side = max(height, width)
    down = torch.fft.fftfreq(height, dtype=torch.float64, device=images.device)
    right = torch.fft.fftfreq(width, dtype=torch.float64, device=images.device)
    ring = (side * torch.hypot(down[:, None], right)).round().long().flatten()
    counts = torch.bincount(ring)
    rings = counts.nonzero().squeeze(1)  # those with any frequency in them
    count = counts[rings]
    total = torch.bincount(ring, weights=power.flatten())[rings]
    return Spectrum(rings.double() / side, total / count, count.double() / len(ring))
