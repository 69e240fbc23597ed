"""The chapter on full training, and the runs whose weights are shown before it."""

from csae.experiments import Experiment
from csae.recipes import Recipe, recipe

EXPERIMENTS = (
    Experiment(
        "precision",
        "Does training in bfloat16 or in larger batches, both faster, cost accuracy or fidelity?",
        Recipe().change(epochs=3, flip=True),
        {
            "fp32": {"precision": "fp32"},
            "bf16": {"precision": "bf16"},
            "bf16-batch-512": {"precision": "bf16", "batch_size": 512},
        },
    ),
    Experiment(
        "first-models",
        "What do ten epochs bring, before anything was searched for?",
        {
            "mnist": Recipe().change(epochs=10, shift=2),
            "fashion-mnist": Recipe().change(epochs=10, flip=True),
        },
        {"ten-epochs": {}},
        datasets=("mnist", "fashion-mnist"),
        seeds=(0,),
        tested=True,
    ),
    Experiment(
        "paper",
        "What do the paper's ingredients bring, with our choices where it is silent?",
        {name: recipe("paper", name) for name in ("mnist", "fashion-mnist")},
        {"paper": {}},
        datasets=("mnist", "fashion-mnist"),
        seeds=(0,),
        tested=True,
    ),
)
