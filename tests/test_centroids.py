"""Constructions of centroids against theory, known optima and each other.

A test named ``test_equation_...`` checks the equation of that name in the book (see the page
"Claims map").
"""

import itertools
import math
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from benchmarks.centroids import charge_model_by_loops
from csae.centroids import (
    bound,
    charge_model,
    class_component,
    class_subspace,
    orthoplex,
    pedcc,
    polygon,
    random_directions,
    separation,
    simplex,
    spherical_code,
)

simplex_shapes = st.integers(2, 60).flatmap(lambda k: st.tuples(st.just(k), st.integers(k - 1, 80)))
orthoplex_shapes = st.integers(1, 40).flatmap(
    lambda d: st.tuples(st.integers(2, 2 * d), st.just(d))
)
scales = st.floats(1e-3, 1e3)
seeds = st.integers(0, 2**31)
CONSTRUCTIONS = (pedcc, simplex, orthoplex, random_directions, charge_model, spherical_code)

# Smallest angles in degrees of K points in three dimensions. K = 7 to 12: proven (Schuette and van
# der Waerden 1951, Danzer 1986). Beyond: the best known, from the tables of Sloane and others;
# those of 13, 14 and 24 are proven, too.
BEST_ANGLES = {
    7: 77.8695421, 8: 74.8584922, 9: 70.5287794, 10: 66.1468220, 11: 63.4349488, 12: 63.4349488,
    13: 57.1367031, 14: 55.6705700, 15: 53.6578501, 16: 52.2443957, 17: 51.0903285, 18: 49.5566548,
    19: 47.6919141, 20: 47.4310362, 21: 45.6132231, 22: 44.7401612, 23: 43.7099642, 24: 43.6907671,
    25: 41.6344612, 26: 41.0376616, 27: 40.6776007, 28: 39.3551436, 29: 38.7136512, 30: 38.5971159,
}  # fmt: skip
FEW_ANGLES = (7, 8, 9, 10, 11, 12, 14, 17, 20, 24)  # found in seconds


def pair_cosines(centroids):
    """Cosines of all pairs, computed plainly: (K (K - 1) / 2,)."""
    unit = centroids / centroids.norm(dim=-1, keepdim=True)
    return (unit @ unit.T)[tuple(torch.triu_indices(len(unit), len(unit), 1))]


# Closed forms


@given(simplex_shapes, scales, seeds)
@settings(deadline=None)
def test_simplex_is_regular(shape, scale, seed):
    k, d = shape
    centroids = simplex(k, d, scale=scale, seed=seed)
    assert centroids.shape == (k, d)
    assert centroids.dtype == torch.float64
    gram = centroids @ centroids.T / scale**2
    ideal = torch.full((k, k), -1 / (k - 1), dtype=torch.float64).fill_diagonal_(1)
    assert (gram - ideal).abs().max() < 1e-14
    assert centroids.sum(dim=0).abs().max() < 1e-13 * scale * k


def test_equation_simplex_cosine():
    for k in range(2, 201):
        assert (pair_cosines(simplex(k, k - 1)) + 1 / (k - 1)).abs().max() <= 1e-14, k
    assert (pair_cosines(simplex(1000, 1024)) + 1 / 999).abs().max() <= 1e-14


@pytest.mark.parametrize("k", [2, 3, 10, 47])
def test_equation_helmert_vertices(k):
    """The coordinates of the formula, up to the rotation that the seed chooses."""
    by_formula = torch.zeros(k, k - 1, dtype=torch.float64)
    for j in range(1, k):
        by_formula[:j, j - 1] = 1 / math.sqrt(j * (j + 1))
        by_formula[j, j - 1] = -j / math.sqrt(j * (j + 1))
    by_formula *= math.sqrt(k / (k - 1))
    # Two sets of points differ by a rotation exactly if all their inner products agree ...
    centroids = simplex(k, k + 3, seed=5)
    assert torch.allclose(by_formula @ by_formula.T, centroids @ centroids.T, atol=1e-14)
    # ... and this one keeps lengths, because its columns are orthonormal.
    rotation = torch.linalg.lstsq(by_formula, centroids).solution  # (K-1, d)
    assert torch.allclose(by_formula @ rotation, centroids, atol=1e-13)
    assert torch.allclose(rotation @ rotation.T, torch.eye(k - 1).double(), atol=1e-13)


