import dataclasses
import json

import pytest
import torch

from csae import schema
from csae.centroids import random_directions, separation
from csae.data import DATASETS, Augmentation, class_names
from csae.kinds import ABOUT as ABOUT_KINDS
from csae.kinds import KINDS, defaults
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
        ({"kind": "gan"}, "kind must be one of .* got 'gan'"),
        ({"kind": "autoencoder"}, "classification_weight must be 0 for the kind 'autoencoder'"),
        ({"kind": "autoencoder"}, r"csae.kinds.defaults\('autoencoder'\) returns what"),
        ({"kind": "vae"}, "noise must be 0 for the kind 'vae', which draws its codes, got 0.04"),
        ({"kind": "vae", "noise": 0}, "classification_weight must be 0 for the kind 'vae'"),
        ({"kl_weight": 1.0}, "kl_weight must be 0 for the kind 'csae'"),
        ({"arrangement": "even"}, "arrangement must be one of 'pedcc', 'random'; got 'even'"),
        ({"likelihood": "laplace"}, "likelihood must be one of 'bernoulli', .* got 'laplace'"),
        ({"likelihood_std": 0.0}, "likelihood_std must be a finite number from 0.0001"),
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


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", RECIPES)
def test_every_kind_is_built_with_its_defaults(name, kind):
    """In one line, from any recipe; all terms that are left have a weight."""
    found = recipe(name, "mnist").change(**defaults(kind))
    model, loss = found.build(10)
    assert type(model) is KINDS[kind]
    images, labels = torch.rand(4, 1, 32, 32), torch.arange(4)
    output = model(images, labels) if model.takes_labels else model(images)
    terms = loss(output, images, labels)
    assert torch.isfinite(terms["loss"])
    terms["loss"].backward()
    assert all(weights.grad is not None for weights in model.parameters())
    if kind in ("vae", "cvae"):
        assert loss.weights == {"kl": 1.0, "likelihood": 1.0}
    if kind == "csae":
        assert found == recipe(name, "mnist")


def test_kinds_say_what_they_need_or_are_refused():
    assert ABOUT_KINDS.keys() == KINDS.keys()
    with pytest.raises(ValueError, match="kind must be one of 'csae', .* got 'gan'"):
        defaults("gan")


def test_options_of_a_kind_come_from_the_recipe():
    changes = {"likelihood": "gaussian", "likelihood_std": 0.2, "latent_dim": 5}
    model, _ = Recipe().change(**defaults("vae"), **changes).build(10)
    assert model.settings == {"likelihood": "gaussian", "likelihood_std": 0.2}
    random, _ = Recipe().change(arrangement="random", seed=3).build(10)
    expected = random_directions(10, 40, scale=40**0.5, seed=3).float()
    assert torch.equal(random.centroids, expected)


def test_recipes_of_before_mean_the_defaults():
    """Older records and settings say nothing of what came later."""
    values = json.loads(json.dumps(dataclasses.asdict(recipe("paper", "mnist"))))
    later = {
        field.name: values.pop(field.name)
        for field in dataclasses.fields(Recipe)
        if "absent" in field.metadata
    }
    assert later.keys() >= {"arrangement", "kl_weight", "likelihood", "code_norm_weight"}
    assert schema.build(Recipe, values, "a file") == recipe("paper", "mnist")


def test_every_recipe_says_what_it_is():
    assert ABOUT.keys() == RECIPES.keys()
