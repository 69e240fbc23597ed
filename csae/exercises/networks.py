"""Checks for the exercises of the chapter on autoencoder design."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

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
from csae.networks import ResidualBlock


@check
def check_components_needed(answer: Callable[[Tensor, float], int]) -> str:
    """Check a function that returns how many components keep a share of the variance."""
    variances = torch.tensor([8.0, 4.0, 2.0, 1.0, 1.0])  # kept: 1/2, 3/4, 7/8, 15/16, 1
    for share, right in ((0.8, 3), (0.9, 4), (0.6, 2), (0.3, 1), (0.5, 1), (0.99, 5)):
        found = call(answer, variances.clone(), share)
        hint_if(
            not isinstance(found, int) or isinstance(found, bool),
            f"Return an int, not a {type(found).__name__}.",
        )
        if found == right:
            continue
        case = f"Of the variances 8, 4, 2, 1, 1 and for the share {share} you return {found}."
        lost = 1 - variances.cumsum(0) / variances.sum()
        hint_if(found == right - 1, f"{case} That many keep less: count one further.")
        hint_if(found == right + 1, f"{case} One fewer is enough.")
        hint_if(
            found == int((lost > share).sum()) + 1,
            f"{case} The share is what must be kept, not what may be lost.",
        )
        raise HintError(f"{case} How much of their sum 16 do the first one, two, ... hold?")
    return "A cumulative sum, divided by the whole, and the first place where it is enough."


@check
def check_encoded_size(answer: Callable[[int, int], int]) -> str:
    """Check a function that returns the size after a 3x3 convolution and some blocks."""
    for image_size, blocks in ((32, 0), (32, 1), (32, 2), (32, 3), (28, 2), (28, 3), (64, 5)):
        right = image_size - 2
        for _ in range(blocks):
            right = math.ceil(right / 2)
        found = number(call(answer, image_size, blocks))
        if found == right:
            continue
        case = f"For {image_size} pixels and {blocks} blocks you return {found:g}."
        down = image_size - 2
        for _ in range(blocks):
            down //= 2
        hint_for_mistakes(
            found,
            (image_size, "The first convolution has no padding: it loses a pixel at each side."),
            (image_size / 2**blocks, "The first convolution has no padding."),
            (down, "With padding 1 an odd size is halved and rounded up, not down."),
            ((image_size - 2) / 2**blocks, "Sizes are whole numbers: round up at each block."),
            ((image_size - 2) // 2, "Each block halves once; there can be several."),
            case=case,
        )
        raise HintError(f"{case} The sizes of the published network are 30, 15, 8 and 4.")
    return (
        "From 32 pixels 30, 15, 8, 4; doubled three times, 4 gives 32 again, since rounding up "
        "makes good what the first convolution takes."
    )


@check
def check_block_cost(answer: Callable[[int, int, int], Sequence[int]]) -> str:
    """Check a function that returns parameters and multiply-adds of a residual block."""
    for inputs, outputs, size in ((16, 32, 30), (32, 64, 15), (64, 64, 8), (3, 5, 7)):
        case = f"For {inputs} to {outputs} channels and size {size}"
        found: Any = call(answer, inputs, outputs, size)
        hint_if(
            not isinstance(found, Sequence) or isinstance(found, str) or len(found) != 2,
            "Return two numbers: parameters, multiply-adds.",
        )
        parameters, products = (number(value) for value in found)
        right = sum(p.numel() for p in ResidualBlock(inputs, outputs).parameters())
        weights = 9 * inputs * outputs + 9 * outputs**2 + inputs * outputs
        half = math.ceil(size / 2)
        normalised, biased = 4 * outputs, outputs
        hint_for_mistakes(
            parameters,
            (weights, "parameters lack the batch normalisations and the shortcut's bias."),
            (weights + normalised, "parameters lack the bias of the shortcut."),
            (weights + biased, "parameters lack the two batch normalisations."),
            (weights + biased + normalised // 2, "there are two batch normalisations."),
            (right + 2 * outputs, "the convolutions of the body have no bias."),
            (right - inputs * outputs - biased, "parameters lack the shortcut."),
            (right - inputs * outputs, "parameters lack the weights of the shortcut."),
            case=f"{case},",
            rel_tol=0,
        )
        hint_if(
            parameters != right,
            f"{case} you count {parameters:,.0f} parameters. Go through them one by one: two "
            "convolutions 3x3, one 1x1, two normalisations.",
        )
        hint_for_mistakes(
            products,
            (weights * size**2, "multiply-adds count places of the output, not of the input."),
            (weights * (size / 2) ** 2, "the size is halved and rounded up."),
            (weights * (size // 2) ** 2, "the size is halved and rounded up."),
            (right * half**2, "biases and normalisations have no multiply-adds here."),
            (weights * half, "a picture has rows and columns: square the size."),
            (2 * weights * half**2, "a multiplication and its addition count as one."),
            ((weights - inputs * outputs) * half**2, "multiply-adds lack the shortcut."),
            case=f"{case},",
            right=weights * half**2,
        )
        hint_if(
            products != weights * half**2,
            f"{case} you count {products:,.0f} multiply-adds: weights times places, for each of "
            "the three convolutions.",
        )
    return "These are the numbers of the table: most of a block is its second convolution."


@check
def check_undo_change(answer: Callable[[Tensor, Tensor], Tensor]) -> str:
    """Check a function that makes a decoder's first weight fit changed codes."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    change = torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, 0.5], [0.3, 0.0, 2.0]]).double()
    found = tensor(call(answer, weight.clone(), change.clone()), (6, 3))
    inverse = torch.linalg.inv(change)
    hint_for_mistakes(
        found,
        (weight, "This is the old weight: it decodes the new codes to other images."),
        (weight @ change, "This changes the codes a second time. Undo the change."),
        (weight @ change.T, "This is right for a rotation only, whose inverse is its transpose."),
        (weight @ inverse.T, "The inverse stands on the right side, but transposed."),
        rel_tol=1e-5,
        abs_tol=1e-8,
    )
    hint_if(
        not torch.allclose(found, weight @ inverse, atol=1e-8),
        "From A z the new weight must give what the old one gave from z: W' A = W.",
    )
    return "W A^-1. A deep decoder can be changed in its first layer alone."
