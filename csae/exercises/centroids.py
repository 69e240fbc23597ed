"""Checks for the exercises of the chapter on PEDCC geometry."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from csae.centroids import random_directions, separation
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
def check_simplex_angle(answer: Callable[[int], float]) -> str:
    """Check a function that returns the angle between K simplex centroids, in degrees."""
    for num_classes in (3, 2, 4, 10, 26, 1000):
        angle = number(call(answer, num_classes))
        cosine = -1 / (num_classes - 1)
        right = math.degrees(math.acos(cosine))
        if math.isclose(angle, right, rel_tol=1e-6):
            continue
        hint_for_mistakes(
            angle,
            (cosine, "This is the cosine; the angle is its arccosine."),
            (math.acos(cosine), "This is the angle in radians; math.degrees turns it."),
            (180 - right, "Mind the sign: centroids turn away from each other."),
            (math.degrees(math.acos(-1 / num_classes)), "K points share -1 evenly among K - 1."),
            rel_tol=1e-6,
        )
        raise HintError(
            f"For K = {num_classes} you return {angle:.2f}. Three points make an equilateral "
            "triangle: which angle do its corners make, seen from the middle?"
        )
    return "From 180 degrees for two classes, the angle falls towards 90 for many."


@check
def check_centred_corners(answer: Callable[[int], Tensor]) -> str:
    """Check a function that makes a simplex (K, K) from the corners of the unit cube."""
    for num_classes in (3, 2, 10):
        points = tensor(call(answer, num_classes), (num_classes, num_classes))
        norms = points.norm(dim=1)
        hint_if(
            points.sum(dim=0).abs().max() > 1e-5,
            "The points do not sum to zero: subtract their mean.",
        )
        hint_if(
            (norms - 1).abs().max() > 1e-5,
            f"The norms should be 1; for K = {num_classes} the first is {norms[0]:.3f}.",
        )
        hint_if(
            separation(points).deviation > 1e-5,
            "The points are centred and of norm 1, but not all pairs have cosine -1/(K - 1).",
        )
    return "A simplex in K dimensions that fills only K - 1 of them: the points sum to zero."


@check
def check_fewest_dimensions(answer: Mapping[str, Any]) -> str:
    """Check the fewest dimensions in which 47 centroids form a simplex, and an orthoplex."""
    hint_if(not isinstance(answer, Mapping), "Keep the dictionary, and fill in its two values.")
    missing = {"simplex", "orthoplex"} - set(answer)
    hint_if(missing, f"The answer lacks {sorted(missing)}.")
    open_ends = [name for name, value in answer.items() if value is ...]
    hint_if(open_ends, f"Replace the three dots of {open_ends}.")
    hint_if(answer["simplex"] == 47, "Simplex: K points sum to zero. How many are independent?")
    hint_if(
        answer["simplex"] != 46, "Simplex: two points need one dimension, three points need two."
    )
    hint_if(answer["orthoplex"] == 23, "Orthoplex: 23 dimensions have 46 vertices.")
    hint_if(answer["orthoplex"] != 24, "Orthoplex: every dimension brings two vertices.")
    return "46 dimensions for equal angles; right angles at least fit into 24."


@check
def check_tangential_force(answer: Callable[[Tensor], Tensor]) -> str:
    """Check a function that returns the force on charges (K, d) along the sphere."""
    charges = random_directions(6, 4, seed=1)
    apart = charges[:, None] - charges  # (K, K, d)
    distance = apart.norm(dim=2, keepdim=True).masked_fill(torch.eye(6).bool()[..., None], 1)

    def along(force: Tensor) -> Tensor:
        return force - (force * charges).sum(dim=1, keepdim=True) * charges

    result = tensor(call(answer, charges.clone()), (6, 4))
    force = (apart / distance**3).sum(dim=1)
    right = along(force)
    hint_for_mistakes(
        result,
        (-right, "The charges attract each other: turn the sign."),
        (-force, "The charges attract each other: turn the sign, or sum over the other index."),
        (force, "A part of the force still points outwards: subtract it."),
        (along((apart / distance**2).sum(dim=1)), _POWER.format("first")),
        (along((apart / distance).sum(dim=1)), _POWER.format("zeroth")),
        (along((apart / distance**4).sum(dim=1)), _POWER.format("third")),
        rel_tol=1e-5,
        abs_tol=1e-5,
    )
    hint_if(
        (result * charges).sum(dim=1).abs().max() > 1e-5,
        "A part of the force still points outwards: subtract its component along each charge.",
    )
    hint_if(
        not torch.allclose(result, right, atol=1e-5),
        "The force lies along the sphere, but is not the sum of (x_i - x_j) / |x_i - x_j|^3.",
    )
    return "This is the force in the charge model."


_POWER = "The force falls with the {} power of the distance, not the second: count the norms again."


@check
def check_orthogonal_simplices(answer: Callable[[int, int], Sequence[int]]) -> str:
    """Check a function that splits K classes into simplices which fill d dimensions."""
    for num_classes, dim in ((5, 3), (4, 2), (47, 40), (42, 40), (80, 40)):
        case = f"For K = {num_classes}, d = {dim}"
        sizes = call(answer, num_classes, dim)
        hint_if(not isinstance(sizes, Sequence) or not sizes, f"{case} return a list of sizes.")
        hint_if(
            not all(isinstance(size, int) for size in sizes),
            f"{case} the sizes {sizes} are not all integers: // divides without a rest.",
        )
        hint_if(
            sum(sizes) != num_classes, f"{case} your sizes sum to {sum(sizes)}, not {num_classes}."
        )
        hint_if(min(sizes) < 2, f"{case} there is a simplex of one point: it has no direction.")
        used = sum(size - 1 for size in sizes)
        hint_if(
            used != dim,
            f"{case} your {len(sizes)} simplices use {used} dimensions, not {dim}: a simplex of m "
            "points uses m - 1. Sum over all of them: how many simplices must there be?",
        )
    return "K - d simplices: as far apart as an orthoplex, and they sum to zero."
