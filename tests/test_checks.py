"""Wrong values of every kind, put for every argument of the public functions."""

import functools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from csae import (
    baselines,
    centroids,
    checks,
    distributed,
    evaluation,
    generation,
    kinds,
    losses,
    measures,
    models,
    muon,
    networks,
    noise,
    recipes,
    records,
    runs,
    runtime,
    training,
    wavelets,
    weights,
)
from csae.data import load_dataset

# What stands for each kind of argument, and is none of it. A function takes the kinds it names.
NO_NUMBER = ["2", None, True, math.nan, 1j, [1], torch.ones(2), 10**400]
NO_COUNT = [*NO_NUMBER[:-1], 2.5, 3.0, -1, np.float64(3)]
NO_SEED = ["2", None, True, 0.5, -1, 2**63]
NO_FLAG = ["yes", None, 1, 0.0]
NO_CHOICE = ["nonsense", None, 1, ["haar"], torch.ones(2)]
NO_FUNCTION = ["f", 1]
NO_PATH = [None, 3, b"x", "", "a\0b"]
NO_OBJECT = ["x", None, 3, nn.ReLU]
NO_MACHINE = ["cpu", 3, training.Machine]  # None is the fastest one
CODES = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(12) % 3
RIGHT = LABELS > 0
NO_CODES = [None, "x", CODES.numpy(), CODES.tolist(), CODES.long(), CODES[0], CODES[..., None]]
NO_IMAGES = [None, "x", np.zeros((2, 1, 8, 8)), torch.zeros(2, 1, 8, 8).byte(), torch.zeros(8)]
NO_LABELS = [
    None,
    LABELS.tolist(),
    LABELS.numpy(),
    LABELS.int(),
    LABELS.float(),
    LABELS == 1,
    LABELS[:1],
    LABELS[:, None],
    LABELS - 1,
    LABELS.where(LABELS > 0, -100),
]
OUT_OF_RANGE = [*NO_LABELS, LABELS + 1]

CENTROIDS = centroids.simplex(3, 4, scale=2.0).float()
CONFIG = networks.NetworkConfig(latent_dim=4, widths=(8, 8), image_size=28)
IMAGES = torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(1))
PICTURES = torch.rand(12, 1, 28, 28, generator=torch.Generator().manual_seed(1))


@functools.cache
def model(num_classes=3):
    torch.manual_seed(0)
    points = centroids.polygon(num_classes, scale=2.0) if num_classes > 3 else CENTROIDS
    config = networks.NetworkConfig(latent_dim=points.shape[1], widths=(8, 8), image_size=28)
    return models.CSAE(points, config=config).eval()


@functools.cache
def sample():
    return load_dataset("mnist", "test", sample=True)


def output():
    similarities = CODES @ CENTROIDS.T
    return models.CSAEOutput(IMAGES, similarities, CODES)


def decode(codes):
    return codes.repeat(1, 2)


def plan(**changes):
    return training.TrainingConfig(**{"epochs": 1, "batch_size": 32} | changes)


CPU = training.Machine(accelerator="cpu", precision="fp32")
SMALL = recipes.Recipe().change(
    epochs=1, images_per_epoch=64, batch_size=32, widths=(8, 8), image_size=28
)
SETTINGS = runs.settle(SMALL, "mnist-sample", CPU)


@functools.cache
def record():
    """The record of the pretrained model."""
    return records.load_runs("first-models", "fashion-mnist")[0]


def term(loss):
    """A loss of a model's output as a function with names for its arguments."""

    def call(
        latents=CODES, similarities=None, reconstructions=IMAGES, images=IMAGES, labels=LABELS
    ):
        if similarities is None:
            similarities = CODES @ CENTROIDS.T
        return loss(models.CSAEOutput(reconstructions, similarities, latents), images, labels)

    return call


def attribute(value, name):
    """A method that needs no arguments which are right for all tests, so it is made anew."""
    return lambda *args, **kwargs: getattr(value(), name)(*args, **kwargs)


def train(**changes):
    usual = {
        "model": model(10),
        "criterion": losses.CSAELoss(),
        "dataset": sample(),
        "config": plan(),
        "machine": CPU,
        "progress": False,
    }
    return training.train(**usual | changes)


