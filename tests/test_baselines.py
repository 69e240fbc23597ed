import pytest
import torch

from csae.baselines import SupervisedAutoencoder
from csae.evaluation import evaluate, predict
from csae.losses import CSAELoss
from csae.networks import NetworkConfig
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
