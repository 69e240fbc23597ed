import pytest
import torch

from csae.baselines import Classifier, RegularisedAutoencoder, SupervisedAutoencoder
from csae.evaluation import (
    Trained,
    class_measures,
    classify,
    encode,
    evaluate,
    noise_measures,
    predict,
    reconstruct,
)
from csae.kinds import defaults
from csae.losses import CodeNorm, CSAELoss, DecoderNorm
from csae.models import CSAE, Autoencoder
from csae.networks import NetworkConfig, layer_table
from csae.recipes import Recipe
from csae.training import Machine, TrainingConfig, train

SMALL = NetworkConfig.fully_connected(8)


def test_scores_are_the_heads():
    torch.manual_seed(0)
    model = SupervisedAutoencoder(5, SMALL)
    images = torch.rand(3, 1, 28, 28)
    output = model(images)
    expected = output.latents @ model.head.weight.T + model.head.bias
    assert torch.allclose(output.similarities, expected, atol=1e-6)
    assert torch.equal(model.classify(images), expected.argmax(dim=1))
    assert torch.equal(output.reconstructions, model.decode(output.latents))


def test_noise_acts_in_training_mode_only_and_spares_the_latents():
    torch.manual_seed(0)
    model = SupervisedAutoencoder(5, SMALL, noise=1.0)
    images = torch.rand(3, 1, 28, 28)
    clean = model.encode(images)
    noisy = model(images)
    assert torch.equal(noisy.latents, clean)
    assert not torch.allclose(noisy.similarities, model.similarities(clean))
    model.eval()
    assert torch.equal(model(images).similarities, model.similarities(clean))


def test_it_trains_and_is_evaluated_like_a_csae(digits):
    torch.manual_seed(0)
    model = SupervisedAutoencoder(10, NetworkConfig.fully_connected(16))
    head = model.head.weight.detach().clone()
    config = TrainingConfig(epochs=4, batch_size=32)
    machine = Machine(accelerator="cpu", precision="fp32")
    history = train(model, CSAELoss(), digits, config, machine=machine, progress=False)
    assert history[-1]["classification"] < history[0]["classification"]
    assert not torch.equal(model.head.weight, head)
    result = evaluate(model, digits)
    assert result["accuracy"] == (predict(model, digits).labels == digits.labels).double().mean()
    assert result["accuracy"] > 0.6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 1}, "num_classes must be an integer of at least 2, got 1"),
        ({"num_classes": 3, "noise": -1.0}, "must be a finite number of at least 0, got -1.0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        SupervisedAutoencoder(**arguments)


def test_it_is_built_as_every_kind_is():
    """Noise is a fraction of the root of the dimensions; its settings are absolute."""
    torch.manual_seed(0)
    model = SupervisedAutoencoder.for_classes(5, SMALL, noise=0.5)
    assert (model.num_classes, model.head.out_features) == (5, 5)
    assert model.noise.std == pytest.approx(0.5 * 8**0.5)
    again = SupervisedAutoencoder.restore(SMALL, model.settings, model.state_dict())
    assert (again.num_classes, again.noise.std) == (5, model.noise.std)
    with pytest.raises(ValueError, match="head.bias is missing"):
        SupervisedAutoencoder.restore(SMALL, model.settings, {})


def test_a_classifier_is_a_csae_that_decodes_nothing(digits):
    """The same encoder and centroids, also in its first weights; and the same accuracy."""
    made = []
    for kind in (CSAE, Classifier):
        torch.manual_seed(0)
        made.append(kind.for_classes(10, noise=0.5, seed=3))
    csae, classifier = made
    assert sum(p.numel() for p in classifier.parameters()) == 191_496
    state = csae.state_dict()
    assert all(torch.equal(state[name], part) for name, part in classifier.state_dict().items())
    images = torch.rand(5, 1, 32, 32)
    results = []
    for model in made:
        torch.manual_seed(1)
        results.append(model(images))
    assert torch.equal(results[0].similarities, results[1].similarities)  # with the same noise
    assert torch.equal(results[0].latents, results[1].latents)
    assert evaluate(classifier, digits) == {"accuracy": evaluate(csae, digits)["accuracy"]}
    assert torch.equal(classify(classifier, digits), predict(csae, digits).labels)
    assert torch.equal(encode(classifier, digits), encode(csae, digits))


def test_what_needs_a_decoder_refuses_a_classifier(digits):
    model = Classifier.for_classes(10, SMALL)
    for call in (
        lambda: model.decode(torch.zeros(2, 8)),
        lambda: reconstruct(model, digits),
        lambda: predict(model, digits),
        lambda: noise_measures(Trained(model, {"train": digits, "test": digits})),
    ):
        with pytest.raises(ValueError, match="model must have a decoder, got Classifier"):
            call()
    assert "class_subspace_silhouette" in class_measures(
        Trained(model, {"train": digits, "test": digits})
    )
    table = layer_table(model)
    assert {layer.part for layer in table.layers} == {"encoder"}
    assert "decoder" not in str(table)
    with pytest.raises(ValueError, match="output must have reconstructions"):
        CSAELoss()(model(torch.rand(2, 1, 28, 28)), torch.rand(2, 1, 28, 28), torch.arange(2))


def test_a_classifier_learns(digits):
    recipe = Recipe().change(**defaults("classifier"), epochs=4, batch_size=32)
    torch.manual_seed(0)
    model, criterion = recipe.build(10)
    machine = Machine(accelerator="cpu", precision="fp32")
    history = train(model, criterion, digits, recipe.training, machine=machine, progress=False)
    assert history[-1]["loss"] < history[0]["loss"] / 2
    assert evaluate(model, digits)["accuracy"] > 0.6


def test_the_penalties_of_a_regularised_autoencoder():
    torch.manual_seed(0)
    model = RegularisedAutoencoder(SMALL)
    images, labels = torch.rand(6, 1, 28, 28), torch.arange(6)
    output = model(images)
    squares = sum(p.square().sum() for p in model.decoder.parameters())
    assert DecoderNorm()(output, images, labels).item() == pytest.approx(squares.item())
    norm = CodeNorm()(output, images, labels)
    assert norm.item() == pytest.approx(output.latents.square().sum(dim=1).mean().item() / 8)
    assert torch.equal(output.reconstructions, Autoencoder.forward(model, images).reconstructions)
    DecoderNorm()(output, images, labels).backward()
    for weights in model.decoder.parameters():
        assert torch.allclose(weights.grad, 2 * weights)


def test_a_regularised_autoencoder_keeps_its_codes_together(digits):
    """Stronger penalties, smaller codes and a smaller decoder."""
    spreads, norms = [], []
    for weights in ({}, {"code_norm_weight": 1.0, "decoder_norm_weight": 1e-2}):
        recipe = Recipe().change(**defaults("rae") | weights, epochs=4, batch_size=32)
        torch.manual_seed(0)
        model, criterion = recipe.build(10)
        machine = Machine(accelerator="cpu", precision="fp32")
        history = train(model, criterion, digits, recipe.training, machine=machine, progress=False)
        assert history[-1]["loss"] < history[0]["loss"]
        spreads.append(encode(model, digits).square().mean().item())
        norms.append(history[-1]["decoder_norm"])
    assert spreads[1] < spreads[0] / 2
    assert norms[1] < norms[0]
    assert evaluate(model, digits).keys() == {"psnr"}
