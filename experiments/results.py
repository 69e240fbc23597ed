"""The chapter on results: the method against its opponents, under one budget.

Their order is that in which they are made. The judges come first, because the others are measured
with them; then what is chosen on validation images; then what is tested.
"""

from typing import Any

from csae.experiments import Experiment
from csae.kinds import defaults
from csae.measures import pretrained_judge, result_measures
from csae.recipes import Recipe, recipe

# One budget for all kinds of model: eight passes. The changes to the images are those that the
# chapters before found to help: handwriting may be moved, clothes may be mirrored. The optimiser is
# what the experiment results-optimiser chose.
_BUDGET = Recipe().change(epochs=8, batch_size=128, optimizer="muon")
_HANDWRITING = _BUDGET.change(shift=1, smoothing=0.01, reconstruction_weight=30.0)
OURS = {
    "mnist": _HANDWRITING,
    "fashion-mnist": _BUDGET.change(flip=True),
    "emnist-letters": _HANDWRITING,
}
BOTH = ("mnist", "fashion-mnist")
_ON_PAGE = {"epochs": 2, "batch_size": 64}

# The three forms of the method; as the recipes of these names, but for the budget.
PAPER: dict[str, Any] = {"smoothing": 0.1, "reconstruction_weight": 10.0, "wavelet_weight": 10.0}
PUBLISHED_CODE: dict[str, Any] = {
    "classification_weight": 0.0,
    "centroid_weight": 1.0,
    "reconstruction_weight": 1.0,
    "sobel_weight": 64 * 0.02,
}
AUTOENCODER = defaults("autoencoder")
LINEAR_HEAD = defaults("linear-head")
CLASSIFIER = defaults("classifier")
VAE, CVAE = defaults("vae"), defaults("cvae")

JUDGE = Experiment(
    "judge",
    "How accurate is the classifier, trained apart from all others, that judges their samples?",
    OURS,
    {"judge": CLASSIFIER},
    datasets=("mnist", "fashion-mnist", "emnist-letters"),
    seeds=(100,),  # no other experiment has this one
    tested=True,
)

OPTIMISER = Experiment(
    "results-optimiser",
    "Does Muon or AdamW suit all kinds of model, with labels and without?",
    {name: OURS[name].change(epochs=3) for name in BOTH},
    {
        f"{kind}-{optimizer}": {**changes, "optimizer": optimizer}
        for kind, changes in {"ours": {}, "autoencoder": AUTOENCODER, "vae": VAE}.items()
        for optimizer in ("adamw", "muon")
    },
    datasets=BOTH,
    seeds=(0,),
)

# The likelihood decides what a variational autoencoder is. A fixed variance says the same as a
# weight of the divergence, so it is the one thing to choose.
_LIKELIHOODS: dict[str, dict[str, Any]] = {
    "bernoulli": {},
    "optimal": {"likelihood": "gaussian-optimal"},
    **{
        f"std-{std}": {"likelihood": "gaussian", "likelihood_std": std}
        for std in (0.05, 0.1, 0.2, 0.4, 0.8)
    },
}
VARIATIONAL = Experiment(
    "results-variational",
    "Which likelihood gives variational autoencoders their best samples, and which their best "
    "reconstructions?",
    {name: OURS[name].change(epochs=4) for name in BOTH},
    {
        f"{kind}-{name}": {**changes, **likelihood}
        for kind, changes in {"vae": VAE, "cvae": CVAE}.items()
        for name, likelihood in _LIKELIHOODS.items()
    },
    datasets=BOTH,
    seeds=(0,),
    measure=result_measures(),
    needs=pretrained_judge,
)

# Its penalties are on other scales than a CSAE's terms, so nothing but trying tells their weights.
# Batch normalisation undoes most of what they shrink: these two, far apart, say whether there is
# anything to choose.
RAE = Experiment(
    "results-rae",
    "Which penalties on codes and decoder suit a regularised autoencoder?",
    {name: OURS[name].change(epochs=4) for name in BOTH},
    {
        f"codes-{codes:g}-decoder-{decoder:g}": {
            **defaults("rae"),
            "code_norm_weight": codes,
            "decoder_norm_weight": decoder,
        }
        for codes, decoder in ((0.001, 1e-5), (0.1, 1e-4))
    },
    datasets=BOTH,
    seeds=(0,),
    measure=result_measures(),
    needs=pretrained_judge,
)

