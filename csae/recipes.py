"""Recipes: everything that decides what is trained and how, with a few by name.

Taught in the chapter on full training.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from csae import checks
from csae.data import DATASETS, SAMPLES, Augmentation
from csae.kinds import KINDS, build
from csae.losses import (
    SPACES,
    CentroidCrossEntropy,
    CentroidDistance,
    CodeNorm,
    DecoderNorm,
    ImageError,
    JointLoss,
    KLDivergence,
    NegativeLogLikelihood,
)
from csae.models import ARRANGEMENTS, LIKELIHOODS, Autoencoder
from csae.networks import NetworkConfig
from csae.training import TrainingConfig
from csae.wavelets import SobelLoss, WaveletLoss

TERMS = (
    *("classification", "centroid", "reconstruction", "wavelet", "sobel"),
    *("kl", "likelihood", "code_norm", "decoder_norm"),
)


def _later(value: Any) -> Any:
    """Return a field that recipes in older records do not have; they mean its default."""
    return field(default=value, metadata={"absent": value})


@dataclass(frozen=True)
class Recipe:
    """What is trained, what it minimises, and how: all that decides the result.

    Weights of 0 leave a term out. Images are in [-1, 1]: their squared error is four times that
    of pixels in [0, 1].

    Attributes:
        kind: Kind of model, one of ``csae.kinds.KINDS``. `csae.kinds.defaults` says which other
            values it needs; the command line takes these.
        network: Sizes of encoder and decoder.
        noise: Standard deviation of the latent noise, as a fraction of the square root of the
            latent dimension, which is the norm of the centroids. 0 for a kind that draws its codes.
        arrangement: Of the centroids: ``"pedcc"``, as far apart as can be, or ``"random"``
            directions.
        classification_weight: Weight of the cross-entropy of the classes.
        smoothing: Its label smoothing, between 0 and 1, both excluded.
        centroid_weight: Weight of the squared distance of a code to its centroid.
        centroid_space: Where that distance is measured: ``"all"`` dimensions or the ``"class"``
            subspace.
        reconstruction_weight: Weight of the mean squared error of the images.
        wavelet_weight: Weight of the squared error of the Haar details on three levels.
        sobel_weight: Weight of the squared error of the Sobel gradients.
        kl_weight: Weight of the divergence of the codes' Gaussians from the standard normal, in
            nats.
        likelihood_weight: Weight of minus the log-likelihood of the images, in nats.
        likelihood: Of a VAE's pixels in [0, 1]: ``"bernoulli"``, ``"gaussian"`` of one fixed
            variance, or ``"gaussian-optimal"``, whose variance is the mean squared error.
        likelihood_std: Standard deviation of a pixel in [0, 1] under ``"gaussian"``.
        code_norm_weight: Weight of the mean square of the codes' entries.
        decoder_norm_weight: Weight of the sum of the squares of the decoder's parameters.
        training: Optimiser, schedule, augmentation and seed.

    Raises:
        ValueError: A value is out of range, or a weight is positive whose term the kind of model
            has nothing for.
    """

    kind: str = "csae"
    network: NetworkConfig = field(default_factory=NetworkConfig)
    noise: float = 0.04
    arrangement: str = _later("pedcc")
    classification_weight: float = 1.0
    smoothing: float = 0.1
    centroid_weight: float = 0.0
    centroid_space: str = "all"
    reconstruction_weight: float = 10.0
    wavelet_weight: float = 0.0
    sobel_weight: float = 0.0
    kl_weight: float = _later(0.0)
    likelihood_weight: float = _later(0.0)
    likelihood: str = _later("bernoulli")
    likelihood_std: float = _later(0.1)
    code_norm_weight: float = _later(0.0)
    decoder_norm_weight: float = _later(0.0)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        checks.choice("kind", self.kind, tuple(KINDS))
        checks.instance("network", self.network, NetworkConfig)
        checks.choice("arrangement", self.arrangement, ARRANGEMENTS)
        checks.choice("centroid_space", self.centroid_space, SPACES)
        checks.choice("likelihood", self.likelihood, LIKELIHOODS)
        checks.instance("training", self.training, TrainingConfig)
        checked = {
            "noise": checks.number("noise", self.noise, least=0),
            "smoothing": checks.number("smoothing", self.smoothing, above=0, below=1),
            "likelihood_std": checks.number(
                "likelihood_std", self.likelihood_std, least=1e-4, most=1e4
            ),
        }
        if checked["noise"] and not KINDS[self.kind].takes_noise:
            raise ValueError(
                f"noise must be 0 for the kind {self.kind!r}, which draws its codes, got "
                f"{checked['noise']:g}; {_hint(self.kind)}"
            )
        for term in TERMS:
            name = f"{term}_weight"
            checked[name] = checks.number(name, getattr(self, name), least=0)
            if checked[name] and term not in KINDS[self.kind].terms:
                raise ValueError(
                    f"{name} must be 0 for the kind {self.kind!r}, which has nothing for that "
                    f"term, got {checked[name]:g}; {_hint(self.kind)}"
                )
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def change(self, **values: Any) -> Recipe:
        """Return the recipe with some values changed, wherever in it they stand.

        Args:
            **values: New values by the names of the fields of `Recipe`, `NetworkConfig`,
                `TrainingConfig` and `Augmentation`: ``latent_dim=10, epochs=3, flip=True``.

        Raises:
            ValueError: There is no such field, or a value is out of range.

        Example:
            >>> Recipe().change(noise=0.0, epochs=3).training.epochs
            3
        """
        changed: Recipe
        changed, left = _changed(self, values)
        if left:
            raise ValueError(
                f"{', '.join(sorted(left))} must be among the fields of a recipe, its network, its "
                "training and its augmentation, got a name that is none"
            )
        return changed

    def build(self, num_classes: int) -> tuple[Autoencoder, JointLoss]:
        """Make the model and the loss; the network's first weights come from PyTorch's generator.

        Centroids are those of `csae.pedcc`, a simplex where the latent dimension is large enough
        for one, turned as ``training.seed`` says; or random directions, if ``arrangement`` says so.

        Raises:
            ValueError: ``num_classes`` is out of range, or all weights are 0.
        """
        model = build(
            self.kind,
            num_classes,
            self.network,
            noise=self.noise,
            seed=self.training.seed,
            **{name: getattr(self, name) for name in KINDS[self.kind].options},
        )
        weights = {term: getattr(self, f"{term}_weight") for term in TERMS}
        terms = {
            term: (weight, self._term(term, model)) for term, weight in weights.items() if weight
        }
        return model, JointLoss(**terms)

    def _term(self, name: str, model: Autoencoder) -> nn.Module:
        if name == "classification":
            return CentroidCrossEntropy(self.smoothing)
        if name == "centroid":
            return CentroidDistance(model.get_buffer("centroids"), self.centroid_space)
        if name in _PLAIN_TERMS:
            return _PLAIN_TERMS[name]()
        error = {"reconstruction": None, "wavelet": WaveletLoss(), "sobel": SobelLoss()}[name]
        return ImageError(error)


_PLAIN_TERMS: dict[str, type[nn.Module]] = {
    "kl": KLDivergence,
    "likelihood": NegativeLogLikelihood,
    "code_norm": CodeNorm,
    "decoder_norm": DecoderNorm,
}


def _hint(kind: str) -> str:
    return f"csae.kinds.defaults({kind!r}) returns what this kind needs"


def _changed(part: Any, values: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Change the fields of a dataclass and of those inside it; return what found no field, too."""
    left, changes = dict(values), {}
    for entry in dataclasses.fields(part):
        value = getattr(part, entry.name)
        if entry.name in left:
            changes[entry.name] = value = left.pop(entry.name)
        if dataclasses.is_dataclass(value):
            changes[entry.name], left = _changed(value, left)
    return dataclasses.replace(part, **changes), left


