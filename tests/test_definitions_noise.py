"""What the chapter on noise injection defines before it imports it is the package's."""

import pytest
import torch

from csae import noise
from csae.centroids import simplex
from csae.networks import NetworkConfig, decoder
from tests.chapters import definitions


@pytest.fixture(scope="module")
def chapter():
    return definitions("noise")


@pytest.fixture(scope="module")
def decode():
    """A small decoder in evaluation mode, with normalisation that is not the identity."""
    torch.manual_seed(0)
    network = decoder(NetworkConfig(latent_dim=5, widths=(4, 8), image_size=8)).double()
    for _ in range(3):
        network(3 * torch.randn(50, 5, dtype=torch.float64))
    return network.eval()


@pytest.fixture
def codes():
    torch.manual_seed(1)
    return torch.randn(7, 5, dtype=torch.float64)


def test_layer(chapter):
    codes = torch.randn(6, 4)
    for mode in (True, False):
        results = []
        for layer in (chapter["NoisyCode"](0.7), noise.GaussianNoise(0.7)):
            torch.manual_seed(3)
            results.append(layer.train(mode)(codes))
        assert torch.equal(*results)
        assert torch.equal(results[0], codes) != mode


@pytest.mark.parametrize("std", [0.2, 1.0, 9.0])
def test_crossing(chapter, std):
    distance = noise.closest_distance(simplex(4, 9, scale=2.0))
    by_hand = chapter["crossing_by_hand"](std, distance)
    assert by_hand == pytest.approx(noise.crossing_probability(std, distance), rel=1e-12)


def test_jacobian(chapter, decode, codes):
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        by_hand = chapter["squared_norm_by_hand"](decode, codes)
    finally:
        torch.set_default_dtype(default)
    assert torch.allclose(by_hand, noise.squared_jacobian_norm(decode, codes), rtol=1e-10)


def test_increase(chapter, decode, codes):
    images = torch.randn(7, 1, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        spread, curvature = chapter["increase_by_hand"](decode, codes, images, 0.3, 5, seed=4)
    package = noise.noise_increase(decode, codes, images, 0.3, draws=5, seed=4)
    assert torch.allclose(spread, package.spread, rtol=1e-10)
    assert torch.allclose(curvature, package.curvature, rtol=1e-8)


@pytest.mark.parametrize("shape", noise.SHAPES)
@pytest.mark.parametrize("progress", [0.0, 0.3, 1.0])
def test_schedule(chapter, shape, progress):
    package = noise.NoiseSchedule(noise.GaussianNoise(0.0), 0.9, 0.1, shape)
    assert chapter["std_by_hand"](progress, 0.9, 0.1, shape) == package.std(progress)


def test_steps(chapter, decode, codes):
    ends = codes[:3], codes[3:6]
    with torch.no_grad():
        by_hand = chapter["steps_by_hand"](decode, *ends, 6)
    assert torch.allclose(by_hand, noise.path_steps(decode, *ends, steps=6), rtol=1e-6)
