"""Decoding many codes, and drawing a part of many images."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from csae import checks
from csae.data import ImageDataset, to_pixels
from csae.evaluation.running import check_model, evaluating
from csae.models import Autoencoder, check_decodes

_BATCH = 500


@torch.no_grad()
def decode_latents(model: Autoencoder, latents: Tensor, labels: Tensor | None = None) -> Tensor:
    """Return the images (N, 1, 28, 28) of codes, as pixels in [0, 1], on the CPU.

    Args:
        model: Any mode; it is left in the mode it came in.
        latents: (N, d) codes.
        labels: (N,) int64, their classes; needed by a model that takes labels, and unused by
            others.

    Raises:
        ValueError: An argument is something else, the model has no decoder, or labels are missing.
    """
    check_decodes(check_model(model))
    checks.tensor("latents", latents, ("N", model.latent_dim), floating=True)
    told: tuple[Tensor, ...] = ()
    if model.takes_labels:
        told = (checks.tensor("labels", labels, (len(latents),), dtype=torch.int64),)
    device = next(model.parameters()).device
    with evaluating(model):
        parts = zip(*(torch.split(value, _BATCH) for value in (latents, *told)), strict=True)
        images = [to_pixels(model.decode(*(v.to(device) for v in part))).cpu() for part in parts]
    return torch.cat(images)


def pick_images(dataset: ImageDataset, count: int, *, seed: int = 0) -> ImageDataset:
    """Return images drawn at random without replacement; all of them, in order, where not as many.

    Files may be sorted by class, so the first images would not do.

    Args:
        dataset: N images.
        count: How many, at least 1.
        seed: Chooses them.

    Raises:
        ValueError: An argument is something else.
    """
    checks.instance("dataset", dataset, ImageDataset)
    rows = pick_rows(len(dataset), count, seed=seed)
    if len(rows) == len(dataset):
        return dataset
    return replace(
        dataset, images=dataset.images[rows], labels=dataset.labels[rows], fingerprint=""
    )


def pick_rows(total: int, count: int, *, seed: int = 0) -> Tensor:
    """Return min(count, total) different rows (n,) int64 of `total`, drawn at random; sorted.

    Raises:
        ValueError: An argument is something else.
    """
    total = checks.integer("total", total, 1)
    count = checks.integer("count", count, 1)
    generator = torch.Generator().manual_seed(checks.seed("seed", seed))
    drawn = torch.randperm(total, generator=generator, device="cpu")[:count]
    return drawn.sort().values