# For each function: what is right, and for each argument what is wrong.
CASES = [
    (evaluation.psnr, {"images": IMAGES, "reconstructions": IMAGES}, {
        "images": [None, IMAGES.numpy(), IMAGES.byte(), IMAGES[:1], IMAGES[:, 0], IMAGES * 255,
                   IMAGES - 1, IMAGES * math.nan, IMAGES[:0]],
        "reconstructions": [None, IMAGES.numpy(), IMAGES.byte(), IMAGES[:1], IMAGES[:, 0]],
    }),
    (evaluation.confusion_matrix, {"labels": LABELS, "predicted": LABELS, "num_classes": 3}, {
        "labels": [*OUT_OF_RANGE[:6], *OUT_OF_RANGE[7:]], "predicted": OUT_OF_RANGE,
        "num_classes": [*NO_COUNT, 0],
    }),
    (evaluation.accuracy_interval, {"accuracy": 0.5, "count": 10}, {
        "accuracy": [*NO_NUMBER, -0.1, 1.1], "count": [*NO_COUNT, 0],
    }),
    (evaluation.standard_error, {"accuracy": 0.5, "count": 10}, {
        "accuracy": [*NO_NUMBER, -0.1, 1.1], "count": [*NO_COUNT, 0],
    }),
    (evaluation.paired_difference, {"new": RIGHT, "old": ~RIGHT}, {
        "new": [*NO_OBJECT, LABELS, RIGHT[:1], RIGHT[None]],
        "old": [*NO_OBJECT, LABELS, RIGHT[:-1], RIGHT[None]],
    }),
    (evaluation.smallest_effect, {"seed_deviation": 0.1, "seeds": 3}, {
        "seed_deviation": [*NO_NUMBER, -0.1], "seeds": [*NO_COUNT, 1],
        "power": [*NO_NUMBER, 0.5, 1.0],
    }),
    (evaluation.mean_interval, {"values": [1.0, 2.0]}, {
        "values": ["12", None, 3, {1.0, 2.0}, [1.0], [1.0, "2"], [1.0, math.nan], [[1.0], [2.0]],
                   torch.ones(2, 2)],
    }),
    *[(measure, {"latents": CODES, "labels": LABELS}, {
        "latents": [*NO_CODES, CODES * math.inf, CODES[:0]], "labels": NO_LABELS,
    }) for measure in (evaluation.class_distances, evaluation.silhouette)],
    (evaluation.neural_collapse, {"latents": CODES, "labels": LABELS, "weights": CENTROIDS}, {
        "latents": NO_CODES, "labels": NO_LABELS,
        "weights": [*NO_CODES, CENTROIDS[:2], CENTROIDS * math.nan],
        "bias": ["x", np.zeros(3), torch.zeros(2), torch.zeros(3, 1), torch.zeros(3).long()],
    }),
    *[(call, {"model": model(10), "dataset": sample()}, {
        "model": [*NO_OBJECT, nn.ReLU()], "dataset": [*NO_OBJECT, IMAGES],
    }) for call in (evaluation.evaluate, evaluation.predict, evaluation.reconstruct)],
    (evaluation.reconstruct, {"model": model(10), "dataset": sample()}, {
        "batch_size": [*NO_COUNT, 0],
    }),
    *[(measure, {"images": PICTURES, "reconstructions": PICTURES}, {
        "images": [*NO_IMAGES, PICTURES[:1], PICTURES * 255, PICTURES * math.nan],
        "reconstructions": [*NO_IMAGES, PICTURES[:1]],
    }) for measure in (evaluation.ssim, evaluation.gradient_energy_kept, evaluation.band_errors,
                       evaluation.fidelity_measures)],
    (evaluation.band_errors, {"images": PICTURES, "reconstructions": PICTURES}, {
        "levels": [*NO_COUNT, 0],
    }),
    (evaluation.class_probabilities, {"similarities": CODES, "scale": 2.0}, {
        "similarities": [*NO_CODES, CODES * math.nan], "scale": [*NO_NUMBER, 0],
    }),
    (evaluation.calibration_error, {"probabilities": CODES.softmax(1), "labels": LABELS}, {
        "probabilities": [*NO_CODES, CODES, CODES * math.nan, CODES[:, :1] * 0 + 1],
        "labels": [*NO_LABELS, LABELS + 2], "bins": [*NO_COUNT, 0],
    }),
    (evaluation.fitted_temperature, {"logits": CODES, "labels": LABELS}, {
        "logits": [*NO_CODES, CODES * math.nan], "labels": [*NO_LABELS, LABELS + 2],
    }),
    (evaluation.probe_accuracy, {
        "latents": CODES, "labels": LABELS, "other_latents": CODES, "other_labels": LABELS,
    }, {
        "latents": [*NO_CODES, CODES * math.nan], "labels": [*NO_LABELS, LABELS * 0],
        "other_latents": [*NO_CODES, CODES[:, :2]], "other_labels": NO_LABELS[:8],
    }),
    (evaluation.frechet_distance, {"first": CODES, "second": CODES}, {
        name: [*NO_CODES, CODES[:1], CODES * math.nan] for name in ("first", "second")
    }),
    (evaluation.precision_recall, {"real": CODES, "generated": CODES}, {
        "real": [*NO_CODES, CODES[:3]], "generated": [*NO_CODES, CODES[:3], CODES[:, :2]],
        "neighbours": [*NO_COUNT, 0],
    }),
    (evaluation.nearest_images, {"images": PICTURES, "training": PICTURES}, {
        "images": NO_IMAGES, "training": [*NO_IMAGES[:3], PICTURES[:, 0], PICTURES.int()],
    }),
    (evaluation.memorisation_ratio, {
        "samples": PICTURES, "held_out": PICTURES, "training": 1 - PICTURES,
    }, {
        "samples": NO_IMAGES, "held_out": [*NO_IMAGES, 1 - PICTURES],
        "training": [*NO_IMAGES[:3], PICTURES[:, 0], PICTURES.int()],
    }),
    (evaluation.spread_of, {}, {"latents": [*NO_CODES, CODES * math.nan]}),
    (evaluation.decode_latents, {"model": model(), "latents": CODES}, {
        "model": [*NO_OBJECT, nn.ReLU()], "latents": [*NO_CODES, CODES[:, :2]],
    }),
    (evaluation.perturbation_measures, {
        "model": model(10), "dataset": sample().first(20), "latent_stds": (), "pixel_stds": (),
    }, {
        "model": [*NO_OBJECT, nn.ReLU()], "dataset": [*NO_OBJECT, IMAGES],
        "latent_stds": ["12", None, 1.0, (-1.0,), ("1",)], "relative": NO_FLAG, "seed": NO_SEED,
        "pixel_stds": ["12", None, 1.0, (-1.0,), ("1",)],
    }),
    (evaluation.Trained, {"model": model(10), "parts": {"train": sample(), "test": sample()}}, {
        "model": [*NO_OBJECT, nn.ReLU()], "similarity_scale": [*NO_NUMBER, 0],
        "parts": ["x", None, sample(), {"train": sample()}, {"test": sample()},
                  {"train": IMAGES, "test": sample()}],
    }),
    (measures.result_measures, {}, {"judge": NO_FUNCTION}),
    (measures.pretrained_judge, {}, {"dataset": [None, 1, "nonsense"]}),
    (centroids.nearest_centroid, {"latents": CODES, "centroids": CENTROIDS}, {
        "latents": [*NO_CODES, CODES[:, :3], CODES.double()], "centroids": NO_CODES,
    }),
    *[(call, {"model": model(10), "dataset": sample()}, {
        "model": [*NO_OBJECT, nn.ReLU()], "dataset": [*NO_OBJECT, IMAGES],
        "batch_size": [*NO_COUNT, 0],
    }) for call in (evaluation.encode, evaluation.classify)],
    (evaluation.image_bounds, {"model": models.VAE(CONFIG), "dataset": sample().first(9)}, {
        "model": [*NO_OBJECT, nn.ReLU(), model()], "dataset": [*NO_OBJECT, IMAGES],
        "samples": [*NO_COUNT, 0], "seed": NO_SEED, "batch_size": [*NO_COUNT, 0],
    }),
    (evaluation.class_bounds, {
        "model": models.ConditionalVAE(3, CONFIG), "dataset": sample().first(9),
    }, {
        "model": [*NO_OBJECT, nn.ReLU(), model(), models.VAE(CONFIG)],
        "dataset": [*NO_OBJECT, IMAGES], "seed": NO_SEED, "batch_size": [*NO_COUNT, 0],
    }),
    (models.active_dimensions, {}, {"latents": [*NO_CODES, CODES[:1], CODES * math.nan]}),
    (models.gaussian_divergence, {"means": CODES, "log_variances": CODES}, {
        "means": [*NO_CODES, CODES[:1]], "log_variances": [*NO_CODES, CODES[:1]],
    }),
    (models.log_likelihood, {"decoded": IMAGES, "images": IMAGES, "likelihood": "gaussian"}, {
        "decoded": [*NO_IMAGES, IMAGES[:1], IMAGES[:, 0]], "likelihood": NO_CHOICE,
        "images": [*NO_IMAGES, IMAGES[:1], IMAGES[:, 0]],
        "variance": [*NO_NUMBER, 0, -1],
    }),
    (losses.CentroidCrossEntropy, {}, {"smoothing": [*NO_NUMBER, 0, 1, -0.5]}),
    (attribute(losses.CentroidCrossEntropy, "scale"), {}, {"num_classes": [*NO_COUNT, 1]}),
    (losses.CentroidDistance, {"centroids": CENTROIDS}, {
        "centroids": [*NO_CODES, CENTROIDS * math.nan, CENTROIDS * 0], "space": NO_CHOICE,
    }),
    (losses.ImageError, {}, {"loss": ["x", 1, nn.MSELoss]}),
    (losses.CSAELoss, {}, {
        "classification_weight": [*NO_NUMBER, -1], "reconstruction_weight": [*NO_NUMBER, -1],
        "smoothing": [*NO_NUMBER, 0, 1], "extra": [1.0, None, (1.0,), ("1", nn.ReLU()), (1.0, "x")],
    }),
    (losses.JointLoss, {"a": (1.0, losses.ImageError())}, {
        "a": [1.0, nn.MSELoss(), (math.nan, nn.MSELoss()), (-1, nn.MSELoss()), (1, abs)],
        "loss": [(1.0, losses.ImageError())],
    }),
    (term(losses.CSAELoss()), {}, {
        "labels": OUT_OF_RANGE, "similarities": [CODES.numpy(), CODES.long(), CODES[0]],
        "reconstructions": [IMAGES[:1], IMAGES[:, 0], IMAGES.numpy(), IMAGES.byte()],
        "images": [IMAGES[:1], IMAGES[:, 0], IMAGES.numpy(), IMAGES.byte(), None],
    }),
    *[(term(losses.CentroidDistance(CENTROIDS, space)), {}, {
        "labels": OUT_OF_RANGE, "latents": [*NO_CODES, CODES[:, :3]],
    }) for space in losses.SPACES],
    (networks.NetworkConfig, {}, {
        "architecture": NO_CHOICE, "latent_dim": [*NO_COUNT, 0], "image_size": [*NO_COUNT, 0],
        "channels": [*NO_COUNT, 0],
        "widths": ["44", None, 4, (4, "8"), (4, 8.0), (4, 0), {4, 8}, (4, True)],
    }),
    (networks.NetworkConfig.fully_connected, {}, {"latent_dim": [*NO_COUNT, 0]}),
    (models.Autoencoder, {}, {"config": NO_OBJECT[:1], "noise": [*NO_NUMBER, -1]}),
    (models.CSAE, {"centroids": CENTROIDS}, {
        "centroids": [*NO_CODES, CENTROIDS[:1], CENTROIDS * 0, CENTROIDS * math.nan,
                      CENTROIDS * 1e-30, CENTROIDS * 1e30, torch.ones(3, 4),
                      CENTROIDS * torch.arange(1, 4)[:, None]],
        "noise": [*NO_NUMBER, -1, math.inf], "config": ["x", 4],
    }),
    (models.CSAE.for_classes, {"num_classes": 3}, {"arrangement": NO_CHOICE}),
    (models.VAE, {}, {
        "config": ["x", 4], "likelihood": NO_CHOICE, "likelihood_std": [*NO_NUMBER, 0, -1],
    }),
    (models.ConditionalVAE, {"num_classes": 3}, {
        "num_classes": [*NO_COUNT, 1], "config": ["x", 4], "likelihood": NO_CHOICE,
        "likelihood_std": [*NO_NUMBER, 0, -1],
    }),
    (baselines.SupervisedAutoencoder, {"num_classes": 3}, {
        "num_classes": [*NO_COUNT, 1], "noise": [*NO_NUMBER, -1], "config": ["x", 4],
    }),
    *[(attribute(model, name), {}, {"images": [
        *NO_IMAGES, torch.zeros(2, 28, 28), torch.zeros(2, 1, 32, 32),
        torch.zeros(2, 1, 28, 28).double(), torch.zeros(2, 1, 28, 28).half(),
    ]}) for name in ("forward", "encode", "classify")],
    (attribute(model, "decode"), {}, {
        "latents": [*NO_CODES, CODES[:, :3], CODES.double(), CODES.half()],
    }),
    *[(attribute(build, "similarities"), {}, {
        "latents": [*NO_CODES[:5], CODES[:, :3], CODES.double(), CODES.half(), CODES[0, 0]],
    }) for build in (model, functools.partial(baselines.SupervisedAutoencoder, 3, CONFIG))],
    (models.pca_autoencoder, {"images": IMAGES, "latent_dim": 2}, {
        "images": [*NO_IMAGES, IMAGES[:0], IMAGES[:, 0], IMAGES[..., 1:], IMAGES * math.nan],
        "latent_dim": [*NO_COUNT, 0, 65],
    }),
    (networks.layer_table, {}, {"model": [*NO_OBJECT, nn.ReLU()]}),
    *[(build, {}, {"config": NO_OBJECT}) for build in (networks.encoder, networks.decoder)],
    (noise.GaussianNoise, {}, {"std": [*NO_NUMBER, -1, math.inf]}),
    (attribute(lambda: noise.GaussianNoise(1.0), "forward"), {}, {
        "latents": [None, "x", CODES.numpy(), CODES.long()],
    }),
    (noise.NoiseSchedule, {"noise": noise.GaussianNoise(1.0), "start": 0.0, "end": 1.0}, {
        "noise": NO_OBJECT, "start": [*NO_NUMBER, -1], "end": [*NO_NUMBER, -1], "shape": NO_CHOICE,
    }),
    (attribute(lambda: noise.NoiseSchedule(noise.GaussianNoise(1.0), 0, 1), "std"), {}, {
        "progress": [*NO_NUMBER, -0.1, 1.1],
    }),
    (noise.closest_distance, {}, {"centroids": [*NO_CODES, CODES[:1], CODES * math.nan]}),
    (noise.crossing_probability, {"std": 1.0, "distance": 1.0}, {
        "std": [*NO_NUMBER, -1], "distance": [*NO_NUMBER, 0], "num_classes": [*NO_COUNT, 1],
    }),
    (noise.crossing_std, {"probability": 0.1, "distance": 1.0}, {
        "probability": [*NO_NUMBER, 0, 0.5], "distance": [*NO_NUMBER, 0],
    }),
    (noise.squared_jacobian_norm, {"decode": decode, "latents": CODES}, {
        "decode": [*NO_FUNCTION, None, lambda z: 1, lambda z: z.sum(), lambda z: z.long()],
        "latents": [*NO_CODES, CODES[:0]], "probes": ["2", True, 2.5, 0], "seed": NO_SEED,
    }),
    (noise.noise_increase, {
        "decode": decode, "latents": CODES, "images": decode(CODES), "std": 1.0,
    }, {
        "decode": [*NO_FUNCTION, None, lambda z: 1, lambda z: z[:1]], "latents": NO_CODES,
        "images": [*NO_CODES, CODES, CODES[:3]], "std": [*NO_NUMBER, 0, -1],
        "draws": [*NO_COUNT, 0], "seed": NO_SEED,
    }),
    (noise.doubt_penalty, {"probabilities": torch.full((2, 4), 0.25), "logit_std": 1.0}, {
        "probabilities": [*NO_CODES, torch.ones(2, 4), torch.tensor([[2.0, -1.0]])],
        "logit_std": [*NO_NUMBER, -1],
    }),
    (noise.path_steps, {"decode": decode, "start": CODES, "end": CODES}, {
        "decode": [*NO_FUNCTION, None], "start": NO_CODES,
        "end": [*NO_CODES, CODES[:1], CODES.double()], "steps": [*NO_COUNT, 0],
    }),
    *[(call, {"x": IMAGES, "wavelet": "haar"}, {
        "x": NO_IMAGES, "wavelet": NO_CHOICE, "mode": NO_CHOICE,
    }) for call in (wavelets.dwt2, wavelets.wavedec2)],
    (wavelets.wavedec2, {"x": IMAGES, "wavelet": "haar"}, {"level": ["2", True, 1.5, -1]}),
    (wavelets.idwt2, {"coefficients": (IMAGES, (IMAGES,) * 3), "wavelet": "haar"}, {
        "wavelet": NO_CHOICE, "mode": NO_CHOICE,
        "coefficients": [None, "x", 3, IMAGES, (IMAGES,), (IMAGES,) * 2, (IMAGES, (IMAGES, 1, 2)),
                         (IMAGES, (IMAGES, IMAGES, IMAGES[:1])), (IMAGES, (IMAGES.double(),) * 3)],
    }),
    (wavelets.waverec2, {"coefficients": [IMAGES, (IMAGES,) * 3], "wavelet": "haar"}, {
        "wavelet": NO_CHOICE, "mode": NO_CHOICE,
        "coefficients": [None, "x", 3, [], [None], [IMAGES, IMAGES], [IMAGES, (IMAGES, IMAGES)],
                         [IMAGES, (1, 2, 3)], [torch.ones(3)], [IMAGES, (IMAGES[:1],) * 3]],
    }),
    (wavelets.WaveletLoss, {}, {
        "wavelet": NO_CHOICE, "levels": [*NO_COUNT, 0], "norm": NO_CHOICE, "mode": NO_CHOICE,
        "bands": ["nonsense", None, 1, (1, 1), (1, 1, 1, "1"), (1, 1, 1, math.nan), (0, 0, 0, 0)],
    }),
    *[(loss, {"reconstructions": IMAGES, "images": IMAGES}, {
        "reconstructions": [*NO_IMAGES, IMAGES[:1], IMAGES[:, 0]],
        "images": [*NO_IMAGES, IMAGES[:1], IMAGES[:, 0]],
    }) for loss in (wavelets.WaveletLoss(), wavelets.SobelLoss())],
    (wavelets.SobelLoss().gradients, {}, {"images": [*NO_IMAGES, IMAGES[..., :2]]}),
    (wavelets.band_energies, {"images": IMAGES}, {
        "images": NO_IMAGES, "wavelet": NO_CHOICE, "levels": [*NO_COUNT, 0], "mode": NO_CHOICE,
    }),
    *[(measure, {}, {"images": NO_IMAGES})
      for measure in (wavelets.gradient_energy, wavelets.radial_spectrum)],
    (muon.orthogonalise, {}, {"matrix": [*NO_CODES, CODES[:0]]}),
    (muon.Muon, {"model": nn.Linear(2, 2)}, {
        "model": NO_OBJECT, "lr": [*NO_NUMBER, -1], "weight_decay": [*NO_NUMBER, -1],
        "betas": ["ab", None, 0.9, (0.9,), (0.9, "1"), (0.9, 1.0)], "fused": ["yes", 1],
    }),
    (distributed.own_rows, {"draw": torch.rand, "count": 2}, {
        "draw": [*NO_FUNCTION, None], "count": NO_COUNT,
    }),
    (distributed.share_batch_norm, {}, {"model": NO_OBJECT}),
    (distributed.mean_over_processes, {}, {"value": ["x", None, 1.0, CODES.long()]}),
    (noise.standard_normal, {}, {"like": ["x", None, CODES.numpy(), CODES.long()]}),
    (distributed.all_reduce_bytes, {"values": 10, "processes": 2}, {
        "values": NO_COUNT, "processes": [*NO_COUNT, 0], "width": [*NO_COUNT, 0],
    }),
    (distributed.sharing_speedup, {
        "seconds": 1.0, "processes": 2, "values": 10, "bandwidth": 1e9,
    }, {
        "seconds": [*NO_NUMBER, 0, math.inf], "processes": [*NO_COUNT, 0], "values": NO_COUNT,
        "bandwidth": [*NO_NUMBER, 0], "latency": [*NO_NUMBER, -1], "collectives": NO_COUNT,
    }),
    (generation.sample_latents, {"latents": CODES, "labels": LABELS, "per_class": 2}, {
        "latents": [*NO_CODES, CODES[:0], CODES * math.nan], "labels": [*NO_LABELS, LABELS * 100],
        "per_class": [*NO_COUNT, 0], "seed": NO_SEED,
    }),
    *[(sampler.fit, {"latents": CODES, "labels": LABELS}, {
        "latents": [*NO_CODES, CODES[:0], CODES * math.nan],
        "labels": [*NO_LABELS[1:], LABELS * 100],
    }) for sampler in (generation.GaussianSampler(), generation.MixtureSampler(2))],
    (generation.PriorSampler().fit(CODES).sample, {"count": 2}, {
        "count": [*NO_COUNT, 0], "seed": NO_SEED,
    }),
    (generation.MixtureSampler, {}, {
        "components": [*NO_COUNT, 0], "regularisation": [*NO_NUMBER, -1],
        "seed": [*NO_SEED, 2**32],
    }),
    (runtime.resolve_device, {}, {"accelerator": [*NO_CHOICE, "cuda:0", "CPU"]}),
    (runtime.resolve_precision, {"precision": "auto", "device": torch.device("cpu")}, {
        "precision": [*NO_CHOICE, "fp16"], "device": ["cpu", None, 0],
    }),
    (runtime.attainable, {"intensity": 1.0, "peak": 1.0, "bandwidth": 1.0}, {
        name: [*NO_NUMBER, 0, -1] for name in ("intensity", "peak", "bandwidth")
    }),
    (runtime.fastest, {"work": list}, {"work": [*NO_FUNCTION, None], "repeats": [*NO_COUNT, 0]}),
    (centroids.class_subspace, {}, {"centroids": [*NO_CODES, CODES * math.nan, CODES * 0]}),
    (centroids.class_component, {"latents": CODES, "centroids": CENTROIDS}, {
        "latents": [*NO_CODES, CODES[:, :3]], "centroids": NO_CODES,
    }),
    (centroids.separation, {}, {"centroids": [*NO_CODES, CODES[:1], CODES * math.nan]}),
    (centroids.pedcc, {"num_classes": 3, "latent_dim": 4}, {
        "num_classes": [*NO_COUNT, 0], "latent_dim": [*NO_COUNT, 0], "scale": [*NO_NUMBER, 0],
        "seed": NO_SEED, "progress": NO_FLAG,
    }),
    (centroids.charge_model, {"num_classes": 3, "latent_dim": 4}, {
        "step": [*NO_NUMBER, 0], "steps": NO_COUNT, "trajectory": NO_FLAG,
    }),
    (plan, {}, {
        "epochs": [*NO_COUNT, 0], "images_per_epoch": ["2", True, 2.5, 31],
        "batch_size": [*NO_COUNT, 1], "learning_rate": [*NO_NUMBER, 0, math.inf],
        "weight_decay": [*NO_NUMBER, -1], "seed": NO_SEED, "augmentation": NO_OBJECT,
        "optimizer": NO_CHOICE, "schedule": NO_CHOICE,
    }),
    (training.Machine, {}, {
        "accelerator": [*NO_CHOICE, "cuda:0"], "precision": [*NO_CHOICE, "fp16"],
        "devices": [*NO_COUNT, 0], "num_nodes": [*NO_COUNT, 0], "cuda_graphs": NO_FLAG,
        "threads": ["2", True, 2.5, 0, -1],
    }),
    (training.visiting_order, {"count": 64, "config": plan(), "epoch": 1}, {
        "count": [*NO_COUNT, 31], "config": NO_OBJECT, "epoch": [*NO_COUNT, 0],
    }),
    (training.launch, {"config": plan(), "machine": CPU}, {
        "config": NO_OBJECT, "machine": NO_MACHINE,
    }),
    (training.steps_per_epoch, {"dataset": sample(), "config": plan()}, {
        "dataset": NO_OBJECT, "config": NO_OBJECT,
    }),
    (training.make_optimizer, {"model": model(), "config": plan()}, {
        "model": NO_OBJECT, "config": NO_OBJECT,
    }),
    (training.make_schedule, {
        "optimizer": training.make_optimizer(model(), plan()), "config": plan(), "steps": 2,
    }, {"optimizer": NO_OBJECT, "config": NO_OBJECT, "steps": [*NO_COUNT, 0]}),
    (train, {}, {
        "model": [*NO_OBJECT, nn.ReLU()], "criterion": [*NO_FUNCTION, None], "dataset": NO_OBJECT,
        "config": NO_OBJECT, "machine": NO_MACHINE, "validate": NO_FUNCTION,
        "on_epoch": NO_FUNCTION, "on_step": NO_FUNCTION, "state_file": [3, b"s", "", "a\0b"],
        "save_every": [*NO_NUMBER, -1],
        "fabric": ["x", 1], "progress": NO_FLAG,
    }),
    (recipes.Recipe, {}, {
        "kind": NO_CHOICE, "network": NO_OBJECT, "noise": [*NO_NUMBER, -1],
        "smoothing": [*NO_NUMBER, 0, 1], "centroid_space": NO_CHOICE, "training": NO_OBJECT,
        "arrangement": NO_CHOICE, "likelihood": NO_CHOICE, "likelihood_std": [*NO_NUMBER, 0],
        **{f"{name}_weight": [*NO_NUMBER, -1] for name in recipes.TERMS},
    }),
    (recipes.Recipe().change, {}, {
        "kind": NO_CHOICE, "noise": [*NO_NUMBER, -1], "epochs": [*NO_COUNT, 0], "flip": NO_FLAG,
        "latent_dim": [*NO_COUNT, 0], "optimizer": NO_CHOICE, "seed": NO_SEED, "nonsense": [1],
    }),
    (recipes.Recipe().build, {"num_classes": 3}, {"num_classes": [*NO_COUNT, 1]}),
    (recipes.recipe, {"name": "quick", "dataset": "mnist"}, {
        "name": NO_CHOICE, "dataset": NO_CHOICE,
    }),
    (kinds.build, {"kind": "csae", "num_classes": 3, "network": CONFIG}, {
        "kind": NO_CHOICE, "num_classes": [*NO_COUNT, 1], "noise": [*NO_NUMBER, -1],
        "arrangement": NO_CHOICE,
    }),
    (kinds.defaults, {"kind": "vae"}, {"kind": NO_CHOICE}),
    *[(kind.for_classes, {"num_classes": 3, "config": CONFIG}, {
        "noise": [*NO_NUMBER, -1], "config": ["x", 4],
    }) for kind in kinds.KINDS.values()],
    (kinds.kind_of, {"model": model()}, {"model": [*NO_OBJECT, nn.ReLU()]}),
    (weights.save_checkpoint, {"model": model(), "path": "x", "dataset": "mnist"}, {
        "model": [*NO_OBJECT, torch.compile(model()), nn.ReLU()], "path": NO_PATH,
        "dataset": [None, 3],
    }),
    (weights.pack_checkpoint, {
        "model": models.Autoencoder(CONFIG), "dataset": "mnist", "num_classes": 3,
    }, {"model": NO_OBJECT, "dataset": [None, 3], "num_classes": [*NO_COUNT, 1]}),
    (weights.load_checkpoint, {}, {"path": NO_PATH}),
    (weights.load_pretrained, {"name": "fashion-mnist"}, {"name": NO_CHOICE}),
    (records.load_record, {}, {"path": NO_PATH}),
    (records.load_runs, {"experiment": "noise"}, {
        "experiment": NO_CHOICE, "dataset": ["nonsense", 1, ["mnist"]],
    }),
    (record().measured, {"name": "test_accuracy"}, {"name": NO_CHOICE}),
    (records.spread, {"runs": [record()], "name": "test_psnr"}, {"name": NO_CHOICE}),
    (runs.settle, {"recipe": recipes.Recipe(), "dataset": "mnist", "machine": CPU}, {
        "recipe": NO_OBJECT, "machine": NO_MACHINE,
    }),
    (runs.make, {"settings": SETTINGS, "parts": {"train": sample()}, "machine": CPU,
                 "progress": False}, {
        "settings": NO_OBJECT, "machine": NO_MACHINE, "save_every": [*NO_NUMBER, -1],
    }),
]  # fmt: skip
WRONG = [
    pytest.param(call, right, argument, wrong, id=f"{number}-{argument}")
    for number, (call, right, arguments) in enumerate(CASES)
    for argument, wrong in arguments.items()
]