@given(simplex_shapes, scales)
@settings(deadline=None)
def test_equation_centroid_distance(shape, scale):
    k, d = shape
    distances = torch.pdist(simplex(k, d, scale=scale))
    assert torch.allclose(
        distances, torch.full_like(distances, scale * math.sqrt(2 * k / (k - 1))), rtol=1e-12
    )


@given(orthoplex_shapes, scales, seeds)
def test_equation_orthoplex_cosine(shape, scale, seed):
    k, d = shape
    centroids = orthoplex(k, d, scale=scale, seed=seed)
    cosines = pair_cosines(centroids)
    assert cosines.max().item() == (0 if d > 1 else -1)  # exactly
    assert set(cosines.tolist()) <= {0.0, -1.0}
    assert (cosines == -1).sum() == max(k - d, 0)  # opposite pairs
    assert torch.equal(centroids.norm(dim=1), torch.full((k,), scale, dtype=torch.float64))


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 50])
def test_polygon_is_regular(k):
    corners = polygon(k, scale=3, seed=1)
    assert torch.allclose(corners.norm(dim=1), torch.full((k,), 3.0).double())
    if k > 1:
        assert separation(corners).smallest_angle == pytest.approx(360 / k, abs=1e-9)


def test_seed_chooses_the_rotation():
    for build in (simplex, orthoplex, random_directions, charge_model):
        assert torch.equal(build(5, 9, seed=3), build(5, 9, seed=3))
        assert not torch.allclose(build(5, 9, seed=3), build(5, 9, seed=4))
    assert not torch.allclose(polygon(5, seed=3), polygon(5, seed=4))


def test_rotation_leaves_no_direction_out():
    """Over many seeds, a centroid points everywhere: its mean direction vanishes."""
    directions = torch.stack([simplex(3, 4, seed=seed)[0] for seed in range(2000)])
    assert directions.mean(dim=0).norm() < 0.06
    assert torch.allclose(directions.T @ directions / 2000, torch.eye(4).double() / 4, atol=0.03)


def test_global_random_state_is_left_alone():
    before = torch.random.get_rng_state()
    for build in CONSTRUCTIONS:
        build(5, 4)
    assert torch.equal(before, torch.random.get_rng_state())


def test_equation_random_cosine():
    """Mean 0 and variance 1/d, within four standard errors of 100,000 and more pairs."""
    for d in (2, 3, 40, 512):
        cosines = pair_cosines(random_directions(500, d, seed=d))
        assert abs(cosines.mean()) < 4 / math.sqrt(d * 500)  # 500 independent directions
        assert cosines.square().mean().item() == pytest.approx(1 / d, rel=0.05)


@pytest.mark.parametrize(("k", "d"), [(10, 40), (47, 40), (100, 512)])
def test_equation_random_largest_cosine(k, d):
    """Among 400 draws, the bound for a probability of 5 % is passed by no more than 40."""
    limit = math.sqrt(2 / d * math.log(k * (k - 1) / 2 / 0.05))
    draws = [pair_cosines(random_directions(k, d, seed=seed)).max() for seed in range(400)]
    assert sum(cosine >= limit for cosine in draws) <= 40
    assert max(draws) > limit / 2  # and it is no empty promise


# The charge model


@pytest.mark.parametrize(("k", "d"), [(3, 2), (10, 40), (26, 25)])
def test_equation_charge_step(k, d):
    """The vectorised steps are those of a plain loop over pairs."""
    by_loops = charge_model_by_loops(k, d, seed=2, steps=30)
    vectorised = charge_model(k, d, seed=2, steps=30, scale=2.0)
    assert np.abs(2 * by_loops - vectorised.numpy()).max() < 1e-11


# Not for just any seed: a start near a saddle point takes more steps, without any limit.
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("k", "d"), [(2, 3), (3, 3), (4, 3), (5, 6), (8, 7), (8, 10)])
def test_charges_converge_to_the_simplex(k, d, seed):
    """From random starts, wherever a simplex exists and charges can pass each other (d > 2)."""
    assert separation(charge_model(k, d, seed=seed, steps=6000)).deviation < 1e-6


