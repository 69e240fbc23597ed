"""Kinds of model by name, so that a recipe, a record or a file of weights can say which it is.

A new kind is a class with the interface of `csae.models.Autoencoder`, and a line here.
"""

from __future__ import annotations

from csae import checks
from csae.baselines import SupervisedAutoencoder
from csae.models import CSAE, Autoencoder
from csae.networks import NetworkConfig

KINDS: dict[str, type[Autoencoder]] = {
    "csae": CSAE,
    "autoencoder": Autoencoder,
    "linear-head": SupervisedAutoencoder,
}
ABOUT = {
    "csae": "classifies by fixed centroids in its latent space",
    "autoencoder": "learns without labels",
    "linear-head": "classifies by a linear layer that is trained with the rest",
}


def build(
    kind: str,
    num_classes: int,
    network: NetworkConfig | None = None,
    *,
    noise: float = 0.0,
    seed: int = 0,
) -> Autoencoder:
    """Build a model of a kind; first weights come from PyTorch's generator.

    Args:
        kind: One of ``KINDS``.
        num_classes: Number of classes K, at least 2.
        network: Sizes of encoder and decoder; the published convolutional pair by default.
        noise: Standard deviation of the latent noise, as a fraction of the square root of the
            latent dimension.
        seed: Turns the centroids, where there are any.

    Raises:
        ValueError: An argument is out of range.
    """
    checks.choice("kind", kind, tuple(KINDS))
    num_classes = checks.integer("num_classes", num_classes, 2)
    if network is not None:
        checks.instance("network", network, NetworkConfig)
    return KINDS[kind].for_classes(num_classes, network, noise=noise, seed=seed)


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
