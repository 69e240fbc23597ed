import dataclasses
import json

import pytest
import torch

from csae.centroids import separation
from csae.data import DATASETS, Augmentation, class_names
from csae.recipes import ABOUT, RECIPES, Recipe, recipe


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("dataset", ["mnist", "fashion-mnist-sample", "emnist-letters"])
def test_every_recipe_builds_the_published_network(name, dataset):
    found = recipe(name, dataset)
    model, loss = found.build(26)
    assert sum(p.numel() for p in model.parameters()) == 282_185
    assert model.num_classes == 26
    images = torch.rand(4, 1, 32, 32)
    terms = loss(model(images), images, torch.arange(4))
    assert torch.isfinite(terms["loss"])
    terms["loss"].backward()


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_data_set_gets_centroids(dataset):
    """A simplex where there is room for one, as far apart as can be where there is none."""
    count = len(class_names(dataset))
    model, _ = recipe("best", dataset).build(count)
    apart = separation(model.centroids)
    assert apart.largest_cosine == pytest.approx(-1 / (count - 1) if count <= 41 else 0, abs=1e-6)


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_survive_json(name):
    found = recipe(name, "mnist")
    assert Recipe.from_dict(json.loads(json.dumps(dataclasses.asdict(found)))) == found


def test_terms_are_those_with_weights():
    paper, code = (
        recipe("paper", "mnist").build(10)[1],
        recipe("published-code", "mnist").build(10)[1],
    )
    assert paper.weights.keys() == {"classification", "reconstruction", "wavelet"}
    assert code.weights.keys() == {"centroid", "reconstruction", "sobel"}


def test_published_settings_are_those_of_the_code():
    """As described in the chapter: what is known of the code, not of the paper."""
    found = recipe("published-code", "mnist")
    training = found.training
    assert (training.optimizer, training.schedule) == ("sgd", "step")
    assert (training.batch_size, training.epochs) == (4096, 120)
    assert (training.learning_rate, training.weight_decay) == (0.1, 5e-4)
    model, _ = found.build(10)
    assert model.centroids.norm(dim=1) == pytest.approx(torch.full((10,), 40**0.5))
    assert model.noise.std == pytest.approx(0.253, abs=5e-4)


def test_only_clothes_are_mirrored():
    for dataset in DATASETS:
        flip = recipe("best", dataset).training.augmentation.flip
        assert flip == (dataset == "fashion-mnist")
    for dataset in ("mnist-sample", "fashion-mnist-sample"):
        flip = recipe("quick", dataset).training.augmentation.flip
        assert flip == (dataset == "fashion-mnist-sample")


def test_quick_takes_as_long_on_every_data_set():
    for dataset in DATASETS:
        training = recipe("quick", dataset).training
        assert training.epochs == 1
        assert 25_000 < training.images_per_epoch < 50_000


def test_seed_turns_the_centroids():
    first, other = (
        Recipe(training=dataclasses.replace(Recipe().training, seed=seed)).build(10)[0].centroids
        for seed in (0, 1)
    )
    assert not torch.allclose(first, other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"latent_dim": 1}, "num_classes must be at most 2 for latent_dim=1, got 10"),
        ({"latent_dim": 0}, "latent_dim must be an integer of at least 1, got 0"),
        ({"noise": -1.0}, "noise must be a finite number"),
        ({"smoothing": 1.0}, "smoothing must be a finite number above 0 and below 1"),
        ({"centroid_space": "free"}, "centroid_space must be one of"),
        ({"wavelet": -1.0}, "wavelet_weight must be a finite number"),
        ({"classification": 0.0, "reconstruction": 0.0}, "nothing to learn"),
    ],
)
def test_wrong_values_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**changes).build(10)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="name must be one of .*; got 'slow'"):
        recipe("slow", "mnist")
    with pytest.raises(ValueError, match="dataset must be one of .* got 'cifar'"):
        recipe("quick", "cifar")


def test_augmentation_of_a_recipe_is_a_value():
    found = Recipe.from_dict(dataclasses.asdict(recipe("quick", "fashion-mnist-sample")))
    assert found.training.augmentation == Augmentation(flip=True)


def test_every_recipe_says_what_it_is():
    assert ABOUT.keys() == RECIPES.keys()
