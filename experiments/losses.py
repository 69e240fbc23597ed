"""The chapter on classification supervision."""

from csae.evaluation import class_measures
from csae.experiments import Experiment
from csae.networks import NetworkConfig
from csae.recipes import Recipe

_BASE = Recipe().change(epochs=2)
# A pair that learns in a second what it can of few images; without noise, only the loss differs.
_ON_SAMPLE = {
    "network": NetworkConfig("fully_connected", widths=(200,), image_size=28),
    "noise": 0.0,
    "epochs": 3,
    "batch_size": 64,
}

EXPERIMENTS = (
    Experiment(
        "losses",
        "What do supervision and each form of it cost in fidelity, and what do they bring?",
        _BASE,
        {
            "unsupervised": {"kind": "autoencoder", "classification_weight": 0.0},
            "cross-entropy": {},
            "class-subspace": {"centroid_weight": 1.0, "centroid_space": "class"},
            "all-dimensions": {"centroid_weight": 1.0, "centroid_space": "all"},
            "linear-head": {"kind": "linear-head"},
        },
        seeds=(0, 1),
        measure=class_measures,
        sample=_ON_SAMPLE,
    ),
    Experiment(
        "losses-weights",
        "What does the weight of the image error buy, and what that of a centroid term?",
        _BASE,
        {
            **{f"image-{w}": {"reconstruction_weight": w} for w in (1, 30, 100)},
            "class-subspace-10": {"centroid_weight": 10.0, "centroid_space": "class"},
            "all-dimensions-10": {"centroid_weight": 10.0, "centroid_space": "all"},
        },
        seeds=(0,),
        measure=class_measures,
        sample=_ON_SAMPLE,
    ),
)
