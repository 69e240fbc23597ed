"""Pictures for the book. `import csae` does not load this module, nor matplotlib."""

from csae.figures.ablations import ablations, ablations_table, latent_noise
from csae.figures.charts import (
    confusion,
    contours,
    interval,
    labelled_bars,
    seed_lines,
    settings,
    stacked_bars,
    two_probabilities,
)
from csae.figures.comparisons import (
    accuracy_and_psnr,
    measure_lines,
    settings_table,
    tries,
)
from csae.figures.engineering import (
    growing_cost,
    queue_sketch,
    roofline,
    runs_and_twins,
    speed_curves,
)
from csae.figures.geometry import (
    arrangement,
    arrow,
    centroid_map,
    class_legend,
    cosine_matrix,
    cross,
    polygon_plane,
    shadow,
    shadow_by_class,
)
from csae.figures.images import image_rows, show_row
from csae.figures.likelihoods import likelihoods
from csae.figures.pipeline import pipeline
from csae.figures.results import (
    LOOKS,
    NAMES,
    NOT_RUN,
    against,
    claim_effects,
    effects,
    effects_table,
    glance,
    results_table,
    verdicts_table,
)
from csae.figures.style import INK, PALETTE, table, use_style

__all__ = [
    "INK",
    "LOOKS",
    "NAMES",
    "NOT_RUN",
    "PALETTE",
    "ablations",
    "ablations_table",
    "accuracy_and_psnr",
    "against",
    "arrangement",
    "arrow",
    "centroid_map",
    "claim_effects",
    "class_legend",
    "confusion",
    "contours",
    "cosine_matrix",
    "cross",
    "effects",
    "effects_table",
    "glance",
    "growing_cost",
    "image_rows",
    "interval",
    "labelled_bars",
    "latent_noise",
    "likelihoods",
    "measure_lines",
    "pipeline",
    "polygon_plane",
    "queue_sketch",
    "results_table",
    "roofline",
    "runs_and_twins",
    "seed_lines",
    "settings",
    "settings_table",
    "shadow",
    "shadow_by_class",
    "show_row",
    "speed_curves",
    "stacked_bars",
    "table",
    "tries",
    "two_probabilities",
    "use_style",
    "verdicts_table",
]
