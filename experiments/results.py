"""The chapter on results: the method against its opponents, under one budget.

Their order is that in which they are made. The judges come first, because the others are measured
with them; then what is chosen on validation images; then what is tested.
"""

from typing import Any

from csae.experiments import Experiment
from csae.kinds import defaults
from csae.measures import result_measures
from csae.recipes import Recipe

# One budget for all kinds of model: eight passes. The changes to the images are those that the
# chapters before found to help: handwriting may be moved, clothes may be mirrored.
_BUDGET = Recipe().change(epochs=8, batch_size=128, optimizer="muon")
_HANDWRITING = _BUDGET.change(shift=1, smoothing=0.01, reconstruction_weight=30.0)
OURS = {
    "mnist": _HANDWRITING,
    "fashion-mnist": _BUDGET.change(flip=True),
    "emnist-letters": _HANDWRITING,
}
BOTH = ("mnist", "fashion-mnist")

# As the recipe of that name, but for the budget.
PAPER = {"smoothing": 0.1, "reconstruction_weight": 10.0, "wavelet_weight": 10.0}
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
        for std in (0.05, 0.1, 0.2, 0.4)
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
)

EXPERIMENTS = (JUDGE, OPTIMISER, VARIATIONAL)
