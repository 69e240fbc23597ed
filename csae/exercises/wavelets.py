"""Checks for the exercises of the chapter on the wavelet loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from csae.exercises._checks import (
    HintError,
    call,
    check,
    hint_for_mistakes,
    hint_if,
    number,
    tensor,
)
from csae.wavelets import dwt2


@check
def check_undo_haar(answer: Callable[[Tensor, Tensor, Tensor, Tensor], Sequence[Tensor]]) -> str:
    """Check a function that returns the pixels (a, b, c, d) of all squares from Haar's bands."""
    x = torch.rand(2, 1, 6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    approximation, details = dwt2(x, "haar")
    pixels = call(answer, approximation, *details)
    hint_if(
        not isinstance(pixels, tuple | list) or len(pixels) != 4,
        "Return the four pixels, as a tuple (a, b, c, d).",
    )
    for name, pixel, right in zip(
        "abcd",
        pixels,
        (x[..., ::2, ::2], x[..., ::2, 1::2], x[..., 1::2, ::2], x[..., 1::2, 1::2]),
        strict=True,
    ):
        hint_if(pixel is ..., f"Replace the three dots of {name}.")
        value = tensor(pixel, (2, 1, 3, 2))
        for factor in (2, 0.5):
            hint_if(
                torch.allclose(value, factor * right),
                f"Pixel {name} is {factor:g} times what it should be: the step is orthogonal, so "
                "the way back has the same factor as the way there.",
            )
        hint_if(
            not torch.allclose(value, right),
            f"Pixel {name} is wrong. Read the step column by column: with which sign does {name} "
            "enter each band? It gets them back with the same signs.",
        )
    return "The matrix of the step is its own inverse: it is symmetric and orthogonal."


@check
def check_white_error(answer: Callable[[Sequence[float]], float]) -> str:
    """Check a function that returns the wavelet loss expected of white noise of variance 1."""
    for weights in ((1.0, 0.0), (0.0, 1.0), (2.0, 3.0, 5.0), (1.0, 1.0, 1.0, 1.0), (0.5, 4.0)):
        value = number(call(answer, weights))
        shares = [4.0 ** (1 - len(weights))]
        shares += [3 * 4.0**-level for level in range(len(weights) - 1, 0, -1)]
        right = sum(s * w for s, w in zip(shares, weights, strict=True))
        if math.isclose(value, right, rel_tol=1e-6, abs_tol=1e-9):
            continue
        backwards = sum(s * w for s, w in zip((shares[0], *shares[:0:-1]), weights, strict=True))
        hint_for_mistakes(
            value,
            (sum(weights) / len(weights), "Bands differ in size: weigh each by its share."),
            (sum(weights), "Divide by the number of pixels: each band counts by its share."),
            (backwards, "The weights go from coarse to fine: the last one is of level 1."),
            (
                sum(s * w / 3 for s, w in zip(shares[1:], weights[1:], strict=True))
                + shares[0] * weights[0],
                "Each level has three detail bands, and all three get its weight.",
            ),
            rel_tol=1e-6,
            abs_tol=1e-9,
        )
        raise HintError(
            f"For weights {weights} you return {value:.4f}. Check with all weights 1: the shares "
            "of all bands add up to 1."
        )
    return "Three quarters of white noise lie in the finest details: there the weight counts most."


@check
def check_edge_loss(answer: Callable[[Tensor, Tensor], Tensor]) -> str:
    """Check a loss on differences of neighbouring pixels, compared pixel by pixel."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(2, 4, 1, 6, 5, generator=generator, dtype=torch.float64)

    def loss(reconstructions: Tensor, images: Tensor) -> float:
        return tensor(call(answer, reconstructions, images), ()).item()

    hint_if(loss(x, x) != 0, "For equal images the loss should be zero.")
    hint_if(loss(x, y) < 0, "The loss should never be negative: square the differences.")
    hint_if(
        loss(x + 0.5, x) > 1e-12,
        "Images that differ in brightness only have the same edges: compare differences between "
        "neighbours, not pixels.",
    )
    hint_if(
        loss(x.roll(1, dims=0), x) < 1e-9,
        "A batch and the same batch in another order give zero: subtract before you average.",
    )
    error = x - y
    right, down = (error.diff(dim=d).square().mean().item() for d in (-1, -2))
    value = loss(x, y)
    hint_for_mistakes(
        value,
        (right, "This sees differences to the right only: add those to the pixel below."),
        (down, "This sees differences downwards only: add those to the right."),
        ((right + down) / 2, "Nearly: add the two means, do not average them."),
        rel_tol=1e-6,
    )
    hint_if(
        not math.isclose(value, right + down, rel_tol=1e-6),
        f"The loss of two random images is {value:.4f}, not {right + down:.4f}. Take the mean of "
        "squared differences to the right, plus the mean of those downwards.",
    )
    return "This is the gradient energy of the error: it tells where edges differ."
