"""What a chapter defines before it imports the package's version is the same thing.

The functions are taken out of the notebook as the reader sees them.
"""

import pytest
import torch

from csae import centroids
from csae.centroids.search import _energy
from tests.chapters import definitions


@pytest.fixture
def geometry():
    """The functions that the chapter on PEDCC geometry defines, in float64 as there."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield definitions("centroids")
    torch.set_default_dtype(before)


@pytest.mark.parametrize("k", [2, 5, 26])
def test_simplex(geometry, k):
    by_hand, package = geometry["simplex_by_hand"](k), centroids.simplex(k, k - 1)
    assert torch.allclose(by_hand @ by_hand.T, package @ package.T, atol=1e-14)


@pytest.mark.parametrize(("k", "d"), [(3, 4), (6, 3), (47, 40)])
def test_orthoplex(geometry, k, d):
    """The same up to the order and the signs of the axes."""
    by_hand, package = geometry["orthoplex_by_hand"](k, d), centroids.orthoplex(k, d)
    assert torch.equal(by_hand @ by_hand.T, package @ package.T)


@pytest.mark.parametrize(("k", "d"), [(2, 2), (5, 3), (12, 20)])
def test_charges(geometry, k, d):
    by_hand = geometry["repel"](k, d, seed=4, step=0.02, steps=40)
    package = centroids.charge_model(k, d, seed=4, step=0.02, steps=40, trajectory=True)
    assert torch.allclose(by_hand, package, atol=1e-10)


@pytest.mark.parametrize("exponent", [0.5, 30.0, 1e5])
def test_energy(geometry, exponent):
    points = centroids.random_directions(9, 4, seed=1)
    by_hand = geometry["soft_closest_pair"](points, exponent)
    assert by_hand.item() == pytest.approx(_energy(points, exponent)[0], rel=1e-12)


def test_search(geometry):
    angles, points = geometry["search_code"](12, 3, [4.0**k for k in range(12)])
    package = centroids.separation(centroids.spherical_code(12, 3)).smallest_angle
    assert angles[-1].item() == pytest.approx(package, abs=1e-3)
    assert centroids.separation(points).smallest_angle == pytest.approx(angles[-1].item())


def test_pair_cosines(geometry):
    points = centroids.random_directions(20, 6, scale=3)
    cosines = geometry["pair_cosines"](points)
    assert len(cosines) == 190
    assert cosines.max().item() == pytest.approx(centroids.separation(points).largest_cosine)
