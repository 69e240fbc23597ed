"""The chapter on learning in a minute."""

from csae.experiments import Experiment
from csae.recipes import Recipe, recipe

FEW_DIGITS = {"batch_size": 64, "images_per_epoch": 28_800}
FEW_CLOTHES = {"batch_size": 64, "images_per_epoch": 51_200, "epochs": 1}
MUON = {"optimizer": "muon"}

EXPERIMENTS = (
    Experiment(
        "muon-mnist",
        "Does Muon help in long training, too, with labels and without?",
        recipe("best", "mnist").change(**MUON),
        {
            "supervised": {},
            "unsupervised": {
                "kind": "autoencoder",
                "classification_weight": 0.0,
                "reconstruction_weight": 10.0,
            },
        },
        datasets=("mnist",),
        seeds=(0,),
    ),
    # About a minute of training: fewer images in smaller batches, or more in larger ones?
    Experiment(
        "quick-mnist",
        "Which batch size and optimiser bring the most in about a minute, on digits?",
        Recipe().change(epochs=1, shift=1),
        {
            "batch-256": {"epochs": 2, "batch_size": 256, "shift": 2},
            "batch-256-shift-1": {"epochs": 2, "batch_size": 256},
            "batch-128": {"batch_size": 128},
            "batch-64": {"batch_size": 64},
            "batch-64-shift-2": {"batch_size": 64, "shift": 2},
            "batch-64-few": FEW_DIGITS,
            "muon-few": {**FEW_DIGITS, **MUON},
            "muon": {"batch_size": 64, **MUON},
        },
        datasets=("mnist",),
        seeds=(0, 1),
    ),
    Experiment(
        "quick-fashion-mnist",
        "Which batch size and optimiser bring the most in a minute or two, on clothes?",
        Recipe().change(epochs=2, flip=True),
        {
            "batch-256": {"epochs": 3, "batch_size": 256},
            "batch-128": {"batch_size": 128},
            "batch-64": {"batch_size": 64},
            "batch-64-few": FEW_CLOTHES,
            "muon-few": {**FEW_CLOTHES, **MUON},
            "muon": {"batch_size": 64, **MUON},
            # Clothes that are seen once: is mirroring them of any use?
            "muon-fewer-plain": {
                **FEW_CLOTHES,
                **MUON,
                "images_per_epoch": 48_000,
                "flip": False,
            },
        },
        seeds=(0, 1),
    ),
)
