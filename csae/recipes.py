"""Recipes: everything that decides how a CSAE is trained, by name.

Taught in the chapter on full training.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from csae import checks
from csae.centroids import pedcc
from csae.data import DATASETS, SAMPLES, Augmentation
from csae.losses import (
    SPACES,
    CentroidCrossEntropy,
    CentroidDistance,
    ImageError,
    JointLoss,
)
from csae.networks import CSAE
from csae.training import TrainingConfig
from csae.wavelets import SobelLoss, WaveletLoss


@dataclass(frozen=True)
class Recipe:
    """How to train a CSAE: what it minimises, and how.

    Weights of 0 leave a term out. Images are in [-1, 1]: their squared error is four times that
    of pixels in [0, 1].

    Attributes:
        latent_dim: Dimensions of a code, at least 1.
        noise: Standard deviation of the latent noise, as a fraction of the centroids' norm, which
            is the square root of ``latent_dim``.
        classification: Weight of the cross-entropy on centroid similarities.
        smoothing: Its label smoothing, between 0 and 1, both excluded.
        centroid: Weight of the squared distance of a code to its centroid.
        centroid_space: Where that distance is measured: ``"all"`` dimensions or the ``"class"``
            subspace.
        reconstruction: Weight of the mean squared error of the images.
        wavelet: Weight of the squared error of the Haar details on three levels.
        sobel: Weight of the squared error of the Sobel gradients.
        training: Optimiser, schedule, augmentation and machine.

    Raises:
        ValueError: A value is out of range.
    """

    latent_dim: int = 40
    noise: float = 0.04
    classification: float = 1.0
    smoothing: float = 0.1
    centroid: float = 0.0
    centroid_space: str = "all"
    reconstruction: float = 10.0
    wavelet: float = 0.0
    sobel: float = 0.0
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        checks.choice("centroid_space", self.centroid_space, SPACES)
        checks.instance("training", self.training, TrainingConfig)
        checked: dict[str, float] = {
            "latent_dim": checks.integer("latent_dim", self.latent_dim, 1),
            "noise": checks.number("noise", self.noise, least=0),
            "smoothing": checks.number("smoothing", self.smoothing, above=0, below=1),
        }
        for term in ("classification", "centroid", "reconstruction", "wavelet", "sobel"):
            checked[term] = checks.number(f"{term}_weight", getattr(self, term), least=0)
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def build(self, num_classes: int) -> tuple[CSAE, JointLoss]:
        """Make the model and the loss; the network's first weights come from PyTorch's generator.

        The centroids are those of `csae.pedcc`, a simplex where ``latent_dim`` is large enough for
        one, turned as ``training.seed`` says.

        Raises:
            ValueError: ``num_classes`` is out of range, or all weights are 0.
        """
        num_classes = checks.integer("num_classes", num_classes, 2)
        norm = math.sqrt(self.latent_dim)
        seed = self.training.seed
        centroids, _ = pedcc(num_classes, self.latent_dim, scale=norm, seed=seed)
        terms = {
            "classification": (self.classification, CentroidCrossEntropy(self.smoothing)),
            "centroid": (self.centroid, CentroidDistance(centroids, self.centroid_space)),
            "reconstruction": (self.reconstruction, ImageError()),
            "wavelet": (self.wavelet, ImageError(WaveletLoss())),
            "sobel": (self.sobel, ImageError(SobelLoss())),
        }
        loss = JointLoss(**{name: term for name, term in terms.items() if term[0] != 0})
        return CSAE(centroids, noise=self.noise), loss

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Recipe:
        """Return the recipe that `dataclasses.asdict` took apart.

        Raises:
            ValueError: ``values`` is something else.
        """
        try:
            training = dict(values["training"])
            training["augmentation"] = Augmentation(**training["augmentation"])
            return cls(**{**values, "training": TrainingConfig(**training)})
        except (KeyError, TypeError) as error:  # a field that is missing, or one too many
            raise ValueError(f"values must be those of a recipe: {error}") from error


# Small batches and Muon: the sweeps quick-mnist and quick-fashion-mnist compare them with large
# batches and with AdamW.
_QUICK = Recipe(training=TrainingConfig(epochs=1, batch_size=64, optimizer="muon"))

# The paper names its ingredients: cross-entropy, squared error, wavelet loss, noise, Adam and a
# schedule. The weights, the wavelet and the lengths are ours.
_PAPER = Recipe(
    reconstruction=10.0,
    wavelet=10.0,
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
    classification=0.0,
    centroid=1.0,
    reconstruction=1.0,
    sobel=64 * 0.02,
    training=TrainingConfig(
        epochs=120,
        batch_size=4096,
        learning_rate=0.1,
        weight_decay=5e-4,
        optimizer="sgd",
        schedule="step",
    ),
)

# Chosen on validation images: the sweeps whose names begin with "best" are its search.
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
    reconstruction=30.0,
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
