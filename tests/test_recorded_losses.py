"""What the chapter on classification supervision says of its recorded runs."""

from itertools import pairwise
from statistics import mean

import pytest

from csae.records import load_runs, spread

FORMS = ("cross-entropy", "class-subspace", "all-dimensions")


@pytest.fixture(scope="module")
def runs():
    """The records of the residual network on complete data."""
    return load_runs("losses")


@pytest.fixture(scope="module")
def fidelity(runs):
    """PSNR of each setting, a value a seed."""
    return {name: found.values for name, found in spread(runs, "validation_psnr").items()}


def compactness(runs, measure):
    """A measure of each form of supervision by centroids, a value a seed."""
    supervised = [run for run in runs if run.setting in FORMS]
    return {name: found.values for name, found in spread(supervised, measure).items()}


def test_all_had_latent_noise_and_two_seeds(runs):
    assert {run.recipe.noise for run in runs} == {0.04}
    assert {run.seed for run in runs} == {0, 1}


def test_each_further_demand_costs_fidelity_with_each_seed(fidelity):
    for same_seed in zip(*(fidelity[name] for name in ("unsupervised", *FORMS)), strict=True):
        assert list(same_seed) == sorted(same_seed, reverse=True)


def test_both_distances_make_the_class_subspace_about_equally_compact(runs):
    found = compactness(runs, "class_subspace_ratio")
    for free, inside, whole in zip(*(found[name] for name in FORMS), strict=True):
        assert min(inside, whole) > 1.2 * free
        assert inside == pytest.approx(whole, rel=0.1)


def test_the_whole_distance_adds_compactness_in_the_other_dimensions(runs):
    found = compactness(runs, "ratio")
    for free, inside, whole in zip(*(found[name] for name in FORMS), strict=True):
        assert whole > 1.5 * max(free, inside)
        assert inside < 1.2 * free


def test_seeds_of_one_form_differ_as_much_as_neighbouring_forms_do(fidelity):
    order = [fidelity[name] for name in ("unsupervised", *FORMS)]
    of_seeds = [max(values) - min(values) for values in order]
    of_forms = [mean(more) - mean(less) for more, less in pairwise(order)]
    assert mean(of_seeds) > mean(of_forms)


def test_accuracies_differ_by_little(runs):
    supervised = [run for run in runs if run.setting != "unsupervised"]
    found = [run.measured("validation_accuracy") for run in supervised]
    assert max(found) - min(found) < 0.015


def test_the_fixed_simplex_reconstructs_better_than_the_head_with_the_same_seed(fidelity):
    for fixed, trained in zip(fidelity["cross-entropy"], fidelity["linear-head"], strict=True):
        assert trained < fixed < trained + 0.3