@pytest.mark.parametrize(
    ("k", "d", "lowest", "highest"),
    [(10, 40, 1e-4, 4e-3), (26, 25, 3e-5, 0.3), (100, 512, 3e-3, 1.2e-2)],
)
def test_charges_are_not_there_after_200_steps(k, d, lowest, highest):
    for seed in range(4):
        assert lowest < separation(charge_model(k, d, seed=seed)).deviation < highest


def test_trajectory_holds_every_step():
    path = charge_model(4, 3, steps=7, scale=2.0, trajectory=True)
    assert path.shape == (8, 4, 3)
    assert torch.allclose(path.norm(dim=2), torch.tensor(2.0).double())
    assert torch.equal(path[0], random_directions(4, 3, scale=2.0))
    assert torch.equal(path[-1], charge_model(4, 3, steps=7, scale=2.0))
    assert torch.equal(path[3], charge_model(4, 3, steps=3, scale=2.0))


def test_huge_steps_stay_on_the_sphere():
    charges = charge_model(40, 3, step=1e100)
    assert torch.allclose(charges.norm(dim=1), torch.ones(40).double())


# Spherical codes


# All of them by hand: at 26 and 28 the search can end in a maximum just below.
@pytest.mark.parametrize("k", BEST_ANGLES if os.environ.get("CSAE_ALL_ANGLES") else FEW_ANGLES)
def test_codes_in_three_dimensions_reach_the_best_known(k):
    angle = separation(spherical_code(k, 3, progress=False)).smallest_angle
    assert angle == pytest.approx(BEST_ANGLES[k], abs=0.01 if k in (26, 28) else 0.005)


@pytest.mark.parametrize(
    ("k", "d", "cosine"),
    [
        (5, 4, -1 / 4),  # a simplex
        (7, 5, 0.0),  # within an orthoplex's range
        (16, 5, 1 / 5),  # Clebsch
        (24, 4, 1 / 2),  # 24-cell
        (27, 6, 1 / 4),  # Schlaefli
        (56, 7, 1 / 3),
        (120, 4, (1 + math.sqrt(5)) / 4),  # 600-cell
        (240, 8, 1 / 2),  # roots of E8
    ],
)
def test_known_codes_are_found_to_machine_precision(k, d, cosine):
    apart = separation(spherical_code(k, d, progress=False))
    assert apart.largest_cosine == pytest.approx(cosine, abs=1e-14)
    assert apart.gap > -1e-7


def test_equation_soft_closest_pair():
    """The energy lies above the closest pair's term by at most log(pairs) / exponent."""
    from csae.centroids.search import _energy

    points = random_directions(30, 5, seed=1)
    closest = -math.log(1 - separation(points).largest_cosine)
    for exponent in (1.0, 16.0, 1024.0, 2.0**30):
        value, _ = _energy(points, exponent)
        gaps = 1 - pair_cosines(points)
        terms = 2 * ((gaps.min() / gaps) ** exponent).sum().item()  # each pair in both orders
        assert value == pytest.approx(closest + math.log(terms) / exponent, rel=1e-12)
        assert closest < value <= closest + math.log(30 * 29) / exponent


@pytest.mark.parametrize("exponent", [0.5, 8.0, 300.0])
def test_energy_gradient_is_right_in_chunks(exponent, monkeypatch):
    from csae.centroids import cosines
    from csae.centroids.search import _energy

    points = 1.7 * random_directions(23, 4, seed=3)
    value, gradient = _energy(points, exponent)
    exact = points.clone().requires_grad_()
    unit = torch.nn.functional.normalize(exact, dim=1)
    off = ~torch.eye(23, dtype=torch.bool)
    energy = torch.logsumexp(-exponent * torch.log(1 - (unit @ unit.T)[off]), 0) / exponent
    energy.backward()
    assert value == pytest.approx(energy.item(), rel=1e-12)
    assert torch.allclose(gradient, exact.grad, rtol=1e-9, atol=1e-12)
    monkeypatch.setattr(cosines, "_CHUNK_NUMBERS", 100)  # four rows at a time
    again, pieces = _energy(points, exponent)
    assert again == pytest.approx(value, rel=1e-12)
    assert torch.allclose(pieces, gradient, rtol=1e-9, atol=1e-12)