@pytest.mark.parametrize(("call", "right", "argument", "wrong"), WRONG)
def test_wrong_values_are_named(call, right, argument, wrong, tmp_path, monkeypatch):
    """Only a ValueError, which says what the argument must be; and nothing is written."""
    monkeypatch.chdir(tmp_path)
    for value in wrong:
        given = checks.show(value)
        with pytest.raises(ValueError, match=argument) as caught:
            call(**right | {argument: value})
        message = str(caught.value)
        assert argument in message.split(", got")[0], f"{given}: {message}"
        assert "must" in message, f"{given}: {message}"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("call", "right"),
    [
        pytest.param(call, right, id=str(number))
        for number, (call, right, _) in enumerate(CASES)
        if right and call is not weights.save_checkpoint
    ],
)
def test_right_values_are_taken(call, right):
    """Else the test of wrong ones would say nothing."""
    call(**right)


# One kind for each check


def test_numpys_numbers_become_plain_ones():
    config = training.TrainingConfig(
        epochs=np.int64(3),
        images_per_epoch=np.int32(512),
        batch_size=np.uint8(128),
        learning_rate=np.float32(0.5),
        weight_decay=np.int16(0),
        seed=np.int64(4),
    )
    kinds = {name: type(getattr(config, name)) for name in vars(config)}
    whole = ("epochs", "images_per_epoch", "batch_size", "seed")
    assert {kinds[name] for name in whole} == {int}
    assert {kinds["learning_rate"], kinds["weight_decay"]} == {float}
    machine = training.Machine(devices=np.int64(2), threads=np.int32(3), cuda_graphs=np.False_)
    assert (type(machine.devices), type(machine.threads)) == (int, int)
    assert machine.cuda_graphs is False
    network = networks.NetworkConfig(latent_dim=np.int64(8), widths=np.array([4, 8]))
    assert network == networks.NetworkConfig(latent_dim=8, widths=(4, 8))
    assert {type(size) for size in (network.latent_dim, *network.widths)} == {int}
    recipe = recipes.Recipe(noise=np.float64(0.5)).change(latent_dim=np.int64(8))
    assert (type(recipe.network.latent_dim), type(recipe.noise)) == (int, float)


