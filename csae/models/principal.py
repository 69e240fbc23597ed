"""The best linear autoencoder, in closed form.

Taught in the chapter on autoencoder design.
"""

from __future__ import annotations

import torch
from torch import Tensor

from csae import checks
from csae.models.autoencoders import Autoencoder
from csae.networks import NetworkConfig


@torch.no_grad()
def pca_autoencoder(images: Tensor, latent_dim: int) -> Autoencoder:
    """Return the linear autoencoder with the least squared error on some images.

    No linear encoder and decoder reconstruct these images better (Eckart and Young 1936). Its code
    holds the coordinates along the principal components, the one of largest variance first.

    Args:
        images: (N, C, S, S) floating-point, as `csae.data.prepare` returns them.
        latent_dim: Dimensions of a code, from 1 to the C * S * S pixels of an image.

    Returns:
        A fully connected network without hidden layers, in evaluation mode. The columns of its
        decoder's weight are orthonormal; in each, the entry of largest size is positive.

    Raises:
        ValueError: An argument is out of range.

    Equations: principal-code, discarded-variance.
    """
    checks.tensor("images", images, ("N", "C", "S", "S"), floating=True, finite=True)
    channels, size = images.shape[1:3]
    latent_dim = checks.integer("latent_dim", latent_dim, 1, channels * size**2)
    config = NetworkConfig("fully_connected", latent_dim, (), size, channels)
    pixels = images.flatten(1).double()  # (N, P)
    mean = pixels.mean(dim=0)
    centred = pixels - mean
    _, vectors = torch.linalg.eigh(centred.T @ centred / len(pixels))  # smallest variance first
    components = vectors.flip(1)[:, :latent_dim]  # (P, d)
    largest = components.gather(0, components.abs().argmax(dim=0, keepdim=True))
    components = components * largest.sign()
    model = Autoencoder(config)
    model.load_state_dict(
        {
            "encoder.1.weight": components.T,
            "encoder.1.bias": -components.T @ mean,
            "decoder.0.weight": components,
            "decoder.0.bias": mean,
        }
    )
    return model.eval()
