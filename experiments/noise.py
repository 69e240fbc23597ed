"""The chapter on noise injection."""

from csae.evaluation import noise_measures
from csae.experiments import Experiment
from csae.recipes import Recipe

EXPERIMENTS = (
    Experiment(
        "noise",
        "What does latent noise in training do, as a fraction of the centroids' norm?",
        Recipe().change(epochs=2),
        {f"noise-{fraction}": {"noise": fraction} for fraction in (0.0, 0.04, 0.15, 0.5)},
        seeds=(0, 1),
        measure=noise_measures,
        sample={"epochs": 1, "batch_size": 32},
    ),
)