def test_integers_beyond_what_python_writes_are_named():
    with pytest.raises(ValueError, match=r"count must be an integer from 1 to 9, got .* int"):
        checks.integer("count", 10**5000, 1, 9)
    with pytest.raises(ValueError, match="x must be a finite number, got"):
        checks.number("x", 10**5000)


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ({}, "a finite number, got"),
        ({"least": 0}, "a finite number of at least 0, got"),
        ({"above": 0, "below": 1}, "a finite number above 0 and below 1, got"),
        ({"least": 0, "most": 1}, "a finite number from 0 to 1, got"),
        ({"above": 0, "infinite": True}, "a number above 0, got"),
    ],
)
def test_bounds_are_said(bounds, words):
    with pytest.raises(ValueError, match=f"x must be {words} nan"):
        checks.number("x", math.nan, **bounds)


def test_bounds_hold():
    assert checks.number("x", 0, least=0) == 0
    assert checks.number("x", math.inf, above=0, infinite=True) == math.inf
    for bounds in ({"above": 0}, {"below": 0}, {"least": 1}, {"most": -1}):
        with pytest.raises(ValueError, match="x must be"):
            checks.number("x", 0, **bounds)


@pytest.mark.parametrize("path", ["state", Path("folder/state")])
def test_paths_come_as_strings_or_paths(path):
    assert checks.path("state_file", path) == Path(path)


