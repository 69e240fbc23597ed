import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from csae.centroids import simplex

shapes = st.integers(2, 60).flatmap(lambda k: st.tuples(st.just(k), st.integers(k - 1, 80)))


@given(shapes, st.floats(1e-3, 1e3), st.integers(0, 2**31))
@settings(deadline=None)
def test_simplex_is_regular(shape, scale, seed):
    k, d = shape
    centroids = simplex(k, d, scale=scale, seed=seed)
    assert centroids.shape == (k, d)
    assert centroids.dtype == torch.float64
    cosines = centroids @ centroids.T / scale**2
    ideal = torch.full((k, k), -1 / (k - 1), dtype=torch.float64).fill_diagonal_(1)
    assert (cosines - ideal).abs().max() < 1e-13
    assert centroids.sum(dim=0).abs().max() < 1e-12 * scale * k


def test_seed_chooses_the_rotation():
    assert torch.equal(simplex(5, 9, seed=3), simplex(5, 9, seed=3))
    assert not torch.allclose(simplex(5, 9, seed=3), simplex(5, 9, seed=4))


def test_rotation_leaves_no_direction_out():
    """Over many seeds, a centroid points everywhere: its mean direction vanishes."""
    directions = torch.stack([simplex(3, 4, seed=seed)[0] for seed in range(2000)])
    assert directions.mean(dim=0).norm() < 0.06
    assert torch.allclose(directions.T @ directions / 2000, torch.eye(4).double() / 4, atol=0.03)


def test_global_random_state_is_left_alone():
    before = torch.random.get_rng_state()
    simplex(10, 40)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, 4), "num_classes must be an integer of at least 2, got 1"),
        ((2.5, 4), "num_classes must be an integer of at least 2, got 2.5"),
        ((True, 4), "num_classes must be an integer"),
        ((3, 0), "latent_dim must be an integer of at least 1, got 0"),
        ((10, 8), "latent_dim=8 is too small for num_classes=10: .* at least 9"),
        ((3, 4, 0.0), "scale must be a positive, finite number, got 0.0"),
        ((3, 4, float("nan")), "scale must be a positive, finite number, got nan"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    k, d, *scale = arguments
    with pytest.raises(ValueError, match=message):
        simplex(k, d, **({"scale": scale[0]} if scale else {}))
