"""What noise on codes and on pixels does to the class and to the reconstruction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from csae import checks
from csae.data import ImageDataset, to_bytes
from csae.evaluation.batchwise import decode_latents
from csae.evaluation.fidelity import psnr
from csae.evaluation.prediction import encode
from csae.evaluation.running import check_dataset, check_model
from csae.models import Autoencoder, ClassifyingAutoencoder


def spread_of(latents: Tensor) -> float:
    """Root mean square deviation of codes (N, d) from their mean, over all dimensions.

    Raises:
        ValueError: An argument is something else.
    """
    checks.tensor("latents", latents, ("N", "d"), floating=True, finite=True)
    return (latents - latents.mean(dim=0)).square().mean().sqrt().item()


@torch.no_grad()
def perturbation_measures(
    model: Autoencoder,
    dataset: ImageDataset,
    *,
    latent_stds: Sequence[float] = (0.5, 1.0, 2.0, 3.0),
    pixel_stds: Sequence[float] = (0.1, 0.2, 0.3),
    relative: bool = False,
    seed: int = 0,
) -> dict[str, float]:
    """Measure accuracy and PSNR without noise, under noise on codes, and under noise on images.

    Accuracy is that of models whose codes name classes, as those of a conditional VAE do not; PSNR
    is that of models that decode, and compares with the images without noise.

    Args:
        model: Any kind that has codes.
        dataset: Images and labels.
        latent_stds: Standard deviations of the noise on each dimension of a code, 0 or more.
        pixel_stds: Those of the noise on each pixel in [0, 1], 0 or more; noisy pixels are clipped
            and rounded to whole 255ths.
        relative: Whether the first are multiples of the spread of the model's codes
            (`spread_of`). Models without centroids are free to make their codes as large as they
            like, so only such noise compares them.
        seed: Chooses the noise.

    Returns:
        ``accuracy_`` and ``psnr_``, each with ``quiet``, ``codes_<std>`` (``codes_<std>_spreads``
        where relative) and ``pixels_<std>``.

    Raises:
        ValueError: An argument is something else.
    """
    dataset = check_dataset(check_model(model), dataset, labelled=model.classifies)
    latent_stds, pixel_stds = _stds("latent_stds", latent_stds), _stds("pixel_stds", pixel_stds)
    relative = checks.flag("relative", relative)
    generator = torch.Generator().manual_seed(checks.seed("seed", seed))
    originals = dataset.images.cpu() / 255
    latents = encode(model, dataset)
    measures = _scores(model, latents, dataset, "quiet")
    unit, suffix = (spread_of(latents), "_spreads") if relative else (1.0, "")
    for std in latent_stds:
        noise = torch.randn(latents.shape, generator=generator, device="cpu")
        noisy = latents + std * unit * noise
        measures |= _scores(model, noisy, dataset, f"codes_{std:g}{suffix}")
    for std in pixel_stds:
        noise = torch.randn(originals.shape, generator=generator, device="cpu")
        perturbed = to_bytes((originals + std * noise).clamp(0, 1))
        noisy = encode(model, replace(dataset, images=perturbed))
        measures |= _scores(model, noisy, dataset, f"pixels_{std:g}")
    return measures


def _scores(
    model: Autoencoder, latents: Tensor, dataset: ImageDataset, name: str
) -> dict[str, float]:
    scores = {}
    if isinstance(model, ClassifyingAutoencoder):
        device = next(model.parameters()).device
        named = model.similarities(latents.to(device)).argmax(dim=1).cpu()
        right = (named == dataset.labels.cpu()).double().mean().item()
        scores[f"accuracy_{name}"] = right
    if model.decodes:
        decoded = decode_latents(model, latents, dataset.labels)
        scores[f"psnr_{name}"] = psnr(dataset.images.cpu() / 255, decoded)
    return scores


def _stds(name: str, values: object) -> tuple[float, ...]:
    return tuple(checks.number(name, value, least=0) for value in checks.sequence(name, values))