# Small batches and Muon: the experiments quick-mnist and quick-fashion-mnist compare them with
# large batches and with AdamW.
_QUICK = Recipe(training=TrainingConfig(epochs=1, batch_size=64, optimizer="muon"))

# The paper names its ingredients: cross-entropy, squared error, wavelet loss, noise, Adam and a
# schedule. The weights, the wavelet and the lengths are ours.
_PAPER = Recipe(
    reconstruction_weight=10.0,
    wavelet_weight=10.0,
    training=TrainingConfig(
        epochs=30,
        batch_size=256,
        learning_rate=1e-3,
        weight_decay=0.0,
        optimizer="adam",
        schedule="step",
    ),
)

# Classified by distance alone; no augmentation. The published edge term compares two numbers of a
# batch; here it compares pixels. Its filters are 8 times as large as ours: hence 64 times 0.02.
_PUBLISHED_CODE = Recipe(
    classification_weight=0.0,
    centroid_weight=1.0,
    reconstruction_weight=1.0,
    sobel_weight=64 * 0.02,
    training=TrainingConfig(
        epochs=120,
        batch_size=4096,
        learning_rate=0.1,
        weight_decay=5e-4,
        optimizer="sgd",
        schedule="step",
    ),
)

# Chosen on validation images: the experiments whose names begin with "best" are its search.
# Mirrored clothes are clothes, mirrored digits are not digits.
_BEST_CLOTHES = Recipe(
    training=TrainingConfig(
        epochs=40,
        batch_size=128,
        weight_decay=0.05,
        augmentation=Augmentation(flip=True, shift=1, erase=0.25),
    )
)
_BEST_HANDWRITING = Recipe(
    smoothing=0.01,
    reconstruction_weight=30.0,
    training=TrainingConfig(
        epochs=20,
        batch_size=128,
        weight_decay=0.05,
        augmentation=Augmentation(shift=2),
    ),
)

# `recipe` fits "quick" and "best" to a data set.
RECIPES = {
    "quick": _QUICK,
    "best": _BEST_CLOTHES,
    "paper": _PAPER,
    "published-code": _PUBLISHED_CODE,
}
ABOUT = {
    "quick": "a good model in about a minute of two processor cores",
    "best": "the strongest of our search so far; up to an hour of a processor, minutes of a GPU",
    "paper": "what the paper describes, with our choices where it is silent",
    "published-code": "the settings of the authors' published code, its defects repaired",
}


def recipe(name: str, dataset: str) -> Recipe:
    """Return a recipe, fitted to a data set where that makes a difference.

    Args:
        name: One of ``RECIPES``.
        dataset: A name of ``csae.data.DATASETS``, or one of the samples', ``"mnist-sample"`` or
            ``"fashion-mnist-sample"``.

    Raises:
        ValueError: There is no such recipe or data set.
    """
    samples = tuple(f"{sample}-sample" for sample in SAMPLES)
    checks.choice("name", name, tuple(RECIPES))
    checks.choice("dataset", dataset, (*DATASETS, *samples))
    clothes = dataset.startswith("fashion")
    if name == "best":
        return _BEST_CLOTHES if clothes else _BEST_HANDWRITING
    if name != "quick":
        return RECIPES[name]
    digits = dataset in ("mnist", "emnist-mnist", "emnist-digits")
    again = dataset in samples  # their images are seen again and again
    changes = dataclasses.replace(
        _QUICK.training,
        epochs=8 if again else 1,
        images_per_epoch=28_800 if digits else 48_000,
        augmentation=Augmentation(flip=again) if clothes else Augmentation(shift=1),
    )
    return dataclasses.replace(_QUICK, training=changes)
