"""Checks for the exercise of the chapter on variational autoencoders."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from csae.evaluation import frechet_distance
from csae.exercises._checks import HintError, call, check, hint_for_mistakes, number, plain


@check
def check_frechet(answer: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor | float]) -> str:
    """Check the squared Fréchet distance of Gaussians whose dimensions are independent."""
    generator = torch.Generator().manual_seed(0)
    for dim in (1, 3, 8):
        means, deviations = torch.rand(2, 2, dim, generator=generator, dtype=torch.float64) + 0.2
        variances = deviations.square()
        gap, widths = (means[0] - means[1]).square(), (deviations[0] - deviations[1]).square()
        found = number(plain(call(answer, means[0], variances[0], means[1], variances[1])))
        right = (gap + widths).sum().item()
        if math.isclose(found, right, rel_tol=1e-6):
            continue
        case = f"In {dim} dimension{'s' if dim > 1 else ''}"
        hint_for_mistakes(
            found,
            (gap.sum().item(), "You compare the means only."),
            (widths.sum().item(), "You compare the widths only."),
            (math.sqrt(right), "That is its root. The squared distance, please."),
            (right / dim, "That is a mean over dimensions. Add them up."),
            (
                (gap + (variances[0] - variances[1]).square()).sum().item(),
                "You take differences of variances. Widths are standard deviations.",
            ),
            (
                (gap + variances.sum(0)).sum().item(),
                "The last term is missing: it takes away what the two have in common.",
            ),
            case=f"{case} you are near.",
            right=right,
            rel_tol=1e-6,
        )
        raise HintError(
            f"{case} you return {found:.4g}. Without correlations the root of the product of the "
            "covariances is, on its diagonal, the product of the standard deviations."
        )
    same = torch.randn(500, 2, generator=generator)
    floor = frechet_distance(same[:250], same[250:])
    return (
        "Equal Gaussians are at distance zero; two samples of 250 from the same one, in two "
        f"dimensions, at {floor:.3f}. That is why it is read beside that of real images."
    )
