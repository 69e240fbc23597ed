"""What the chapter on autoencoder design defines is what the package has."""

import copy

import pytest
import torch
from torch import nn

from csae import networks
from tests.chapters import definitions


@pytest.fixture(scope="module")
def chapter():
    return definitions("networks")


def test_principal_components(chapter):
    torch.manual_seed(0)
    images = torch.rand(50, 1, 6, 6).double()
    pixels = images.flatten(1)
    mean, components, variances = chapter["principal_components"](pixels)
    package = networks.pca_autoencoder(images, 7).double()
    ours = mean + (pixels - mean) @ components[:, :7] @ components[:, :7].T
    painted = package(images).reconstructions.flatten(1)
    assert torch.allclose(ours, painted, atol=1e-5)
    error = (ours - pixels).square().sum(dim=1).mean()
    assert error.item() == pytest.approx(variances[7:].sum().item(), rel=1e-9)


def test_squared_error_of_linear_codes(chapter):
    torch.manual_seed(1)
    pixels = torch.randn(40, 9).double()
    pixels -= pixels.mean(dim=0)
    encode, decode = torch.randn(3, 9).double(), torch.randn(9, 3).double()
    by_hand = chapter["squared_error"](encode, decode, pixels.T @ pixels / 40)
    direct = (pixels - pixels @ encode.T @ decode.T).square().sum(dim=1).mean()
    assert torch.allclose(by_hand, direct)


@pytest.mark.parametrize("size", [7, 8, 15])
def test_residual_block(chapter, size):
    torch.manual_seed(2)
    by_hand = chapter["ResidualBlock"](3, 5)
    package = networks.ResidualBlock(3, 5)
    package.load_state_dict(by_hand.state_dict())
    x = torch.randn(4, 3, size, size)
    assert torch.allclose(by_hand(x), package(x), atol=1e-6)


def test_upsampling(chapter):
    torch.manual_seed(3)
    package = networks.PatchUpsample(4, 3)
    x = torch.randn(2, 4, 5, 6)
    by_hand = chapter["upsample_by_hand"](x, package.weight, package.bias)
    assert torch.allclose(by_hand, package(x), atol=1e-6)


@pytest.mark.parametrize("latent_dim", [2, 40])
def test_whole_network(chapter, latent_dim):
    torch.manual_seed(4)
    parts = {name: chapter[f"{name}_by_hand"](latent_dim) for name in ("encoder", "decoder")}
    by_hand = nn.ModuleDict(parts).eval()
    package = networks.Autoencoder(networks.NetworkConfig(latent_dim=latent_dim)).eval()
    package.load_state_dict(by_hand.state_dict())
    x = torch.randn(2, 1, 32, 32)
    latents = by_hand["encoder"](x)
    output = package(x)
    assert torch.allclose(output.latents, latents, atol=1e-5)
    assert torch.allclose(output.reconstructions, by_hand["decoder"](latents), atol=1e-5)


def test_stretched_codes(chapter):
    torch.manual_seed(5)
    model = networks.Autoencoder(networks.NetworkConfig(latent_dim=3)).eval()
    change = torch.randn(3, 3)
    before = copy.deepcopy(model.state_dict())
    by_hand, package = (
        chapter["stretched"](model, change),
        networks.transform_latents(model, change),
    )
    for name, value in package.state_dict().items():
        assert torch.allclose(value, by_hand.state_dict()[name], atol=1e-5)
        assert torch.equal(model.state_dict()[name], before[name])
