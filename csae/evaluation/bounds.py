"""How likely images are under a variational autoencoder: its bound, in nats."""

from __future__ import annotations

import torch
from torch import Tensor

from csae import checks
from csae.data import ImageDataset
from csae.evaluation.running import check_dataset, check_model, over_batches
from csae.models import VAE, ConditionalVAE


def image_bounds(
    model: VAE, dataset: ImageDataset, *, samples: int = 1, seed: int = 0, batch_size: int = 500
) -> Tensor:
    """Estimate the bound on the log-likelihood of every image, in order.

    Minus the mean is the "negative ELBO" of other reports; `csae.models.log_likelihood` says what
    compares with them. Of a conditional model it is the bound on log p(x|y), with the labels of the
    data set: up to log(K) above that of a model which has to find out the class.

    Equations: variational-bound.

    Args:
        model: In any mode; it is left in the mode it came in.
        dataset: N images; their labels count for a `csae.models.ConditionalVAE` only.
        samples: Codes drawn for each image, at least 1; the bound's mean over them is returned.
        seed: Chooses the codes.
        batch_size: Images a batch, at least 1; it changes speed and memory, not results.

    Returns:
        (N,) float64 nats, on the CPU.

    Raises:
        ValueError: The model is no VAE, or an argument is something else.
    """
    _check_vae(model, VAE)
    dataset = check_dataset(model, dataset, labelled=model.takes_labels)
    samples = checks.integer("samples", samples, 1)
    generator = torch.Generator().manual_seed(checks.seed("seed", seed))
    total = torch.zeros(len(dataset), dtype=torch.float64, device="cpu")
    for _ in range(samples):
        noise = _noise(model, dataset, generator)

        def compute(images: Tensor, labels: Tensor, rows: slice) -> tuple[Tensor]:
            given = (labels,) if model.takes_labels else ()
            return (model.bounds(images, noise[rows].to(images), *given),)  # noqa: B023

        (bounds,) = over_batches(model, dataset, compute, batch_size=batch_size)
        total += bounds
    return total / samples


def class_bounds(
    model: ConditionalVAE, dataset: ImageDataset, *, seed: int = 0, batch_size: int = 500
) -> Tensor:
    """Estimate the bound on log p(x|y) of every image for each class y, in order.

    The largest names the class. It takes as many passes as there are classes.

    Args:
        model: In any mode; it is left in the mode it came in.
        dataset: N images; their labels are not looked at.
        seed: Chooses the codes, one an image, with the same noise for all classes.
        batch_size: Images a batch, at least 1; it changes speed and memory, not results.

    Returns:
        (N, K) float64 nats, on the CPU.

    Raises:
        ValueError: The model is no conditional VAE, or an argument is something else.
    """
    _check_vae(model, ConditionalVAE)
    dataset = check_dataset(model, dataset, labelled=False)
    noise = _noise(model, dataset, torch.Generator().manual_seed(checks.seed("seed", seed)))

    def compute(images: Tensor, labels: Tensor, rows: slice) -> tuple[Tensor]:
        return (model.class_bounds(images, noise[rows].to(images)),)

    (bounds,) = over_batches(model, dataset, compute, batch_size=batch_size)
    return bounds.double()


def _check_vae(model: object, kind: type[VAE]) -> None:
    checks.instance("model", check_model(model), kind, "no other kind has a bound")


def _noise(model: VAE, dataset: ImageDataset, generator: torch.Generator) -> Tensor:
    """Draw the noise of all images at once, so that the size of a batch changes nothing."""
    return torch.randn(len(dataset), model.latent_dim, generator=generator, device="cpu")
