"""Wavelet transforms of images that gradients flow through, losses made of them, and measures.

Taught in the chapter on the wavelet loss. This module needs nothing of the package but its
argument checks.

Names, order and signs of the coefficients are those of PyWavelets, and so are their values: the
filters and the handling of borders are read off its transforms. One step along an axis of length n
is linear, whatever the border mode, so it is a matrix with n columns. The matrices are computed
once for each length; a transform is then two matrix products, forward and backward. For images of
up to 128 pixels a side this is faster than strided convolutions (benchmarks/wavelets.py); the work
per pixel grows with the side, so that from some 512 pixels on convolutions are the better way. A
matrix holds about n (n + filter length) entries: 4 kB for 32 pixels in float32, 1 MB for 512.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pywt
import torch
from torch import Tensor, nn

from csae import checks

Details: TypeAlias = tuple[Tensor, Tensor, Tensor]  # (cH, cV, cD) of one level

WAVELETS: tuple[str, ...] = tuple(pywt.wavelist(kind="discrete"))
MODES: tuple[str, ...] = tuple(pywt.Modes.modes)
NORMS = ("l2", "l1")


def dwt2(x: Tensor, wavelet: str, mode: str = "symmetric") -> tuple[Tensor, Details]:
    """Split images into four bands of half the size: one step of the discrete wavelet transform.

    With the analysis matrices of the two axes, this is A X A^T; its four quarters are the bands.
    Same arguments and results as `pywt.dwt2`, on tensors. Works in float64 and float32; half
    precision is computed in float32 and rounded once, autocast or not.

    Equations: haar-step, matrix-step.

    Args:
        x: Images (N, C, H, W), or any shape that ends in H, W.
        wavelet: One of ``WAVELETS``, such as ``"haar"`` or ``"db4"``.
        mode: One of ``MODES``: how the image goes on beyond its border.

    Returns:
        ``(cA, (cH, cV, cD))``, each of shape (N, C, h, w): the approximation, and the details
        across horizontal, vertical and diagonal edges. h is ceil(H/2) in mode ``"periodization"``,
        else floor((H + F - 1) / 2) for a filter of length F; w likewise.

    Raises:
        ValueError: An argument is out of range, or ``x`` does not hold images.
    """
    _check_wavelet(wavelet, mode)
    _check_images("x", x)
    return _split(_sandwich(_analysis, x, wavelet, mode))


def idwt2(coefficients: tuple[Tensor, Details], wavelet: str, mode: str = "symmetric") -> Tensor:
    """Put the four bands of `dwt2` together again.

    Same arguments and results as `pywt.idwt2`. Odd sides come back with one pixel more, at their
    end, because the coefficients do not tell 2k - 1 from 2k pixels.

    Equations: perfect-reconstruction.

    Args:
        coefficients: ``(cA, (cH, cV, cD))``, all of one shape (N, C, h, w).
        wavelet: The wavelet they were made with.
        mode: The mode they were made with.

    Returns:
        Images (N, C, H, W).

    Raises:
        ValueError: An argument is out of range, the bands differ in shape, or they are too small
            for the wavelet.
    """
    _check_wavelet(wavelet, mode)
    approximation, (horizontal, vertical, diagonal) = _bands(coefficients)
    _check_images("coefficients", approximation)
    least = 1 if mode == "periodization" else pywt.Wavelet(wavelet).rec_len // 2
    if min(approximation.shape[-2:]) < least:
        raise ValueError(
            f"coefficients must have sides of at least {least} for wavelet {wavelet!r}, "
            f"got {tuple(approximation.shape)}"
        )
    top = torch.cat((approximation, vertical), dim=-1)
    bottom = torch.cat((horizontal, diagonal), dim=-1)
    return _sandwich(_synthesis, torch.cat((top, bottom), dim=-2), wavelet, mode)


def wavedec2(
    x: Tensor, wavelet: str, mode: str = "symmetric", level: int | None = None
) -> list[Tensor | Details]:
    """Split images into bands over several levels: `dwt2`, then again on the approximation.

    Same arguments and results as `pywt.wavedec2`.

    Args:
        x: Images (N, C, H, W), or any shape that ends in H, W.
        wavelet: One of ``WAVELETS``.
        mode: One of ``MODES``.
        level: Number of levels n, at least 0; by default as many as there are before the filter is
            longer than the approximation (`pywt.dwt_max_level`). More are allowed.

    Returns:
        ``[cA_n, (cH_n, cV_n, cD_n), ..., (cH_1, cV_1, cD_1)]``: coarse bands first.

    Raises:
        ValueError: An argument is out of range, or ``x`` does not hold images.
    """
    _check_wavelet(wavelet, mode)
    _check_images("x", x)
    if level is None:
        level = pywt.dwt_max_level(min(x.shape[-2:]), pywt.Wavelet(wavelet).dec_len)
    level = checks.integer("level", level, 0)
    approximation, details = _decompose(x, wavelet, mode, level)
    return [approximation, *details]


def waverec2(
    coefficients: Sequence[Tensor | Details], wavelet: str, mode: str = "symmetric"
) -> Tensor:
    """Put the bands of `wavedec2` together again.

    Same arguments and results as `pywt.waverec2`; odd sides come back with one pixel more.

    Args:
        coefficients: ``[cA_n, (cH_n, cV_n, cD_n), ..., (cH_1, cV_1, cD_1)]``.
        wavelet: The wavelet they were made with.
        mode: The mode they were made with.

    Returns:
        Images (N, C, H, W).

    Raises:
        ValueError: An argument is out of range, or the bands do not fit together.
    """
    _check_wavelet(wavelet, mode)
    x, levels = _levels(coefficients)
    _check_images("coefficients", x)
    for details in levels:
        height, width = details[0].shape[-2:]
        if x.shape[-2] == height + 1:  # the level below had an odd side
            x = x[..., :-1, :]
        if x.shape[-1] == width + 1:
            x = x[..., :-1]
        x = idwt2((x, details), wavelet, mode)
    return x


class WaveletLoss(nn.Module):
    """Weighted squares (or magnitudes) of the wavelet coefficients of the error, per pixel.

    The scale is that of the mean squared error: with an orthogonal wavelet, mode
    ``"periodization"``, sides divisible by 2^levels, weight 1 on all bands and norm ``"l2"``, the
    loss *is* the mean squared error (Parseval). Whatever it does beyond that, its weights do.

    Of all images that one code could stand for, the best under squares is their mean, whatever the
    weights: they act through the code, not on its best image.

    Equations: wavelet-loss, loss-is-mse, same-best-image.

    Args:
        wavelet: One of ``WAVELETS``.
        levels: Number of levels, at least 1.
        bands: ``"details"``: weight 1 on all details, 0 on the approximation, which a pixel loss
            beside this one takes care of. ``"all"``: weight 1 on every band. Or ``levels + 1``
            weights of at least 0, coarse to fine, in the order of `wavedec2`: the approximation,
            the details of the coarsest level, ..., the details of the finest level.
        norm: ``"l2"`` sums squares, ``"l1"`` magnitudes.
        mode: One of ``MODES``. The default has as many coefficients as pixels, so that no pixel
            counts twice.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        wavelet: str = "haar",
        levels: int = 3,
        bands: str | Sequence[float] = "details",
        norm: str = "l2",
        *,
        mode: str = "periodization",
    ) -> None:
        super().__init__()
        _check_wavelet(wavelet, mode)
        self.wavelet, self.mode = wavelet, mode
        self.levels = checks.integer("levels", levels, 1)
        self.norm = checks.choice("norm", norm, NORMS)
        self.weights = _band_weights(bands, self.levels)

    def forward(self, reconstructions: Tensor, images: Tensor) -> Tensor:
        """Compare reconstructions with images, both (N, C, H, W); return a scalar.

        Raises:
            ValueError: The shapes differ, or the images are too small for the levels.
        """
        error = _error(reconstructions, images)
        most = int(math.log2(min(error.shape[-2:])))
        if self.levels > most:
            raise ValueError(
                f"levels={self.levels} is too many for images of shape {tuple(error.shape)}: every "
                f"level halves the sides, so at most {most} fit"
            )
        # The transform is linear: that of the error is the difference of the two transforms.
        coarse, details = _decompose(error, self.wavelet, self.mode, self.levels)
        total = error.new_zeros(())
        for weight, bands in zip(self.weights, ((coarse,), *details), strict=True):
            if weight:
                for band in bands:
                    size = band.square() if self.norm == "l2" else band.abs()
                    total = total + weight * size.sum()
        return total / error.numel()

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows between the brackets."""
        return (
            f"{self.wavelet!r}, levels={self.levels}, bands={self.weights}, norm={self.norm!r}, "
            f"mode={self.mode!r}"
        )


class SobelLoss(nn.Module):
    """Mean squared difference of the Sobel gradients, pixel by pixel, both directions apart.

    A repair of the edge term in the authors' published code, which compares two means and adds up
    the two directions before it squares. The filters are scaled to return the slope of a ramp.

    Equations: sobel-loss.
    """

    smooth: Tensor
    slope: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("smooth", torch.tensor([0.25, 0.5, 0.25]), persistent=False)
        self.register_buffer("slope", torch.tensor([-0.5, 0.0, 0.5]), persistent=False)

    def gradients(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the slopes of images (N, C, H, W) to the right and down, (N, C, H-2, W-2) each.

        Raises:
            ValueError: The images are none, or a side has fewer than 3 pixels.
        """
        _check_images("images", images, least=3)
        smooth, slope = self.smooth.to(images), self.slope.to(images)
        filters = torch.stack((torch.outer(smooth, slope), torch.outer(slope, smooth)))
        flat = images.reshape(-1, 1, *images.shape[-2:])
        right, down = nn.functional.conv2d(flat, filters.unsqueeze(1)).unbind(dim=1)
        shape = (*images.shape[:-2], *right.shape[-2:])
        return right.reshape(shape), down.reshape(shape)

    def forward(self, reconstructions: Tensor, images: Tensor) -> Tensor:
        """Compare reconstructions with images, both (N, C, H, W); return a scalar.

        Raises:
            ValueError: The shapes differ, or a side has fewer than 3 pixels.
        """
        error = _error(reconstructions, images)
        _check_images("images", error, least=3)
        with torch.autocast(error.device.type, enabled=False):
            right, down = self.gradients(error)
        return (right.square() + down.square()).mean()


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
    _check_wavelet(wavelet, mode)
    levels = checks.integer("levels", levels, 1)
    _check_images("images", images)
    coarse, details = _decompose(images.double(), wavelet, mode, levels)
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
    _check_images("images", images, least=2)
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
    _check_images("images", images)
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


