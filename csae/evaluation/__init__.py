"""How well a model classifies and reconstructs images it was not trained on."""

from csae.evaluation.bounds import class_bounds, image_bounds
from csae.evaluation.classes import (
    ClassDistances,
    NeuralCollapse,
    class_distances,
    confusion_matrix,
    neural_collapse,
    silhouette,
)
from csae.evaluation.codes import class_measures, noise_measures, variational_measures
from csae.evaluation.fidelity import psnr
from csae.evaluation.prediction import (
    Predictions,
    Reconstructions,
    classify,
    encode,
    evaluate,
    predict,
    reconstruct,
)
from csae.evaluation.statistics import accuracy_interval, mean_interval

__all__ = [
    "ClassDistances",
    "NeuralCollapse",
    "Predictions",
    "Reconstructions",
    "accuracy_interval",
    "class_bounds",
    "class_distances",
    "class_measures",
    "classify",
    "confusion_matrix",
    "encode",
    "evaluate",
    "image_bounds",
    "mean_interval",
    "neural_collapse",
    "noise_measures",
    "predict",
    "psnr",
    "reconstruct",
    "silhouette",
    "variational_measures",
]
