"""Checks for the exercises of the book: each says whether an answer is right, or gives a hint.

A check never raises for a wrong answer, so a chapter runs to its end with its exercises unsolved.
There is one module a chapter.
"""

from csae.exercises._checks import Verdict
from csae.exercises.centroids import (
    check_centred_corners,
    check_fewest_dimensions,
    check_orthogonal_simplices,
    check_simplex_angle,
    check_tangential_force,
)
from csae.exercises.networks import (
    check_block_cost,
    check_components_needed,
    check_encoded_size,
    check_undo_change,
)
from csae.exercises.wavelets import check_edge_loss, check_undo_haar, check_white_error

__all__ = [
    "Verdict",
    "check_block_cost",
    "check_centred_corners",
    "check_components_needed",
    "check_edge_loss",
    "check_encoded_size",
    "check_fewest_dimensions",
    "check_orthogonal_simplices",
    "check_simplex_angle",
    "check_tangential_force",
    "check_undo_change",
    "check_undo_haar",
    "check_white_error",
]