def test_more_starts_do_no_harm_and_seed_repeats():
    few, many = (spherical_code(13, 3, starts=n, progress=False) for n in (2, 12))
    assert separation(many).smallest_angle >= separation(few).smallest_angle - 1e-9
    assert torch.equal(few, spherical_code(13, 3, starts=2, progress=False))
    assert not torch.allclose(few, spherical_code(13, 3, starts=2, seed=1, progress=False))


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory as Linux gives it")
def test_ten_thousand_centroids_fit_into_four_gigabytes():
    """Memory grows with the square of the number: here half of it in a quarter of the room."""
    script = (
        "import resource, torch\n"
        "from csae.centroids import separation, spherical_code\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "code = spherical_code(5_000, 128, iterations=1, progress=False)\n"
        "assert separation(code).largest_cosine < 0.45\n"
        "print(peak() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 900_000  # kilobytes


# Bounds and measures


@pytest.mark.parametrize("sizes", [[2, 3], [7, 7, 7, 7, 7, 6, 6], [24, 23], [2] * 5])
def test_orthogonal_simplices_are_as_good_as_an_orthoplex(sizes):
    """K - d simplices in orthogonal subspaces, as in exercise 5 of the geometry chapter."""
    centroids = torch.block_diag(*(simplex(size, size - 1) for size in sizes))
    k, d = centroids.shape
    assert len(sizes) == k - d
    assert separation(centroids).gap == pytest.approx(0, abs=1e-9)
    assert centroids.sum(dim=0).abs().max() < 1e-12


@given(orthoplex_shapes, seeds)
@settings(deadline=None)
def test_equation_rankin_bound(shape, seed):
    """Attained by simplex and orthoplex, beaten by nothing: not by charges, not by chance."""
    k, d = shape
    if d == 1:
        return
    limit = bound(k, d)
    assert limit.name == "Rankin"
    assert limit.cosine == (-1 / (k - 1) if k <= d + 1 else 0)
    best = simplex(k, d) if k <= d + 1 else orthoplex(k, d)
    assert separation(best).gap == pytest.approx(0, abs=1e-6)
    assert separation(charge_model(k, d, seed=seed, steps=50)).gap > -1e-6
    assert separation(random_directions(k, d, seed=seed)).gap > -1e-6


def test_equation_levenshtein_bound():
    """Attained by the known sharp codes, and below every other code."""
    sharp = {
        (12, 3): 1 / math.sqrt(5), (16, 5): 1 / 5, (27, 6): 1 / 4, (56, 7): 1 / 3, (240, 8): 1 / 2,
        (100, 22): 1 / 11, (162, 21): 1 / 7, (552, 23): 1 / 5, (196_560, 24): 1 / 2,
    }  # fmt: skip
    for (k, d), cosine in sharp.items():
        assert bound(k, d).cosine == pytest.approx(cosine, abs=1e-12), (k, d)
    for k, angle in BEST_ANGLES.items():
        assert bound(k, 3).cosine <= math.cos(math.radians(angle)) + 1e-9
    for k, d in ((24, 4), (120, 4), (60, 6)):
        assert bound(k, d).name == "Levenshtein"
        assert bound(k, d).cosine < separation(spherical_code(k, d, starts=2)).largest_cosine
    # It only rises with the number of points, through all the degrees of its polynomials.
    for d in (3, 4, 17, 128):
        limits = [bound(k, d).cosine for k in range(2, 3000, 7)]
        assert all(a <= b for a, b in itertools.pairwise(limits))


def test_equation_fejes_toth_bound():
    for k, cosine in ((4, -1 / 3), (6, 0.0), (12, 1 / math.sqrt(5))):
        assert bound(k, 3).cosine == pytest.approx(cosine, abs=1e-12)
    assert bound(30, 3).name == "Fejes Tóth"
    assert bound(9, 2) == (pytest.approx(math.cos(2 * math.pi / 9)), "regular polygon")


def test_equation_frame_tightness():
    """1 exactly for tight frames; otherwise what the sum over all pairs gives."""
    for tight in (simplex(26, 40), orthoplex(80, 40), orthoplex(12, 40), polygon(7)):
        assert separation(tight).tightness == pytest.approx(1, abs=1e-12)
    for k, d in ((47, 40), (7, 40), (500, 12)):
        points = random_directions(k, d)
        squares = k + 2 * pair_cosines(points).square().sum().item()
        tightness = separation(points).tightness
        assert tightness == pytest.approx(k**2 / (min(k, d) * squares), rel=1e-9)
        assert 0 < tightness < 1


def test_separation_of_plain_examples():
    right_angle = torch.tensor([[3.0, 0.0], [0.0, 0.2]])  # norms do not matter
    assert separation(right_angle) == (90.0, 0.0, 1.0, (-1.0, "Rankin"), 90.0, 1.0)
    opposite = separation(torch.tensor([[1.0], [-2.0]]))
    assert (opposite.smallest_angle, opposite.gap, opposite.deviation) == (180.0, 0.0, 0.0)
    same = separation(torch.ones(2, 3, dtype=torch.float16))
    assert same.smallest_angle == 0
    assert same.tightness == pytest.approx(1)


# The front door, and edges


@pytest.mark.parametrize(
    ("k", "d", "construction"),
    [
        (1, 1, "simplex"), (1, 7, "simplex"), (2, 1, "simplex"), (2, 40, "simplex"),
        (3, 2, "simplex"), (4, 2, "orthoplex"), (5, 2, "polygon"), (41, 40, "simplex"),
        (42, 40, "orthoplex"), (47, 40, "orthoplex"), (80, 40, "orthoplex"),
        (7, 3, "spherical_code"),
    ],
)  # fmt: skip
def test_pedcc_takes_the_best_guarantee(k, d, construction):
    centroids, name = pedcc(k, d, scale=2.5, seed=1)
    assert name == construction
    assert centroids.shape == (k, d)
    assert centroids.dtype == torch.float64
    assert torch.allclose(centroids.norm(dim=1), torch.tensor(2.5).double())
    if construction != "spherical_code" and k > 1:
        assert separation(centroids).gap == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("build", CONSTRUCTIONS, ids=lambda build: build.__name__)
def test_one_and_two_centroids(build):
    def points(k, d):
        built = build(k, d)
        return built.centroids if build is pedcc else built

    lonely = points(1, 3)
    assert lonely.shape == (1, 3)
    assert lonely.norm() == pytest.approx(1)
    pair = separation(points(2, 3))
    if build not in (orthoplex, random_directions, charge_model):
        assert pair.largest_cosine == pytest.approx(-1, abs=1e-14)
    if build in (pedcc, simplex, orthoplex, spherical_code):
        assert points(1, 1).abs().item() == 1
        line = points(2, 1)
        assert sorted(line.flatten().tolist()) == [pytest.approx(-1), pytest.approx(1)]


@pytest.mark.parametrize("build", CONSTRUCTIONS, ids=lambda build: build.__name__)
@pytest.mark.parametrize(
    ("arguments", "scale", "message"),
    [
        ((0, 4), 1, "num_classes must be an integer of at least 1, got 0"),
        ((-3, 4), 1, "num_classes must be an integer of at least 1, got -3"),
        ((2.5, 4), 1, "num_classes must be an integer of at least 1, got 2.5"),
        ((4.0, 4), 1, "num_classes must be an integer of at least 1, got 4.0"),
        ((True, 4), 1, "num_classes must be an integer"),
        (("3", 4), 1, "num_classes must be an integer of at least 1, got '3'"),
        ((3, 0), 1, "latent_dim must be an integer of at least 1, got 0"),
        ((3, 3.5), 1, "latent_dim must be an integer of at least 1, got 3.5"),
        ((3, 4), 0.0, "scale must be a finite number from 1e-100 to 1e[+]100, got 0.0"),
        ((3, 4), -1, "scale must be a finite number from 1e-100 to 1e[+]100, got -1"),
        ((3, 4), math.nan, "scale must be a finite number from 1e-100 to 1e[+]100, got nan"),
        ((3, 4), math.inf, "scale must be a finite number from 1e-100 to 1e[+]100, got inf"),
        ((3, 4), 10**400, "scale must be a finite number from 1e-100 to 1e[+]100, got 1000"),
        ((3, 4), True, "scale must be a finite number from 1e-100 to 1e[+]100, got True"),
        ((3, 4), "2", "scale must be a finite number from 1e-100 to 1e[+]100, got '2'"),
    ],
)
def test_wrong_arguments_are_named(build, arguments, scale, message):
    with pytest.raises(ValueError, match=message):
        build(*arguments, scale=scale)


@pytest.mark.parametrize("build", CONSTRUCTIONS, ids=lambda build: build.__name__)
@pytest.mark.parametrize("seed", [-1, 0.5, None])
def test_wrong_seeds_are_named(build, seed):
    with pytest.raises(ValueError, match=f"seed must be an integer from 0 to .*, got {seed}"):
        build(4, 3, seed=seed)
    with pytest.raises(
        ValueError, match="seed must be an integer from 0 to 9,223,372,036,854,775,807, got"
    ):
        build(4, 3, seed=2**63)


@pytest.mark.parametrize("build", CONSTRUCTIONS[:3] + CONSTRUCTIONS[4:], ids=lambda b: b.__name__)
def test_a_line_has_room_for_two(build):
    with pytest.raises(ValueError, match="num_classes must be at most 2 for latent_dim=1, got 3"):
        build(3, 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: simplex(10, 8), "latent_dim=8 is too small for num_classes=10: .* at least 9"),
        (lambda: orthoplex(9, 4), "num_classes=9 is too large for latent_dim=4: .* 8 vertices"),
        (lambda: charge_model(2, 1), "latent_dim must be at least 2"),
        (lambda: charge_model(3, 2, steps=-1), "steps must be an integer of at least 0, got -1"),
        (
            lambda: charge_model(3, 2, step=0),
            "step must be a finite number from 1e-100 to 1e[+]100, got 0",
        ),
        (lambda: charge_model(3, 2, step=math.nan), "step must be a finite number .* got nan"),
        (lambda: charge_model(3, 2, step="1"), "step must be a finite number .* got '1'"),
        (lambda: spherical_code(9, 3, starts=0), "starts must be an integer of at least 1, got 0"),
        (lambda: spherical_code(9, 3, iterations=2.5), "iterations must be an integer"),
        (lambda: bound(1, 3), "num_classes must be an integer of at least 2, got 1"),
        (lambda: bound(5, 1), "num_classes must be at most 2 for latent_dim=1, got 5"),
        (lambda: separation([[1.0], [2.0]]), "centroids must be a torch.Tensor, got list"),
        (lambda: separation(torch.ones(3)), r"shape \(K, d\), got .* shape \(3,\)"),
        (lambda: separation(torch.ones(3, 2).long()), "must be floating point .* got int64"),
        (lambda: separation(torch.ones(1, 2)), r"at least 2 to be apart, got shape \(1, 2\)"),
        (lambda: separation(torch.ones(3, 0)), r"shape \(K, d\), got .* shape \(3, 0\)"),
        (lambda: separation(torch.ones(3, 1)), "at most 2 in one dimension, got 3"),
        (lambda: separation(torch.eye(3).to_sparse()), "dense, got torch.sparse_coo"),
        (lambda: separation(pedcc(5, 4)), "must be a torch.Tensor, .*; pass its field centroids"),
        (lambda: separation(torch.zeros(2, 2)), "finite and none of them zero"),
        (lambda: separation(torch.full((2, 2), math.nan)), "finite and none of them zero"),
    ],
)
def test_wrong_input_is_explained(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.int64])
def test_numpy_integers_do_not_overflow(kind):
    """Labels are often uint8, so their largest plus one is, too."""
    assert pedcc(kind(100), kind(90)).construction == "orthoplex"
    assert bound(kind(90), kind(70)) == (0.0, "Rankin")
    assert spherical_code(kind(60), kind(20), starts=kind(1), iterations=kind(9)).shape == (60, 20)


