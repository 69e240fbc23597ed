"""Kinds of model by name, so that a recipe, a record or a file of weights can say which it is.

A new kind is a class with the interface of `csae.models.Autoencoder`, and a line here.
"""

from __future__ import annotations

from typing import Any

from csae import checks
from csae.baselines import Classifier, RegularisedAutoencoder, SupervisedAutoencoder
from csae.models import CSAE, VAE, Autoencoder, ConditionalVAE
from csae.networks import NetworkConfig

KINDS: dict[str, type[Autoencoder]] = {
    "csae": CSAE,
    "autoencoder": Autoencoder,
    "classifier": Classifier,
    "linear-head": SupervisedAutoencoder,
    "vae": VAE,
    "cvae": ConditionalVAE,
    "rae": RegularisedAutoencoder,
}
ABOUT = {
    "csae": "classifies by fixed centroids in its latent space",
    "autoencoder": "learns without labels",
    "classifier": "a CSAE that decodes nothing",
    "linear-head": "classifies by a linear layer that is trained with the rest",
    "vae": "draws its codes from Gaussians near the standard normal, without labels",
    "cvae": "likewise, with the label told to encoder and decoder",
    "rae": "an autoencoder with penalties on its codes and its decoder",
}
# What a kind needs beside the terms that it shares with a CSAE.
_BOUND = {
    "noise": 0.0,
    "reconstruction_weight": 0.0,
    "wavelet_weight": 0.0,
    "sobel_weight": 0.0,
    "kl_weight": 1.0,
    "likelihood_weight": 1.0,
}
_OWN: dict[str, dict[str, float]] = {
    "linear-head": {"classification_weight": 1.0},  # nothing else trains its head
    "vae": _BOUND,
    "cvae": _BOUND,
    "rae": {"noise": 0.0, "code_norm_weight": 0.01, "decoder_norm_weight": 1e-5},
}


def defaults(kind: str) -> dict[str, Any]:
    """Return what a recipe must change to train a kind of model sensibly.

    Terms that the kind has nothing for get the weight 0, and those it adds a positive one: for a
    variational autoencoder both terms of its bound count alike, and no other counts.

    Args:
        kind: One of ``KINDS``.

    Returns:
        Values of fields of `csae.Recipe`, by name.

    Raises:
        ValueError: There is no such kind.

    Example:
        >>> from csae import Recipe
        >>> Recipe().change(**defaults("autoencoder")).classification_weight
        0.0
    """
    own = KINDS[checks.choice("kind", kind, tuple(KINDS))].terms
    every = dict.fromkeys(term for model in KINDS.values() for term in model.terms)
    nothing = {f"{term}_weight": 0.0 for term in every if term not in own}
    return {"kind": kind} | nothing | _OWN.get(kind, {})


def build(
    kind: str,
    num_classes: int,
    network: NetworkConfig | None = None,
    *,
    noise: float = 0.0,
    seed: int = 0,
    **options: Any,
) -> Autoencoder:
    """Build a model of a kind; first weights come from PyTorch's generator.

    Args:
        kind: One of ``KINDS``.
        num_classes: Number of classes K, at least 2.
        network: Sizes of encoder and decoder; the published convolutional pair by default.
        noise: Standard deviation of the latent noise, as a fraction of the square root of the
            latent dimension.
        seed: Turns the centroids, where there are any.
        **options: Further arguments of the kind, by the names of its ``options``: the arrangement
            of the centroids, or the likelihood.

    Raises:
        ValueError: An argument is out of range.
    """
    checks.choice("kind", kind, tuple(KINDS))
    num_classes = checks.integer("num_classes", num_classes, 2)
    if network is not None:
        checks.instance("network", network, NetworkConfig)
    for name in options:
        checks.choice("options", name, KINDS[kind].options)
    return KINDS[kind].for_classes(num_classes, network, noise=noise, seed=seed, **options)


def kind_of(model: Autoencoder) -> str:
    """Name a model's kind.

    Raises:
        ValueError: It is of none of ``KINDS``, as a subclass of somebody's own is.
    """
    for name, kind in KINDS.items():
        if type(model) is kind:
            return name
    known = ", ".join(kind.__name__ for kind in KINDS.values())
    raise ValueError(
        f"model must be one of {known}, got {type(model).__name__}; pass the model that a wrapper "
        "holds, such as ._orig_mod of a compiled one"
    )
