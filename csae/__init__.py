"""Classification-supervised autoencoders on predefined, evenly distributed class centroids.

One network encodes, classifies, reconstructs and generates images, because the latent classes sit
on fixed centroids. The modules are named as the chapters of the book that teach them.
"""

__version__ = "0.1.0"

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from csae.centroids import pedcc, separation, simplex
    from csae.data import Augmentation, ImageDataset, load_dataset
    from csae.evaluation import evaluate, predict, reconstruct
    from csae.losses import CSAELoss, JointLoss
    from csae.models import CSAE, Autoencoder, CSAEOutput
    from csae.networks import NetworkConfig
    from csae.recipes import Recipe, recipe
    from csae.runtime import describe, settle_threads, tier
    from csae.training import Machine, TrainingConfig, train
    from csae.weights import load_checkpoint, load_pretrained, save_checkpoint

__all__ = [
    "CSAE",
    "Augmentation",
    "Autoencoder",
    "CSAELoss",
    "CSAEOutput",
    "ImageDataset",
    "JointLoss",
    "Machine",
    "NetworkConfig",
    "Recipe",
    "TrainingConfig",
    "describe",
    "evaluate",
    "load_checkpoint",
    "load_dataset",
    "load_pretrained",
    "pedcc",
    "predict",
    "recipe",
    "reconstruct",
    "save_checkpoint",
    "separation",
    "settle_threads",
    "simplex",
    "tier",
    "train",
]

# Loaded when first used, as PEP 562 has it: the command line must answer Ctrl-C, and `--version`,
# before PyTorch is there.
_HOMES = {
    "centroids": ("pedcc", "separation", "simplex"),
    "data": ("Augmentation", "ImageDataset", "load_dataset"),
    "evaluation": ("evaluate", "predict", "reconstruct"),
    "losses": ("CSAELoss", "JointLoss"),
    "models": ("CSAE", "Autoencoder", "CSAEOutput"),
    "networks": ("NetworkConfig",),
    "recipes": ("Recipe", "recipe"),
    "runtime": ("describe", "settle_threads", "tier"),
    "training": ("Machine", "TrainingConfig", "train"),
    "weights": ("load_checkpoint", "load_pretrained", "save_checkpoint"),
}


def __getattr__(name: str) -> Any:
    """Load a name of the package, or one of its modules."""
    for module, names in _HOMES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(f"csae.{module}"), name)
            return value
    missing = f"module 'csae' has no attribute {name!r}"
    if name.startswith("_"):
        raise AttributeError(missing)
    try:
        return import_module(f"csae.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"csae.{name}":  # a module that is here needs one that is not
            raise
        raise AttributeError(missing) from None


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_HOMES})