@pytest.mark.parametrize("scale", [1e-100, 1e100])
def test_extreme_scales_are_measured_as_any_other(scale):
    assert separation(pedcc(5, 4, scale=scale).centroids).gap == pytest.approx(0, abs=1e-9)


def test_measures_stay_in_their_ranges():
    assert separation(torch.ones(4, 3)).largest_cosine == 1
    assert separation(simplex(2000, 2000)).tightness <= 1


def test_the_tighter_bound_in_three_dimensions():
    """Beyond 100 points only that of Fejes Toth is computed: it is the tighter one."""
    from csae.centroids.bounds import _fejes_toth, _levenshtein

    for k in (*range(25, 400), 1000, 10_000):
        assert _fejes_toth(k) > _levenshtein(k, 3), k


def test_default_device_and_type_do_not_matter():
    expected = [build(5, 4) for build in CONSTRUCTIONS]
    device, kind = torch.get_default_device(), torch.get_default_dtype()
    try:
        torch.set_default_device("meta")
        torch.set_default_dtype(torch.float16)
        found = [build(5, 4) for build in CONSTRUCTIONS]
        assert separation(found[1]).gap == pytest.approx(0, abs=1e-9)
    finally:
        torch.set_default_device(device)
        torch.set_default_dtype(kind)
    assert torch.equal(expected[0].centroids, found[0].centroids)
    assert all(map(torch.equal, expected[1:], found[1:]))


