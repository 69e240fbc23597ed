"""The chapter on a strong recipe: the search, and the recipe it ended with."""

from csae.experiments import Experiment
from csae.recipes import Recipe, recipe

UNLABELLED = {"kind": "autoencoder", "classification_weight": 0.0}
WARP = {"shift": 2, "rotation": 10, "zoom": 0.1, "shear": 0.1}
LIGHT_WARP = {"shift": 2, "rotation": 5, "zoom": 0.05, "shear": 0.05}
LOOSE = {"smoothing": 0.01}
STRONG = {"reconstruction_weight": 100.0}

# Strong augmentation costs accuracy in short training and brings it in long training, so the
# settings between which it must decide are trained for both.
CLOTHES = Experiment(
    "best-fashion-mnist",
    "Which augmentation and batch size suit clothes, in short and in long training?",
    Recipe().change(epochs=6, batch_size=128, flip=True),
    {
        "flip-batch-256": {"batch_size": 256},
        "flip": {},
        "shift": {"shift": 2},
        "shift-erase": {"shift": 2, "erase": 0.5},
        "warp-erase": {"shift": 2, "erase": 0.5, "rotation": 10, "zoom": 0.1},
        "flip-24": {"epochs": 24},
        "shift-erase-24": {"epochs": 24, "shift": 2, "erase": 0.5},
        "flip-40": {"epochs": 40, "weight_decay": 0.05},
        "light-shift-erase-40": {"epochs": 40, "weight_decay": 0.05, "shift": 1, "erase": 0.25},
        "unsupervised": {**UNLABELLED, "shift": 2, "erase": 0.5},
        "reconstruction-30": {"reconstruction_weight": 30.0, "shift": 2, "erase": 0.5},
    },
    seeds=(0,),
)

DIGITS = Experiment(
    "best-mnist",
    "Which augmentation and batch size suit digits?",
    Recipe().change(epochs=6, batch_size=128, shift=2),
    {
        "shift-batch-256": {"batch_size": 256},
        "shift": {},
        "warp": WARP,
        "warp-erase": {**WARP, "erase": 0.5},
        "unsupervised": {**UNLABELLED, **WARP},
        "reconstruction-30": {"reconstruction_weight": 30.0, **WARP},
        "reconstruction-30-20": {"epochs": 20, "reconstruction_weight": 30.0, **WARP},
        "shift-20": {"epochs": 20},
        "shift-reconstruction-30-20": {"epochs": 20, "reconstruction_weight": 30.0},
        "shift-reconstruction-100-20": {"epochs": 20, **STRONG},
    },
    datasets=("mnist",),
    seeds=(0,),
)

# Codes that need not sit still may say more about their image. Each setting is named after what
# it changes of the first one, which is the recipe "best" for digits as it was then.
LABELS = Experiment(
    "best-mnist-labels",
    "How firmly do labels have to hold the codes of digits?",
    Recipe(reconstruction_weight=30.0).change(epochs=20, batch_size=128, shift=2),
    {
        "smoothing-0.1": {"precision": "fp32"},
        "smoothing-0.03": {"smoothing": 0.03, "precision": "fp32"},
        "smoothing-0.01": {**LOOSE, "precision": "fp32"},
        "smoothing-0.001": {"smoothing": 0.001, "precision": "fp32"},
        "smoothing-0.01-reconstruction-10": {
            **LOOSE,
            "reconstruction_weight": 10.0,
            "precision": "fp32",
        },
        "smoothing-0.01-reconstruction-100": {**LOOSE, **STRONG, "precision": "fp32"},
        "smoothing-0.01-decay": {**LOOSE, "weight_decay": 0.05, "precision": "fp32"},
        "smoothing-0.01-erase": {**LOOSE, "erase": 0.25, "precision": "fp32"},
        "smoothing-0.01-light-warp": {**LOOSE, **LIGHT_WARP, "precision": "fp32"},
        "unsupervised": {**UNLABELLED, "reconstruction_weight": 10.0, "precision": "fp32"},
        "unsupervised-erase": {
            **UNLABELLED,
            "reconstruction_weight": 10.0,
            "erase": 0.25,
            "precision": "fp32",
        },
        "unsupervised-light-warp": {
            **UNLABELLED,
            "reconstruction_weight": 10.0,
            **LIGHT_WARP,
            "precision": "fp32",
        },
    },
    datasets=("mnist",),
    seeds=(0, 1),
)

# The twin without labels is a CSAE, too: only the weight of the cross-entropy is zero.
TWINS = {"best": {}, "unlabelled": {"classification_weight": 0.0}}

BEST = Experiment(
    "best",
    "How good is the strongest recipe of the search, and what do its labels cost?",
    {name: recipe("best", name) for name in ("mnist", "fashion-mnist")},
    TWINS,
    datasets=("mnist", "fashion-mnist"),
    tested=True,
)

# Earlier forms of the recipe for digits. They are kept because they were measured on test images.
_SECOND = recipe("best", "mnist").change(smoothing=0.1, weight_decay=0.01)
SUPERSEDED = (
    Experiment(
        "best-first-form",
        "How good was the first form of the recipe for digits, which distorted them?",
        _SECOND.change(**WARP),
        TWINS,
        datasets=("mnist",),
        tested=True,
    ),
    Experiment(
        "best-second-form",
        "How good was the second form of the recipe for digits, with firmer labels?",
        _SECOND,
        {name: {**changes, "precision": "fp32"} for name, changes in TWINS.items()},
        datasets=("mnist",),
        tested=True,
    ),
)

EXPERIMENTS = (CLOTHES, DIGITS, LABELS, BEST, *SUPERSEDED)
