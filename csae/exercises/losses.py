"""Checks for the exercises of the chapter on classification supervision."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from csae.centroids import class_component, random_directions, simplex
from csae.evaluation import neural_collapse
from csae.exercises._checks import (
    HintError,
    call,
    check,
    hint_for_mistakes,
    hint_if,
    number,
    tensor,
)


@check
def check_scale_for(answer: Callable[[int, float], float]) -> str:
    """Check the factor on similarities that gives the own class a probability on its centroid."""
    for num_classes, own in ((3, 0.9), (2, 0.9), (10, 0.91), (10, 0.5), (47, 0.99)):
        found = number(call(answer, num_classes, own))
        other = (1 - own) / (num_classes - 1)
        gap = num_classes / (num_classes - 1)
        right = math.log(own / other) / gap
        if math.isclose(found, right, rel_tol=1e-6):
            continue
        hint_for_mistakes(
            found,
            (right * gap, "This is the difference of the logits. By how much do similarities of "
                "a simplex differ?"),
            (right * gap**2, "Turn the fraction: the factor times the difference of similarities "
                "is the difference of the logits."),
            (math.log(own / (1 - own)) / gap, "1 - own is shared by all the other classes."),
            (math.log(own / (1 - own)), "1 - own is shared by all the other classes, and the "
                "similarities differ by more than 1."),
            (-right, "Mind the sign: a larger similarity means a larger probability."),
            (math.log10(own / other) / gap, "Softmax has natural logarithms: math.log."),
            rel_tol=1e-6,
        )  # fmt: skip
        raise HintError(
            f"For K = {num_classes} and own = {own} you return {found:.4g}. The logits must "
            "differ by the logarithm of the ratio of two probabilities."
        )
    return "With own = 1 - e + e/K it is the factor of the chapter: smoothing asks for just that."


@check
def check_class_part(answer: Callable[[Tensor, Tensor], Tensor]) -> str:
    """Check a function that projects codes (N, d) on the span of simplex centroids (K, d)."""
    for num_classes, dim, norm in ((3, 5, 1.0), (10, 40, 6.3), (2, 4, 0.5)):
        centroids = simplex(num_classes, dim, scale=norm, seed=1)
        codes = 4 * random_directions(6, dim, seed=2)
        found = tensor(call(answer, codes.clone(), centroids.clone()), (6, dim))
        right = class_component(codes, centroids)
        hint_for_mistakes(
            found,
            (codes - right, "This is the part that classes do not see: subtract it."),
            (right * num_classes / (num_classes - 1), "The direction is right, the length is not: "
                "mind the factor in front of the sum."),
            (right * norm**2, "u_k has norm 1: divide the centroids by their norm, twice."),
            (right * norm, "u_k has norm 1, both times that it appears."),
            (right / norm**2, "You divide by the norm once too often."),
            right=right,
            rel_tol=1e-5,
            abs_tol=1e-4,
        )  # fmt: skip
        hint_if(
            not torch.allclose(found, right, atol=1e-4),
            f"For K = {num_classes} centroids of norm {norm}, the result is not the projection: "
            "what is left of a code, z - Pz, should be at right angles to every centroid.",
        )
    return "What is left, z - Pz, is invisible to every similarity."


@check
def check_nearest_by_product(answer: Callable[[Tensor, Tensor], Tensor]) -> str:
    """Check a function that finds nearest centroids of any norms with a matrix product."""
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(200, 3, generator=generator)
    centroids = torch.randn(5, 3, generator=generator) * torch.tensor([[2.0, 1, 0.5, 1.5, 0.2]]).T
    found = tensor(call(answer, codes.clone(), centroids.clone()), (200,)).long()
    products, squares = codes @ centroids.T, centroids.square().sum(dim=1)
    right = torch.cdist(codes, centroids).argmin(dim=1)
    hint_for_mistakes(
        found,
        (products.argmax(dim=1), "The largest inner product: long centroids win too often."),
        ((products / squares.sqrt()).argmax(dim=1), "This is the largest cosine: it does not see "
            "how far out a centroid is."),
        ((products / squares).argmax(dim=1), "This is the largest similarity z . c / |c|^2: right "
            "for equal norms only."),
        ((products - squares).argmax(dim=1), "Nearly: in |z - c|^2 the product counts twice, the "
            "square of the norm once."),
        ((products - squares / 2).argmin(dim=1), "These are the furthest centroids: turn argmin "
            "into argmax, or the sign."),
        rel_tol=0,
    )  # fmt: skip
    wrong = int((found != right).sum())
    hint_if(
        wrong > 0,
        f"{wrong} of 200 codes get another centroid. Write out |z - c|^2: which of its terms "
        "depend on the class?",
    )
    return "A linear classifier with weights c_k and biases -|c_k|^2 / 2."


@check
def check_variability(answer: Callable[[Tensor, Tensor], float]) -> str:
    """Check a function that returns NC1 of codes (N, d) and labels (N,)."""
    labels = torch.arange(60) % 4
    centroids = simplex(4, 6, scale=3.0)
    noise = torch.randn(60, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    codes = centroids[labels] + noise @ torch.diag(torch.linspace(0.2, 1.5, 6).double()) + 2
    result = call(answer, codes.clone(), labels.clone())
    found = number(result.item() if isinstance(result, Tensor) and result.numel() == 1 else result)
    right = neural_collapse(codes, labels, centroids).variability
    groups = [codes[labels == k] for k in range(4)]
    means = torch.stack([group.mean(dim=0) for group in groups])
    between = torch.cov(means.T, correction=0)
    inverse = torch.linalg.pinv(between, rtol=1e-10, hermitian=True)
    total = torch.cov(codes.T, correction=0)
    within = total - between
    unbiased = torch.stack([torch.cov(group.T) for group in groups]).mean(dim=0)
    hint_for_mistakes(
        found,
        (4 * right, "Divide by the number of classes."),
        ((total @ inverse).trace().item() / 4, "The spread is measured from the mean of the own "
            "class; yours is that of all codes, the class means' included."),
        ((unbiased @ inverse).trace().item() / 4, "A covariance here is a plain mean: torch.cov "
            "has correction=0 for that."),
        ((within.trace() / between.trace()).item() / 4, "This is the ratio of the traces. S_W is "
            "multiplied with the pseudo-inverse of S_B first."),
        rel_tol=1e-6,
    )  # fmt: skip
    hint_if(
        not math.isfinite(found) or abs(found) > 1e6,
        "S_B has rank K - 1, and rounding hides that from an inverse: take torch.linalg.pinv with "
        "rtol=1e-10.",
    )
    hint_if(
        not math.isclose(found, right, rel_tol=1e-6),
        f"You return {found:.4g}. For four classes of equal size, S_W is the mean of the classes' "
        "covariances, S_B the covariance of the four means.",
    )
    return "Variance within classes, measured in units of the variance between them."
