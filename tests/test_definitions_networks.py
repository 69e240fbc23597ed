"""What the chapter on autoencoder design defines before it imports the package's version."""

import math

import pytest
import torch
from torch import nn

from csae import models, networks
from tests.chapters import definitions


@pytest.fixture(scope="module")
def chapter():
    return definitions("networks")


@pytest.fixture
def images():
    return torch.randn(60, 1, 8, 8, generator=torch.Generator().manual_seed(0)).double()


@pytest.mark.parametrize("latent_dim", [1, 7, 20])
def test_principal_components(chapter, images, latent_dim):
    pixels = images.flatten(1)
    mean, components, variances = chapter["principal_components"](pixels)
    by_hand = mean + (pixels - mean) @ components[:, :latent_dim] @ components[:, :latent_dim].T
    package = models.pca_autoencoder(images, latent_dim).double()
    assert torch.allclose(by_hand, package(images).reconstructions.flatten(1), atol=1e-5)
    kept = package.encode(images).var(dim=0, correction=0)
    assert torch.allclose(variances[:latent_dim], kept, atol=1e-5)
    expected = torch.linalg.eigvalsh(torch.cov(pixels.T, correction=0)).flip(0)[: len(variances)]
    assert torch.allclose(variances, expected, atol=1e-10)


def test_squared_error(chapter, images):
    """The error through the covariance is the error image by image."""
    pixels = images.flatten(1) - images.flatten(1).mean(dim=0)
    encode, decode = torch.randn(3, 64).double(), torch.randn(64, 3).double()
    direct = (pixels - pixels @ encode.T @ decode.T).square().sum(dim=1).mean()
    covariance = pixels.T @ pixels / len(pixels)
    assert torch.allclose(chapter["squared_error"](encode, decode, covariance), direct)


def test_linear_training_finds_the_principal_space(chapter, images):
    scale = torch.linspace(3, 0.1, 64).double()
    pixels = images.flatten(1) * scale
    pixels = pixels - pixels.mean(dim=0)
    decode, error = chapter["train_linear"](pixels.T @ pixels / len(pixels), 3, seed=2)[-1]
    _, components, variances = chapter["principal_components"](pixels)
    assert error == pytest.approx(variances[3:].sum().item(), rel=1e-4)
    basis, _ = torch.linalg.qr(decode)
    cosines = torch.linalg.svdvals(basis.T @ components[:, :3])
    assert cosines.min() > math.cos(math.radians(1))


@pytest.mark.parametrize("size", [7, 8])
def test_residual_block(chapter, size):
    by_hand, package = chapter["ResidualBlock"](3, 5), networks.ResidualBlock(3, 5)
    package.load_state_dict(by_hand.state_dict())
    x = torch.randn(4, 3, size, size)
    assert torch.allclose(by_hand(x), package(x), atol=1e-6)  # in training mode
    assert torch.allclose(by_hand.eval()(x), package.eval()(x), atol=1e-6)


def test_upsample(chapter):
    layer = networks.PatchUpsample(5, 3)
    x = torch.randn(2, 5, 4, 7)
    by_hand = chapter["upsample_by_hand"](x, layer.weight, layer.bias)
    assert torch.allclose(by_hand, layer(x), atol=1e-6)


@pytest.mark.parametrize("latent_dim", [2, 40])
def test_encoder_and_decoder(chapter, latent_dim):
    config = networks.NetworkConfig(latent_dim=latent_dim)
    for by_hand, package, x in (
        (chapter["encoder_by_hand"], networks.encoder, torch.randn(2, 1, 32, 32)),
        (chapter["decoder_by_hand"], networks.decoder, torch.randn(2, latent_dim)),
    ):
        ours, theirs = by_hand(latent_dim).eval(), package(config).eval()
        theirs.load_state_dict(ours.state_dict())
        assert torch.allclose(ours(x), theirs(x), atol=1e-4)


@pytest.mark.parametrize(("size", "kernel", "stride", "padding"), [(32, 3, 1, 0), (15, 3, 2, 1)])
def test_output_size(chapter, size, kernel, stride, padding):
    layer = nn.Conv2d(1, 1, kernel, stride, padding)
    found = chapter["output_size"](size, kernel, stride, padding)
    assert found == layer(torch.zeros(1, 1, size, size)).shape[-1]


@pytest.mark.parametrize("bits", [1, 3, 8])
def test_quantise(chapter, bits):
    """At most half a cell away inside the limits, and no more values than cells."""
    latents = torch.rand(5000, 2, generator=torch.Generator().manual_seed(1)).double() * 6 - 1
    low, high = torch.tensor([-1.0, 0.0]).double(), torch.tensor([5.0, 2.0]).double()
    rounded = chapter["quantise"](latents, low, high, bits)
    step = (high - low) / 2**bits
    inside = (latents >= low) & (latents <= high)
    assert ((rounded - latents).abs() <= step / 2 + 1e-12)[inside].all()
    assert ((rounded > low) & (rounded < high)).all()
    for column in rounded.T:
        assert len(column.unique()) <= 2**bits


def test_k_means(chapter):
    """Three clouds far apart are its clusters."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.tensor([[0.0, 0.0], [20.0, 0.0], [0.0, 20.0]])
    truth = torch.arange(3).repeat_interleave(50)
    points = centres[truth] + torch.randn(150, 2, generator=generator)
    cluster = chapter["k_means"](points, 3)
    assert all(len(cluster[truth == k].unique()) == 1 for k in range(3))
    assert len(cluster.unique()) == 3


def test_contingency(chapter):
    labels = torch.arange(10).repeat(4)
    counts = chapter["contingency"]((labels + 3) % 10, labels)
    assert torch.equal(counts, 4 * torch.eye(10, dtype=torch.int64))
    mixed = chapter["contingency"](torch.zeros(40, dtype=torch.int64), labels)
    assert mixed.sum() == 40
    assert mixed.trace() == 4


def test_stretched(chapter):
    torch.manual_seed(0)
    model = models.Autoencoder(networks.NetworkConfig(latent_dim=2)).eval()
    change = torch.tensor([[1.0, 2.0], [0.0, 8.0]])
    other = chapter["stretched"](model, change)
    images = torch.randn(3, 1, 32, 32)
    assert torch.allclose(other(images).latents, model(images).latents @ change.T, atol=1e-4)
    assert torch.allclose(other(images).reconstructions, model(images).reconstructions, atol=1e-4)
