"""Distances between distributions of features, and between samples and training images."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from csae.evaluation import (
    frechet_distance,
    memorisation_ratio,
    nearest_images,
    precision_recall,
)


def normal(count, dim, seed=0, mean=0.0, std=1.0):
    generator = torch.Generator().manual_seed(seed)
    return mean + std * torch.randn(count, dim, generator=generator, dtype=torch.float64)


def whitened(count, dim):
    """Features whose mean is 0 and whose covariance is the identity, up to rounding."""
    x = normal(count, dim)
    x = x - x.mean(dim=0)
    return x @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(x.T).reshape(dim, dim))).T


@given(st.integers(1, 6), st.floats(0.1, 3), st.floats(0.1, 3), st.floats(-2, 2))
@settings(deadline=None)
def test_frechet_distance_of_known_gaussians(dim, first, second, shift):
    """Of a^2 I and b^2 I: d (a - b)^2, plus the squared distance of the means."""
    x = whitened(50, dim)
    found = frechet_distance(first * x, second * x + shift)
    expected = dim * (first - second) ** 2 + dim * shift**2
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_equation_frechet_distance():
    """Parity with the usual formula: scipy's root of the product of two full covariances."""
    torch.manual_seed(0)
    one = normal(400, 8) @ torch.randn(8, 8, dtype=torch.float64)
    other = normal(300, 8, seed=1, mean=0.5) @ torch.randn(8, 8, dtype=torch.float64)
    first, second = (np.cov(x.numpy(), rowvar=False) for x in (one, other))
    root = scipy.linalg.sqrtm(first @ second).real
    shift = (one.mean(dim=0) - other.mean(dim=0)).square().sum().item()
    expected = shift + np.trace(first + second - 2 * root)
    assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(other, one) == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_of_nearly_constant_dimensions():
    """A dimension of hardly any variance, or of none, changes nothing; equal sets are at 0."""
    one, other = normal(200, 5), normal(200, 5, seed=1, std=1.5)
    still = torch.cat([torch.full((200, 2), 7.0), 1e-9 * normal(200, 1, seed=2)], dim=1)
    expected = frechet_distance(one, other)
    found = frechet_distance(torch.cat([one, still], 1), torch.cat([other, still], 1))
    assert found == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(one.float(), one[torch.randperm(200)].float()) < 1e-9
    assert frechet_distance(still[:, :1], still[:, 1:2]) == 0  # one dimension, constant


def test_frechet_distance_has_a_floor_that_more_images_lower():
    """Two samples of one distribution: the reason why real images are compared with real ones."""
    few, many = (frechet_distance(normal(n, 20), normal(n, 20, seed=1)) for n in (100, 10_000))
    assert 0 < many < few / 10


def brute_force(points, manifold, neighbours):
    """Share of points in a ball, one pair after the other."""
    radii = [sorted((x - y).norm().item() for y in manifold)[neighbours] for x in manifold]
    inside = [
        any((p - x).norm().item() <= r for x, r in zip(manifold, radii, strict=True))
        for p in points
    ]
    return sum(inside) / len(inside)


@pytest.mark.parametrize("neighbours", [1, 3])
def test_precision_and_recall_count_balls(neighbours, monkeypatch):
    monkeypatch.setattr("csae.evaluation.samples._ROWS", 7)  # in pieces that do not fit
    real, generated = normal(40, 2), normal(30, 2, seed=1, mean=0.7, std=0.6)
    found = precision_recall(real, generated, neighbours)
    assert found.precision == brute_force(generated, real, neighbours)
    assert found.recall == brute_force(real, generated, neighbours)
    assert 0 < found.precision < 1
    assert 0 < found.recall < 1


def test_precision_and_recall_of_known_cases():
    real = normal(500, 4)
    assert precision_recall(real, real) == (1, 1)
    assert precision_recall(real, normal(500, 4, seed=1, mean=50)) == (0, 0)
    # One mode of two: what is drawn is real, and half of what is real is never drawn.
    modes = torch.cat([real, normal(500, 4, seed=1, mean=50)])
    one = normal(500, 4, seed=2)
    precision, recall = precision_recall(modes, one)
    assert precision > 0.7
    assert 0.3 < recall <= 0.5
    # Too wide: all that is real is covered, and most of what is drawn is not real.
    precision, recall = precision_recall(real, normal(500, 4, seed=3, std=4))
    assert precision < 0.3
    assert recall > 0.9


def pictures(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 1, 28, 28), generator=generator, dtype=torch.uint8)


def test_nearest_images_are_the_nearest(monkeypatch):
    monkeypatch.setattr("csae.evaluation.samples._ROWS", 9)
    training, images = pictures(50), pictures(11, seed=1).float() / 255
    table = torch.cdist(images.flatten(1).double(), training.flatten(1).double() / 255)
    found = nearest_images(images, training)
    assert torch.equal(found.rows, table.argmin(dim=1))
    assert torch.allclose(found.distances, table.amin(dim=1), rtol=1e-6)
    pixels = nearest_images(images, training.float() / 255)
    assert torch.equal(pixels.rows, found.rows)
    assert torch.allclose(pixels.distances, found.distances)


def test_copies_are_found_and_new_images_are_not_copies():
    training, new = pictures(50), pictures(20, seed=1).float() / 255
    copies = training[10:30].float() / 255
    found = nearest_images(copies, training)
    assert found.rows.tolist() == list(range(10, 30))
    assert found.distances.max() < 1e-6
    assert memorisation_ratio(copies, new, training) < 1e-6
    assert memorisation_ratio(pictures(20, seed=2) / 255, new, training) == pytest.approx(1, 0.05)
    with pytest.raises(ValueError, match="held_out must hold new images"):
        memorisation_ratio(new, copies, training)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: frechet_distance(normal(1, 3), normal(5, 3)), "first must be at least 2 rows"),
        (lambda: frechet_distance(normal(5, 3), normal(5, 2)), r"second must be .* \(N, 3\)"),
        (lambda: frechet_distance(normal(5, 3), normal(5, 3) * math.nan), "second must be finite"),
        (lambda: frechet_distance(normal(5, 3).long(), normal(5, 3)), "first must be floating"),
        (lambda: precision_recall(normal(3, 2), normal(9, 2)), "real must be at least 4 rows"),
        (lambda: precision_recall(normal(9, 2), normal(3, 2)), "generated must be at least 4"),
        (lambda: precision_recall(normal(9, 2), normal(9, 2), 0), "neighbours must be an integer"),
        (lambda: nearest_images(pictures(2), pictures(2)), "images must be floating point"),
        (lambda: nearest_images(pictures(2) / 255, pictures(2)[..., :9]), "training must be .*28"),
        (lambda: nearest_images(pictures(2) / 255, pictures(2).int()), "training must be floating"),
    ],
)
def test_wrong_features_and_images_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
