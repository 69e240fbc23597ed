"""What experiments ask of a trained model's codes: their classes, and what noise does to them."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from csae.centroids import class_component
from csae.data import ImageDataset, to_pixels
from csae.evaluation.bounds import image_bounds
from csae.evaluation.classes import class_distances, neural_collapse, silhouette
from csae.evaluation.fidelity import psnr
from csae.evaluation.prediction import encode
from csae.models import CSAE, VAE, Autoencoder, active_dimensions, check_decodes
from csae.noise import path_steps, squared_jacobian_norm


def class_measures(model: Autoencoder, dataset: ImageDataset) -> dict[str, float]:
    """Measure how compact and how far apart the classes are, and the centroids' part in it.

    Returns:
        By name; those that begin with ``class_subspace_`` are of the component of the codes in the
        class subspace, where the model has centroids.
    """
    latents, labels = encode(model, dataset), dataset.labels
    measures = {"silhouette": silhouette(latents, labels)}
    measures |= class_distances(latents, labels)._asdict()
    if isinstance(model, CSAE):
        inside = class_component(latents, model.centroids)
        in_class = class_distances(inside, labels)._asdict()
        in_class |= neural_collapse(inside, labels, model.centroids)._asdict()
        in_class["silhouette"] = silhouette(inside, labels)
        measures |= {f"class_subspace_{name}": value for name, value in in_class.items()}
    return measures


def variational_measures(model: VAE, dataset: ImageDataset) -> dict[str, float]:
    """Measure how likely a VAE finds images, and how much its codes say.

    Returns:
        ``bound``, the mean bound on the log-likelihood of an image in nats (see
        `csae.evaluation.image_bounds`), and ``active_dimensions``.

    Raises:
        ValueError: The model is no VAE, or an argument is something else.
    """
    bound = image_bounds(model, dataset).mean().item()
    active = active_dimensions(encode(model, dataset))
    return {"bound": bound, "active_dimensions": float(active)}


@torch.no_grad()
def noise_measures(model: Autoencoder, dataset: ImageDataset) -> dict[str, float]:
    """Measure what noise on codes and on pixels does, how steep the decoder is, how far codes lie.

    The names say the standard deviation: of the noise on each dimension of a code, or on each
    pixel in [0, 1].

    Raises:
        ValueError: The model has no centroids or no decoder.
    """
    if not isinstance(model, CSAE):
        raise ValueError("noise is measured on models that name classes")
    check_decodes(model)
    originals, labels = dataset.images / 255, dataset.labels
    generator = torch.Generator().manual_seed(0)

    def measure(name: str, latents: Tensor) -> dict[str, float]:
        right = (model.similarities(latents).argmax(dim=1) == labels).double().mean().item()
        decoded = torch.cat([to_pixels(model.decode(part)) for part in torch.split(latents, 500)])
        return {f"accuracy_{name}": right, f"psnr_{name}": psnr(originals, decoded)}

    latents = encode(model, dataset)
    measures = measure("quiet", latents)
    for std in (0.5, 1.0, 2.0, 3.0):
        noise = torch.randn(latents.shape, generator=generator)
        measures |= measure(f"codes_{std:g}", latents + std * noise)
    for std in (0.1, 0.2, 0.3):
        noise = torch.randn(originals.shape, generator=generator)
        perturbed = (255 * (originals + std * noise).clamp(0, 1)).round().to(torch.uint8)
        noisy = dataclasses.replace(dataset, images=perturbed)
        measures |= measure(f"pixels_{std:g}", encode(model, noisy))

    free = latents - class_component(latents, model.centroids)
    measures["spread"] = (latents - latents.mean(dim=0)).square().mean().sqrt().item()
    measures["free_spread"] = (free - free.mean(0)).square().sum(dim=1).mean().sqrt().item()
    slopes = squared_jacobian_norm(model.decode, latents[:1000], probes=8)
    measures["squared_jacobian"] = slopes.mean().item()
    other = labels[:1000] != labels[1000:2000]  # lines from one class to another
    start, end = latents[:1000][other], latents[1000:2000][other]
    steps = path_steps(model.decode, start, end, steps=16)
    straight = (model.decode(end) - model.decode(start)).double().flatten(1).norm(dim=1)
    measures["stretch"] = (steps.sum(dim=1) / straight).median().item()
    measures["largest_step"] = (steps.amax(dim=1) / steps.mean(dim=1)).median().item()
    return measures
