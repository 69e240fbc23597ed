"""Classification-supervised autoencoders on predefined, evenly distributed class centroids.

One network encodes, classifies, reconstructs and generates images, because the latent classes sit
on fixed centroids. The modules are named as the chapters of the book that teach them.
"""

__version__ = "0.1.0"

from csae.centroids import pedcc, separation, simplex
from csae.data import Augmentation, ImageDataset, load_dataset
from csae.evaluation import evaluate, predict, reconstruct
from csae.losses import CSAELoss, JointLoss
from csae.networks import CSAE, Autoencoder, CSAEOutput, NetworkConfig
from csae.recipes import Recipe, recipe
from csae.records import load_checkpoint, save_checkpoint
from csae.runtime import describe, settle_threads, tier
from csae.training import TrainingConfig, train

__all__ = [
    "CSAE",
    "Augmentation",
    "Autoencoder",
    "CSAELoss",
    "CSAEOutput",
    "ImageDataset",
    "JointLoss",
    "NetworkConfig",
    "Recipe",
    "TrainingConfig",
    "describe",
    "evaluate",
    "load_checkpoint",
    "load_dataset",
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
