"""The classification-supervised autoencoder: encoder, decoder and the model that joins them.

Taught in the chapter on autoencoder design. Layer sizes follow the description of the authors'
published network: 282,185 parameters at 40 latent dimensions, 32x32 grey images in and out.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from csae.noise import GaussianNoise

IMAGE_SIZE = 32  # height and width of the images the networks read and write


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a 1x1 shortcut; halves height and width.

    (N, in, H, W) -> (N, out, ceil(H/2), ceil(W/2))
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Return features (N, out, ceil(H/2), ceil(W/2)) of features (N, in, H, W)."""
        return torch.relu(self.body(x) + self.shortcut(x))


def encoder(latent_dim: int) -> nn.Sequential:
    """Build the residual encoder, (N, 1, 32, 32) -> (N, latent_dim)."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3),  # (N, 16, 30, 30)
        nn.BatchNorm2d(16),
        nn.ReLU(inplace=True),
        ResidualBlock(16, 32),  # (N, 32, 15, 15)
        ResidualBlock(32, 64),  # (N, 64, 8, 8)
        ResidualBlock(64, 64),  # (N, 64, 4, 4)
        nn.Flatten(),
        nn.Linear(64 * 4 * 4, latent_dim),
    )


class PatchUpsample(nn.ConvTranspose2d):
    """Transposed convolution whose stride equals its kernel, computed as one matrix product.

    Patches then never overlap: each pixel becomes its own 2x2 patch. Same parameters and same
    result as `torch.nn.ConvTranspose2d`, in less time on a CPU.

    (N, in, H, W) -> (N, out, 2H, 2W)
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=2, stride=2)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        """Return features (N, out, 2H, 2W) of features (N, in, H, W)."""
        n, _, height, width = x.shape
        weight = self.weight.permute(2, 3, 1, 0).flatten(0, 2)  # (2 * 2 * out, in)
        patches = nn.functional.linear(x.permute(0, 2, 3, 1), weight)  # (N, H, W, 4 * out)
        patches = patches.view(n, height, width, 2, 2, -1).permute(0, 1, 3, 2, 4, 5)
        pixels = patches.reshape(n, 2 * height, 2 * width, -1)
        if self.bias is not None:
            pixels = pixels + self.bias
        return pixels.permute(0, 3, 1, 2)  # channels-last in memory


def _upsample(in_channels: int, hidden: int, out_channels: int) -> list[nn.Module]:
    """Layers that double height and width: transposed 2x2, then 3x3, batch norm, ReLU."""
    return [
        PatchUpsample(in_channels, hidden),
        nn.Conv2d(hidden, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    ]


def decoder(latent_dim: int) -> nn.Sequential:
    """Build the decoder, (N, latent_dim) -> (N, 1, 32, 32)."""
    return nn.Sequential(
        nn.Linear(latent_dim, 64 * 4 * 4),
        nn.Unflatten(1, (64, 4, 4)),
        *_upsample(64, 32, 64),  # (N, 64, 8, 8)
        *_upsample(64, 32, 32),  # (N, 32, 16, 16)
        *_upsample(32, 16, 16),  # (N, 16, 32, 32)
        nn.Conv2d(16, 1, 1),
    )


class CSAEOutput(NamedTuple):
    """What one forward pass yields for a batch of N images.

    Attributes:
        reconstructions: (N, 1, 32, 32), nominally in [-1, 1]; not clipped.
        similarities: (N, K) similarities of the codes to the centroids, 1 on a centroid itself.
        latents: (N, d) codes, before any noise.
    """

    reconstructions: Tensor
    similarities: Tensor
    latents: Tensor


class CSAE(nn.Module):
    """Classification-supervised autoencoder on fixed class centroids.

    One code per image serves two purposes: its nearest centroid names the class, and the decoder
    turns it back into the image. The centroids are fixed; they are never trained.

    Args:
        centroids: (K, d) class centroids of one common norm, such as ``simplex`` returns.
        noise: Standard deviation of the latent noise in each dimension, as a fraction of the
            centroids' norm; zero or more. It acts in training mode only.

    Raises:
        ValueError: The centroids are not a finite (K, d) tensor with K >= 2 and rows of one
            common positive norm, or ``noise`` is negative or not finite.
    """

    centroids: Tensor

    def __init__(self, centroids: Tensor, *, noise: float = 0.04) -> None:
        super().__init__()
        if centroids.ndim != 2 or len(centroids) < 2:
            raise ValueError(
                f"centroids must have shape (K, d) with K >= 2, got {tuple(centroids.shape)}"
            )
        norms = centroids.double().norm(dim=1)
        norm = norms.mean().item()
        # Nearest centroid and largest similarity agree only when all norms are equal.
        if not (norm > 0 and torch.allclose(norms, norms.mean(), rtol=1e-5, atol=0)):
            raise ValueError(
                "centroids must be finite with rows of one common positive norm, got norms from "
                f"{norms.min().item():.6g} to {norms.max().item():.6g}"
            )
        if not (math.isfinite(noise) and noise >= 0):
            raise ValueError(f"noise must be a finite number of at least 0, got {noise!r}")
        self.num_classes, self.latent_dim = centroids.shape
        self.noise_ratio = noise
        self.register_buffer("centroids", centroids.float())
        self.encoder = encoder(self.latent_dim)
        self.noise = GaussianNoise(noise * norm)
        self.decoder = decoder(self.latent_dim)

    def encode(self, images: Tensor) -> Tensor:
        """Return codes (N, d) of images (N, 1, 32, 32) in [-1, 1].

        Raises:
            ValueError: The images have another shape or are not floating-point numbers.
        """
        expected = (1, IMAGE_SIZE, IMAGE_SIZE)
        if images.shape[1:] != expected or not images.is_floating_point():
            raise ValueError(
                f"images must be floating-point of shape (N, {', '.join(map(str, expected))}) in "
                f"[-1, 1], got {images.dtype} of shape {tuple(images.shape)}; csae.data.prepare "
                "makes them from a data set's images"
            )
        latents: Tensor = self.encoder(images)
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        """Return images (N, 1, 32, 32), nominally in [-1, 1], from codes (N, d)."""
        images: Tensor = self.decoder(latents)
        return images

    def similarities(self, latents: Tensor) -> Tensor:
        """Return the similarity (N, K) of codes (N, d) to the centroids: z . c_k / |c_k|^2.

        It is 1 on a centroid itself, and -1/(K - 1) on the other centroids of a simplex. As all
        centroids have the same norm, the most similar centroid is also the nearest one.

        Equations: nearest-is-most-similar.
        """
        return latents @ (self.centroids / self.centroids.square().sum(dim=1, keepdim=True)).T

    def classify(self, images: Tensor) -> Tensor:
        """Return int64 labels (N,) in 0..K-1: the nearest centroid to each image's code."""
        return self.similarities(self.encode(images)).argmax(dim=1)

    def forward(self, images: Tensor) -> CSAEOutput:
        """Encode, then classify and reconstruct from the same code, noisy in training mode."""
        latents = self.encode(images)
        noisy = self.noise(latents)
        return CSAEOutput(self.decode(noisy), self.similarities(noisy), latents)