def test_searches_restore_the_threads_even_in_parallel():
    def blas_threads():
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    spherical_code(9, 4)  # all libraries are loaded now
    before = torch.get_num_threads(), blas_threads()
    with ThreadPoolExecutor(3) as pool:
        codes = list(pool.map(lambda seed: spherical_code(20, 5, seed=seed, starts=3), [1, 1, 2]))
    assert torch.equal(codes[0], codes[1])
    assert (torch.get_num_threads(), blas_threads()) == before


@given(simplex_shapes, scales)
@settings(deadline=None)
def test_the_class_subspace_of_a_simplex_has_one_dimension_less_than_classes(shape, scale):
    k, d = shape
    centroids = simplex(k, d, scale=scale)
    for points in (centroids, centroids.float(), centroids.float().double()):
        basis = class_subspace(points)
        assert basis.dtype == torch.float64
        assert basis.shape == (d, k - 1)
        assert torch.allclose(basis.T @ basis, torch.eye(k - 1).double(), atol=1e-12)
        assert torch.allclose(centroids @ basis @ basis.T, centroids, atol=1e-5 * scale)


@pytest.mark.parametrize(("k", "d", "rank"), [(47, 40, 40), (3, 1, 1), (12, 20, 10), (80, 40, 40)])
def test_the_class_subspace_of_other_arrangements_has_their_rank(k, d, rank):
    """For an orthoplex that is the number of its axes; here of two simplices of six in one."""
    if (k, d) == (12, 20):
        points = torch.zeros(12, 20, dtype=torch.float64)
        points[:6, :5], points[6:, 5:10] = simplex(6, 5), simplex(6, 5)
    else:
        points = random_directions(k, d)
    assert class_subspace(points).shape == (d, rank)


