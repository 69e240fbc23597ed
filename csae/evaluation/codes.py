"""What experiments ask of a trained model's codes: their classes, and what noise does to them."""

from __future__ import annotations

import torch
from torch import Tensor

from csae import checks
from csae.baselines import SupervisedAutoencoder
from csae.centroids import class_component
from csae.evaluation.batchwise import pick_rows
from csae.evaluation.bounds import image_bounds
from csae.evaluation.classes import class_distances, neural_collapse, silhouette
from csae.evaluation.prediction import encode
from csae.evaluation.robustness import perturbation_measures, spread_of
from csae.evaluation.running import evaluating
from csae.evaluation.trained import Trained
from csae.models import CSAE, VAE, Autoencoder, active_dimensions, check_decodes
from csae.noise import path_steps, squared_jacobian_norm

SILHOUETTE_CODES = 5000  # its time grows with the square of their number


def class_measures(trained: Trained) -> dict[str, float]:
    """Measure how compact and how far apart the classes are, and the centroids' part in it.

    See `compactness_measures`.
    """
    return compactness_measures(
        trained.model, encode(trained.model, trained.held_out), trained.held_out.labels
    )


def compactness_measures(model: Autoencoder, latents: Tensor, labels: Tensor) -> dict[str, float]:
    """Measure the classes of codes: whole, and in the class subspace of the model's centroids.

    The silhouette is that of 5,000 codes drawn at random (seed 0), where there are more.

    Args:
        model: The model that the codes are of.
        latents: (N, d) codes.
        labels: (N,) int64, their classes in 0..K-1, each of at least one code.

    Returns:
        By name; those that begin with ``class_subspace_`` are of the component of the codes in the
        class subspace: what the centroids span less their mean, or, of a trained head, the rows of
        its weights, because nothing else of a code moves a difference of two scores.

    Raises:
        ValueError: The arguments do not fit together, or a class has no code.
    """
    labels = labels.cpu()
    rows = pick_rows(len(latents), SILHOUETTE_CODES)
    measures = {"silhouette": silhouette(latents[rows], labels[rows])}
    measures |= class_distances(latents, labels)._asdict()
    directions = _directions(model)
    if directions is not None:
        bias = model.head.bias if isinstance(model, SupervisedAutoencoder) else None
        inside = class_component(latents, directions)
        in_class = class_distances(inside, labels)._asdict()
        in_class |= neural_collapse(inside, labels, directions, bias)._asdict()
        in_class["silhouette"] = silhouette(inside[rows], labels[rows])
        measures |= {f"class_subspace_{name}": value for name, value in in_class.items()}
    return measures


def _directions(model: Autoencoder) -> Tensor | None:
    """Return a direction (K, d) for each class of a model that names classes by its codes.

    They are centred, as a simplex is already: what all scores share decides nothing, and a
    dimension of its own is free for the image.
    """
    if isinstance(model, CSAE):
        directions = model.centroids.cpu()
    elif isinstance(model, SupervisedAutoencoder):
        directions = model.head.weight.detach().cpu()
    else:
        return None
    return directions - directions.mean(dim=0)


def variational_measures(trained: Trained) -> dict[str, float]:
    """Measure how likely a VAE finds images, and how much its codes say.

    Returns:
        ``bound``, the mean bound on the log-likelihood of an image in nats (see
        `csae.evaluation.image_bounds`), and ``active_dimensions``.

    Raises:
        ValueError: The model is no VAE.
    """
    model = checks.instance("model", trained.model, VAE, "no other kind has a bound")
    bound = image_bounds(model, trained.held_out).mean().item()
    active = active_dimensions(encode(model, trained.held_out))
    return {"bound": bound, "active_dimensions": float(active)}


@torch.no_grad()
def noise_measures(trained: Trained) -> dict[str, float]:
    """Measure what noise on codes and on pixels does, how steep the decoder is, how far codes lie.

    The names say the standard deviation: of the noise on each dimension of a code, or on each
    pixel in [0, 1].

    Returns:
        By name; ``accuracy_`` of models that name classes, ``free_spread`` of those with centroids.

    Raises:
        ValueError: The model decodes nothing, or takes labels.
    """
    model, labels = trained.model, trained.held_out.labels.cpu()
    check_decodes(model)
    if model.takes_labels:
        raise ValueError(f"model must decode without labels, got {type(model).__name__}")
    measures = perturbation_measures(model, trained.held_out)
    latents = encode(model, trained.held_out)
    measures["spread"] = spread_of(latents)
    if isinstance(model, CSAE):
        free = latents - class_component(latents, model.centroids.cpu())
        measures["free_spread"] = (free - free.mean(0)).square().sum(dim=1).mean().sqrt().item()

    latents = latents[:2000].to(next(model.parameters()).device)
    with evaluating(model):
        measures |= _steepness(model, latents, labels[:2000])
    return measures


def _steepness(model: Autoencoder, latents: Tensor, labels: Tensor) -> dict[str, float]:
    """Measure how much an image changes with its code, and along lines between classes."""
    slopes = squared_jacobian_norm(model.decode, latents[:1000], probes=8)
    half = len(latents) // 2
    other = labels[:half] != labels[half : 2 * half]
    start, end = latents[:half][other], latents[half : 2 * half][other]
    steps = path_steps(model.decode, start, end, steps=16)
    straight = (model.decode(end) - model.decode(start)).double().flatten(1).norm(dim=1)
    return {
        "squared_jacobian": slopes.mean().item(),
        "stretch": (steps.sum(dim=1) / straight).median().item(),
        "largest_step": (steps.amax(dim=1) / steps.mean(dim=1)).median().item(),
    }
