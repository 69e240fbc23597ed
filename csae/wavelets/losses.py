"""Losses on edges and details: of wavelet coefficients and of Sobel gradients."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from csae import checks
from csae.wavelets.transforms import check_images, check_wavelet, decompose

NORMS = ("l2", "l1")


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
        check_wavelet(wavelet, mode)
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
        coarse, details = decompose(error, self.wavelet, self.mode, self.levels)
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
        check_images("images", images, least=3)
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
        check_images("images", error, least=3)
        with torch.autocast(error.device.type, enabled=False):
            right, down = self.gradients(error)
        return (right.square() + down.square()).mean()


def _error(reconstructions: Tensor, images: Tensor) -> Tensor:
    """Reconstructions minus images, in at least single precision."""
    check_images("reconstructions", reconstructions)
    check_images("images", images)
    # Broadcast, other pixels would be compared.
    checks.same_shape("reconstructions", reconstructions, "images", images)
    return reconstructions.to(torch.promote_types(reconstructions.dtype, torch.float32)) - images


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
