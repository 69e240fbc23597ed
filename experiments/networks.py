"""The chapter on autoencoder design."""

from csae.experiments import Experiment
from csae.recipes import Recipe

EXPERIMENTS = (
    Experiment(
        "networks",
        "How much do codes of 2, 10, 40 and 128 dimensions hold, without labels?",
        Recipe("autoencoder", noise=0.0, classification_weight=0.0).change(epochs=2),
        {f"dim-{d}": {"latent_dim": d} for d in (2, 10, 40, 128)},
        seeds=(0, 1),
        sample={
            "widths": (8, 16, 32, 32),
            "epochs": 3,
            "batch_size": 32,
            "learning_rate": 1e-2,
        },
    ),
)