_FIRST: dict[str, dict[str, Any]] = {
    "paper": PAPER,
    "ours": {},
    "autoencoder": AUTOENCODER,
    "classifier": CLASSIFIER,
    "linear-head": LINEAR_HEAD,
    "vae": VAE,
    "cvae": CVAE,
}
RESULTS = Experiment(
    "results",
    "What is the method worth, in accuracy, fidelity and samples, against what it is made of and "
    "against variational autoencoders?",
    OURS,
    _FIRST,
    datasets=BOTH,
    seeds=(0, 1, 2, 3, 4),
    sample=_ON_PAGE,
    measure=result_measures(),
    needs=pretrained_judge,
    tested=True,
)

_ONE_THING: dict[str, dict[str, Any]] = {
    # By Parseval's theorem the wavelet loss is the squared error without its coarsest band, nearly
    # all of it. So this has the weight that the two have together. (With the image's weight alone,
    # clothes have it as this book's form.)
    "no-wavelet-image-20": {"wavelet_weight": 0.0, "reconstruction_weight": 20.0},
    "no-noise": {"noise": 0.0},
    "random-directions": {"arrangement": "random"},
    "distance-in-class-subspace": {"centroid_weight": 1.0, "centroid_space": "class"},
    "no-labels": {"kind": "autoencoder", "classification_weight": 0.0},
}
CHANGES = Experiment(
    "results-changes",
    "What is each ingredient of the paper's form worth, and what is the published code's form?",
    OURS,
    {
        **{name: {**PAPER, **change} for name, change in _ONE_THING.items()},
        "published-code": PUBLISHED_CODE,
        "rae": defaults("rae"),
        # A classifier with the same smoothing of the labels, and the likelihood under which a
        # variational autoencoder is most faithful.
        "classifier-paper": {**CLASSIFIER, "smoothing": PAPER["smoothing"]},
        "vae-optimal": {**VAE, **_LIKELIHOODS["optimal"]},
        "cvae-optimal": {**CVAE, **_LIKELIHOODS["optimal"]},
    },
    datasets=BOTH,
    sample=_ON_PAGE,
    measure=result_measures(),
    needs=pretrained_judge,
    tested=True,
)

LETTERS = Experiment(
    "results-letters",
    "Does what holds for ten classes hold for the 26 letters?",
    OURS,
    _FIRST,
    datasets=("emnist-letters",),
    measure=result_measures(),
    needs=pretrained_judge,
    tested=True,
)

# What other chapters ask with short runs, once more at this length, and on test images, so that the
# runs above are points of the same curves. Nothing is chosen by them.
_SWEEPS: dict[str, tuple[str, dict[str, dict[str, Any]]]] = {
    # Beside the autoencoder's 40.
    "dimensions": (
        "How much do codes of 2, 10, 40 and 128 dimensions hold, without labels?",
        {f"dim-{d}": {**AUTOENCODER, "latent_dim": d} for d in (2, 10, 128)},
    ),
    # Beside the paper's form, its change with a distance in the class subspace, the autoencoder,
    # and, for the weights, ours, which weighs the image by 10 on clothes.
    "supervision": (
        "What does each form and weight of supervision cost in fidelity, and what does it bring?",
        {
            "distance-in-all-dimensions": {**PAPER, "centroid_weight": 1.0},
            **{f"image-{w}": {"reconstruction_weight": float(w)} for w in (30, 100)},
        },
    ),
    # Beside the paper's form, with 0.04, and its change without noise.
    "noise": (
        "What does much latent noise in training do, as a fraction of the centroids' norm?",
        {"noise-0.5": {**PAPER, "noise": 0.5}},
    ),
    # Beside the paper's form, with 10, and its change without a wavelet loss. The image has a
    # weight of 10 besides, so it compares with a squared error of 100.
    "wavelet": (
        "What does the weight of the wavelet loss buy, with labels?",
        {"wavelet-90": {**PAPER, "wavelet_weight": 90.0}},
    ),
}
SWEEPS = tuple(
    Experiment(
        f"results-{name}",
        question,
        OURS,
        settings,
        measure=result_measures(),
        needs=pretrained_judge,
        tested=True,
    )
    for name, (question, settings) in _SWEEPS.items()
)

LONG = Experiment(
    "results-long",
    "Does the strong recipe for digits reach the aim with Muon, and what do its labels cost?",
    recipe("best", "mnist").change(optimizer="muon"),
    {"best": {}, "unlabelled": {"classification_weight": 0.0}},
    datasets=("mnist",),
    tested=True,
)

EXPERIMENTS = (JUDGE, OPTIMISER, RESULTS, VARIATIONAL, RAE, CHANGES, *SWEEPS, LETTERS, LONG)
