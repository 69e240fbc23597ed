"""Pictures for the book. `import csae` does not load this module, nor matplotlib."""

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
from csae.figures.pipeline import pipeline
from csae.figures.style import INK, PALETTE, table, use_style

__all__ = [
    "INK",
    "PALETTE",
    "accuracy_and_psnr",
    "arrangement",
    "arrow",
    "centroid_map",
    "class_legend",
    "confusion",
    "contours",
    "cosine_matrix",
    "cross",
    "growing_cost",
    "image_rows",
    "interval",
    "labelled_bars",
    "measure_lines",
    "pipeline",
    "polygon_plane",
    "queue_sketch",
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
]
