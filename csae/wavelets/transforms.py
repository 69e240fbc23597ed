"""Wavelet transforms of images that gradients flow through.

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
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pywt
import torch
from torch import Tensor

from csae import checks

Details: TypeAlias = tuple[Tensor, Tensor, Tensor]  # (cH, cV, cD) of one level

WAVELETS: tuple[str, ...] = tuple(pywt.wavelist(kind="discrete"))
MODES: tuple[str, ...] = tuple(pywt.Modes.modes)


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
    check_wavelet(wavelet, mode)
    check_images("x", x)
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
    check_wavelet(wavelet, mode)
    approximation, (horizontal, vertical, diagonal) = _bands(coefficients)
    check_images("coefficients", approximation)
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
    check_wavelet(wavelet, mode)
    check_images("x", x)
    if level is None:
        level = pywt.dwt_max_level(min(x.shape[-2:]), pywt.Wavelet(wavelet).dec_len)
    level = checks.integer("level", level, 0)
    approximation, details = decompose(x, wavelet, mode, level)
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
    check_wavelet(wavelet, mode)
    x, levels = _levels(coefficients)
    check_images("coefficients", x)
    for details in levels:
        height, width = details[0].shape[-2:]
        if x.shape[-2] == height + 1:  # the level below had an odd side
            x = x[..., :-1, :]
        if x.shape[-1] == width + 1:
            x = x[..., :-1]
        x = idwt2((x, details), wavelet, mode)
    return x


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


def decompose(x: Tensor, wavelet: str, mode: str, level: int) -> tuple[Tensor, list[Details]]:
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


def check_wavelet(wavelet: str, mode: str) -> None:
    """Check the names of a wavelet and of a boundary mode."""
    if not isinstance(wavelet, str) or wavelet not in WAVELETS:
        raise ValueError(
            "wavelet must be the name of a discrete wavelet of PyWavelets, such as 'haar' or "
            f"'db4' (csae.wavelets.WAVELETS lists them), got {checks.show(wavelet)}"
        )
    checks.choice("mode", mode, MODES)


def check_images(name: str, images: Tensor, least: int = 1) -> None:
    """Check images (..., H, W) with sides of at least ``least``."""
    checks.tensor(name, images)
    if images.ndim < 2 or min(images.shape[-2:]) < least or not images.is_floating_point():
        raise ValueError(
            f"{name} must be floating point of shape (N, C, H, W) with sides of at least {least}, "
            f"got {checks.show(images)}"
        )