@given(st.integers(2, 20), st.integers(1, 20), seeds)
@settings(deadline=None)
def test_equation_two_components(k, d, seed):
    """The components are orthogonal, and squared distances to centroids split between them."""
    centroids = random_directions(k, d, seed=seed)
    codes = 3 * random_directions(5, d, seed=seed + 1)
    inside = class_component(codes, centroids)
    other = codes - inside
    assert torch.allclose(other @ centroids.T, torch.zeros(5, k).double(), atol=1e-9)
    assert torch.allclose(class_component(inside, centroids), inside, atol=1e-9)
    whole = torch.cdist(codes, centroids).square()
    parts = torch.cdist(inside, centroids).square() + other.square().sum(dim=1, keepdim=True)
    assert torch.allclose(whole, parts, atol=1e-6)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (torch.ones(4), r"must be floating point of shape \(K, d\), got .*\(4,\)"),
        (torch.ones(4, 2).long(), "must be floating point .* got int64"),
        (torch.zeros(4, 2), "must be finite and not all zero"),
        (torch.full((4, 2), math.nan), "must be finite and not all zero"),
    ],
)
def test_points_without_a_subspace_are_named(points, message):
    with pytest.raises(ValueError, match=message):
        class_subspace(points)


def test_codes_of_another_dimension_are_named():
    with pytest.raises(ValueError, match=r"latents must be .* of shape \(N, 4\), got .* \(2, 3\)"):
        class_component(torch.ones(2, 3), simplex(3, 4))


def test_whole_numbers_are_no_codes():
    """In their type the basis would be rounded to zero, and the component with it."""
    with pytest.raises(ValueError, match="latents must be floating point .* got int64"):
        class_component(torch.ones(2, 4, dtype=torch.int64), simplex(3, 4))
