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
from csae.exercises.comparing import (
    check_paired_error,
    check_seed_interval,
    check_standard_error,
    check_winner_luck,
)
from csae.exercises.distributed import (
    check_best_count,
    check_own_images,
    check_sent_bytes,
)
from csae.exercises.ingredients import check_noise_std
from csae.exercises.losses import (
    check_class_part,
    check_nearest_by_product,
    check_scale_for,
    check_variability,
)
from csae.exercises.muon import check_largest_fall, check_rounds_needed
from csae.exercises.networks import (
    check_block_cost,
    check_components_needed,
    check_encoded_size,
    check_undo_change,
)
from csae.exercises.noise import (
    check_best_factor,
    check_noise_budget,
    check_probe,
    check_warm_up,
)
from csae.exercises.results import check_says
from csae.exercises.training import (
    check_gap_above,
    check_one_cycle_rate,
    check_roof_speed,
)
from csae.exercises.variational import check_frechet
from csae.exercises.wavelets import (
    check_edge_loss,
    check_undo_haar,
    check_white_error,
)

__all__ = [
    "Verdict",
    "check_best_count",
    "check_best_factor",
    "check_block_cost",
    "check_centred_corners",
    "check_class_part",
    "check_components_needed",
    "check_edge_loss",
    "check_encoded_size",
    "check_fewest_dimensions",
    "check_frechet",
    "check_gap_above",
    "check_largest_fall",
    "check_nearest_by_product",
    "check_noise_budget",
    "check_noise_std",
    "check_one_cycle_rate",
    "check_orthogonal_simplices",
    "check_own_images",
    "check_paired_error",
    "check_probe",
    "check_roof_speed",
    "check_rounds_needed",
    "check_says",
    "check_scale_for",
    "check_seed_interval",
    "check_sent_bytes",
    "check_simplex_angle",
    "check_standard_error",
    "check_tangential_force",
    "check_undo_change",
    "check_undo_haar",
    "check_variability",
    "check_warm_up",
    "check_white_error",
    "check_winner_luck",
]
