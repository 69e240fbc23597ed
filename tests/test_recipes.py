import dataclasses
import json

import pytest
import torch

from csae import schema
from csae.centroids import separation
from csae.data import DATASETS, Augmentation, class_names
from csae.networks import NetworkConfig
from csae.recipes import ABOUT, RECIPES, Recipe, recipe
from csae.training import TrainingConfig


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
    assert (
        schema.build(Recipe, json.loads(json.dumps(dataclasses.asdict(found))), "a file") == found
    )


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
    first, other = (Recipe().change(seed=seed).build(10)[0].centroids for seed in (0, 1))
    assert not torch.allclose(first, other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"latent_dim": 1}, "num_classes must be at most 2 for latent_dim=1, got 10"),
        ({"latent_dim": 0}, "latent_dim must be an integer of at least 1, got 0"),
        ({"noise": -1.0}, "noise must be a finite number"),
        ({"smoothing": 1.0}, "smoothing must be a finite number above 0 and below 1"),
        ({"centroid_space": "free"}, "centroid_space must be one of"),
        ({"wavelet_weight": -1.0}, "wavelet_weight must be a finite number"),
        ({"classification_weight": 0.0, "reconstruction_weight": 0.0}, "nothing to learn"),
        ({"kind": "vae"}, "kind must be one of .* got 'vae'"),
        ({"kind": "autoencoder"}, "classification_weight must be 0 for the kind 'autoencoder'"),
        ({"epochs": 0}, "epochs must be an integer of at least 1, got 0"),
        ({"rate": 1.0, "flip": True}, "^rate must be among the fields of a recipe"),
    ],
)
def test_wrong_values_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        Recipe().change(**changes).build(10)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="name must be one of .*; got 'slow'"):
        recipe("slow", "mnist")
    with pytest.raises(ValueError, match="dataset must be one of .* got 'cifar'"):
        recipe("quick", "cifar")


def test_changes_find_their_place():
    found = Recipe().change(noise=0.0, latent_dim=10, epochs=3, flip=True, widths=(8, 16))
    assert found.noise == 0
    assert found.network == NetworkConfig(latent_dim=10, widths=(8, 16))
    assert found.training == TrainingConfig(epochs=3, augmentation=Augmentation(flip=True))
    assert Recipe().change() == Recipe()


def test_every_recipe_says_what_it_is():
    assert ABOUT.keys() == RECIPES.keys()