@pytest.mark.parametrize("values", [[1, 2], (1, 2), np.array([1, 2]), torch.tensor([1, 2])])
def test_sequences_of_all_kinds_are_taken(values):
    assert checks.sequence("values", values) == (1, 2)


def test_the_same_letter_is_the_same_size():
    assert checks.tensor("x", torch.ones(3, 4, 4), ("N", "S", "S")).shape == (3, 4, 4)
    assert checks.tensor("x", torch.ones(0, 4), ("N", "d"), least=0).shape == (0, 4)
    for wrong in (torch.ones(3, 4, 5), torch.ones(0, 4, 4), torch.ones(4, 4)):
        with pytest.raises(
            ValueError, match=r"x must be of shape \(N, S, S\), got float32 of shape"
        ):
            checks.tensor("x", wrong, ("N", "S", "S"))


def test_labels_are_read_where_that_costs_nothing():
    """A read of labels on a GPU waits for all its work; shape and type never do."""
    wrong = LABELS - 1
    assert checks.labels("labels", wrong, 12, 3, read=False) is wrong
    with pytest.raises(ValueError, match="labels must be classes from 0 to 2, got some from -1 to"):
        checks.labels("labels", wrong, 12, 3)
    with pytest.raises(ValueError, match="labels must be int64 of shape"):
        checks.labels("labels", wrong[:3], 12, 3, read=False)