@functools.lru_cache(maxsize=256)
def _analysis(wavelet: str, mode: str, n: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Matrix (2m, n) of one step along an axis: m low-pass rows, then m high-pass rows."""
    # Row i of the identity is transformed into column i of the matrix.
    columns = np.concatenate(pywt.dwt(np.eye(n), wavelet, mode), axis=1)
    return _constant(columns.T, dtype, device)


@functools.lru_cache(maxsize=256)
def _synthesis(wavelet: str, mode: str, n: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Matrix (size, 2m = n) of one step back along an axis."""
    unit = np.eye(n // 2)
    low = pywt.idwt(unit, None, wavelet, mode)
    high = pywt.idwt(None, unit, wavelet, mode)
    return _constant(np.concatenate((low, high)).T, dtype, device)


def _constant(matrix: np.ndarray, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # a cached inference tensor could not be trained through
        return torch.from_numpy(np.ascontiguousarray(matrix)).to(device=device, dtype=dtype)


def _sandwich(
    matrix: functools._lru_cache_wrapper[Tensor], x: Tensor, wavelet: str, mode: str
) -> Tensor:
    """Multiply images from the left and the right: one step along both axes."""
    dtype = torch.promote_types(x.dtype, torch.float32)
    left = matrix(wavelet, mode, x.shape[-2], dtype, x.device)
    right = matrix(wavelet, mode, x.shape[-1], dtype, x.device)
    with torch.autocast(x.device.type, enabled=False):
        return (left @ (x.to(dtype) @ right.T)).to(x.dtype)


def _decompose(x: Tensor, wavelet: str, mode: str, level: int) -> tuple[Tensor, list[Details]]:
    """Return the approximation of the last level and the details, coarse to fine."""
    levels: list[Details] = []
    for _ in range(level):
        x, details = _split(_sandwich(_analysis, x, wavelet, mode))
        levels.append(details)
    return x, levels[::-1]


def _split(packed: Tensor) -> tuple[Tensor, Details]:
    # chunk rather than slices: its backward is one copy.
    top, bottom = packed.chunk(2, dim=-2)
    approximation, vertical = top.chunk(2, dim=-1)
    horizontal, diagonal = bottom.chunk(2, dim=-1)
    return approximation, (horizontal, vertical, diagonal)


def _error(reconstructions: Tensor, images: Tensor) -> Tensor:
    """Reconstructions minus images, in at least single precision."""
    _check_images("reconstructions", reconstructions)
    _check_images("images", images)
    # Broadcast, other pixels would be compared.
    checks.same_shape("reconstructions", reconstructions, "images", images)
    return reconstructions.to(torch.promote_types(reconstructions.dtype, torch.float32)) - images


def _bands(coefficients: Any) -> tuple[Tensor, Details]:
    """Check the coefficients of one level."""
    wanted = "coefficients must be (cA, (cH, cV, cD)) of one shape and type"
    try:
        approximation, (horizontal, vertical, diagonal) = coefficients
    except (TypeError, ValueError) as error:
        raise ValueError(f"{wanted}, got {checks.show(coefficients)}") from error
    bands = (approximation, horizontal, vertical, diagonal)
    kinds = {(band.shape, band.dtype) for band in bands if isinstance(band, Tensor)}
    if len(kinds) != 1 or not all(isinstance(band, Tensor) for band in bands):
        raise ValueError(f"{wanted}, got {', '.join(map(checks.show, bands))}")
    return approximation, (horizontal, vertical, diagonal)


def _levels(coefficients: Any) -> tuple[Tensor, list[Details]]:
    """Check the coefficients of several levels, as far as they do not depend on each other."""
    given = isinstance(coefficients, list | tuple) and len(coefficients) > 0
    x, *levels = coefficients if given else (None,)
    triples = all(
        isinstance(details, list | tuple)
        and len(details) == 3
        and all(isinstance(band, Tensor) and band.ndim >= 2 for band in details)
        for details in levels
    )
    if not isinstance(x, Tensor) or not triples:
        raise ValueError(
            "coefficients must be [cA_n, (cH_n, cV_n, cD_n), ..., (cH_1, cV_1, cD_1)], got "
            f"{checks.show(coefficients)}"
        )
    return x, [(horizontal, vertical, diagonal) for horizontal, vertical, diagonal in levels]


def _band_weights(bands: str | Sequence[float], levels: int) -> tuple[float, ...]:
    named = {"all": (1.0,) * (levels + 1), "details": (0.0,) + (1.0,) * levels}
    if isinstance(bands, str):
        if bands not in named:
            raise ValueError(
                f"bands must be one of {tuple(named)} or {levels + 1} weights, got {bands!r}"
            )
        return named[bands]
    weights = tuple(
        checks.number("bands", weight, least=0)
        for weight in checks.sequence("bands", bands, "weights")
    )
    if len(weights) != levels + 1:
        raise ValueError(
            f"bands must be {levels + 1} weights for levels={levels} (the approximation, then the "
            f"details of each level, coarse to fine), got {len(weights)}"
        )
    if not any(weights):
        raise ValueError(f"bands must be weights, at least one of them above 0, got {weights}")
    return weights


def _check_wavelet(wavelet: str, mode: str) -> None:
    if not isinstance(wavelet, str) or wavelet not in WAVELETS:
        raise ValueError(
            "wavelet must be the name of a discrete wavelet of PyWavelets, such as 'haar' or "
            f"'db4' (csae.wavelets.WAVELETS lists them), got {checks.show(wavelet)}"
        )
    checks.choice("mode", mode, MODES)


def _check_images(name: str, images: Tensor, least: int = 1) -> None:
    checks.tensor(name, images)
    if images.ndim < 2 or min(images.shape[-2:]) < least or not images.is_floating_point():
        raise ValueError(
            f"{name} must be floating point of shape (N, C, H, W) with sides of at least {least}, "
            f"got {checks.show(images)}"
        )
