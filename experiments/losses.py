"""The chapter on classification supervision."""

from csae.evaluation import class_measures
from csae.experiments import Experiment
from csae.recipes import Recipe

EXPERIMENTS = (
    Experiment(
        "losses",
        "What do supervision and each form of it cost in fidelity, and what do they bring?",
        Recipe().change(epochs=2),
        {
            "unsupervised": {"kind": "autoencoder", "classification_weight": 0.0},
            "cross-entropy": {},
            "class-subspace": {"centroid_weight": 1.0, "centroid_space": "class"},
            "all-dimensions": {"centroid_weight": 1.0, "centroid_space": "all"},
            "linear-head": {"kind": "linear-head"},
        },
        seeds=(0, 1),
        measure=class_measures,
    ),
)
