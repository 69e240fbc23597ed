"""How well a model classifies, reconstructs and generates images it was not trained on."""

from csae.evaluation.batchwise import decode_latents
from csae.evaluation.bounds import class_bounds, image_bounds
from csae.evaluation.calibration import (
    calibration_error,
    calibration_measures,
    class_probabilities,
    fitted_temperature,
)
from csae.evaluation.classes import (
    ClassDistances,
    NeuralCollapse,
    class_distances,
    confusion_matrix,
    neural_collapse,
    silhouette,
)
from csae.evaluation.codes import (
    class_measures,
    compactness_measures,
    noise_measures,
    variational_measures,
)
from csae.evaluation.fidelity import (
    band_errors,
    fidelity_measures,
    gradient_energy_kept,
    psnr,
    ssim,
)
from csae.evaluation.prediction import (
    Predictions,
    Reconstructions,
    classify,
    encode,
    evaluate,
    predict,
    reconstruct,
)
from csae.evaluation.probe import probe_accuracy
from csae.evaluation.robustness import perturbation_measures, spread_of
from csae.evaluation.samples import (
    ManifoldScores,
    Nearest,
    frechet_distance,
    memorisation_ratio,
    nearest_images,
    precision_recall,
)
from csae.evaluation.statistics import (
    PairedDifference,
    accuracy_interval,
    mean_interval,
    paired_difference,
    smallest_effect,
    standard_error,
)
from csae.evaluation.trained import Measure, Trained

__all__ = [
    "ClassDistances",
    "ManifoldScores",
    "Measure",
    "Nearest",
    "NeuralCollapse",
    "PairedDifference",
    "Predictions",
    "Reconstructions",
    "Trained",
    "accuracy_interval",
    "band_errors",
    "calibration_error",
    "calibration_measures",
    "class_bounds",
    "class_distances",
    "class_measures",
    "class_probabilities",
    "classify",
    "compactness_measures",
    "confusion_matrix",
    "decode_latents",
    "encode",
    "evaluate",
    "fidelity_measures",
    "fitted_temperature",
    "frechet_distance",
    "gradient_energy_kept",
    "image_bounds",
    "mean_interval",
    "memorisation_ratio",
    "nearest_images",
    "neural_collapse",
    "noise_measures",
    "paired_difference",
    "perturbation_measures",
    "precision_recall",
    "predict",
    "probe_accuracy",
    "psnr",
    "reconstruct",
    "silhouette",
    "smallest_effect",
    "spread_of",
    "ssim",
    "standard_error",
    "variational_measures",
]
