import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from csae.centroids import pedcc, simplex
from csae.networks import CSAE, Autoencoder, NetworkConfig, PatchUpsample


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_sizes_are_those_of_the_published_network(model):
    assert count(model.encoder) == 191_496
    assert count(model.decoder) == 90_689
    assert count(model) == 282_185


def test_multiply_adds_are_those_of_the_published_network(model):
    model.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.decode(model.encode(torch.zeros(1, 1, 32, 32)))
    assert counter.get_total_flops() / 2 == pytest.approx(15.45e6, rel=1e-3)


def test_centroids_are_not_trained(model):
    assert "centroids" in dict(model.named_buffers())
    assert "centroids" not in dict(model.named_parameters())


def test_forward_agrees_with_its_parts(model):
    model.eval()
    images = torch.randn(6, 1, 32, 32)
    output = model(images)
    assert output.latents.shape == (6, 40)
    assert output.similarities.shape == (6, 10)
    assert output.reconstructions.shape == (6, 1, 32, 32)
    assert torch.equal(output.latents, model.encode(images))
    assert torch.equal(output.reconstructions, model.decode(output.latents))
    nearest = torch.cdist(output.latents, model.centroids).argmin(dim=1)
    assert torch.equal(model.classify(images), nearest)


def test_similarity_is_one_on_a_centroid(model):
    similarities = model.similarities(model.centroids)
    ideal = torch.full((10, 10), -1 / 9).fill_diagonal_(1)
    assert torch.allclose(similarities, ideal, atol=1e-6)


@pytest.mark.parametrize(("k", "d"), [(3, 2), (10, 40), (47, 40), (7, 3)])
def test_equation_nearest_is_most_similar(k, d):
    """For centroids of equal norm, of every construction; not for unequal ones."""
    codes = 5 * torch.randn(2000, d, generator=torch.Generator().manual_seed(0))
    model = CSAE(pedcc(k, d, scale=3.0).centroids)
    nearest = torch.cdist(codes, model.centroids).argmin(dim=1)
    assert torch.equal(model.similarities(codes).argmax(dim=1), nearest)
    model.centroids[0] *= 3
    nearest = torch.cdist(codes, model.centroids).argmin(dim=1)
    assert not torch.equal(model.similarities(codes).argmax(dim=1), nearest)


def test_noise_acts_in_training_only_and_scales_with_the_centroids():
    model = CSAE(simplex(10, 40, scale=5.0), noise=0.1)
    assert model.noise.std == pytest.approx(0.5)
    images = torch.randn(8, 1, 32, 32)
    model.train()
    assert not torch.equal(model(images).similarities, model(images).similarities)
    model.eval()
    assert torch.equal(model(images).similarities, model(images).similarities)


def test_patch_upsample_is_a_transposed_convolution():
    torch.manual_seed(0)
    ours = PatchUpsample(5, 3).double()
    reference = nn.ConvTranspose2d(5, 3, 2, stride=2).double()
    reference.load_state_dict(ours.state_dict())
    x = torch.randn(2, 5, 4, 7, dtype=torch.float64, requires_grad=True)
    assert torch.allclose(ours(x), reference(x), atol=1e-12)
    weights = torch.randn(2, 3, 8, 14, dtype=torch.float64)
    for tensor_ours, tensor_reference in zip(
        ours.parameters(), reference.parameters(), strict=True
    ):
        (grad,) = torch.autograd.grad((ours(x) * weights).sum(), tensor_ours)
        (expected,) = torch.autograd.grad((reference(x) * weights).sum(), tensor_reference)
        assert torch.allclose(grad, expected, atol=1e-12)


@pytest.mark.parametrize(
    "images", [torch.zeros(2, 1, 28, 28), torch.zeros(2, 1, 32, 32, dtype=torch.uint8)]
)
def test_unprepared_images_are_refused(model, images):
    with pytest.raises(ValueError, match="images must be floating-point .* csae.data.prepare"):
        model(images)


@pytest.mark.parametrize(
    ("centroids", "noise", "message"),
    [
        (torch.ones(10), 0.0, r"centroids must have shape \(K, d\) with K >= 2, got \(10,\)"),
        (torch.tensor([[1.0, 0.0], [0.0, 2.0]]), 0.0, "rows of one common positive norm"),
        (torch.zeros(3, 4), 0.0, "rows of one common positive norm"),
        (torch.full((3, 4), torch.nan), 0.0, "rows of one common positive norm"),
        (simplex(3, 4), -0.1, "noise must be a finite number of at least 0, got -0.1"),
    ],
)
def test_wrong_arguments_are_named(centroids, noise, message):
    with pytest.raises(ValueError, match=message):
        CSAE(centroids, noise=noise)


def test_fully_connected_pair_is_the_published_one():
    model = Autoencoder(NetworkConfig.fully_connected())
    sizes = [m.in_features for m in model.modules() if isinstance(m, nn.Linear)]
    assert sizes == [784, 400, 40, 400]
    images = torch.randn(3, 1, 28, 28)
    output = model(images)
    assert output.reconstructions.shape == images.shape
    assert output.latents.shape == (3, 40)


@pytest.mark.parametrize(
    "config",
    [
        NetworkConfig(latent_dim=2),
        NetworkConfig(widths=(4, 8), image_size=28),
        NetworkConfig(widths=(4, 6, 5, 3, 7), image_size=48, channels=3),
        NetworkConfig("fully_connected", 5, widths=(30, 20), image_size=28, channels=2),
        NetworkConfig("fully_connected", 5, widths=(30,), image_size=33),
    ],
)
def test_images_come_out_as_they_went_in(config):
    model = Autoencoder(config, noise=0.1)
    images = torch.randn(2, config.channels, config.image_size, config.image_size)
    output = model(images)
    assert output.reconstructions.shape == images.shape
    assert output.latents.shape == (2, config.latent_dim)


def test_a_csae_is_an_autoencoder_with_centroids(model):
    torch.manual_seed(0)
    plain = Autoencoder()
    torch.manual_seed(0)
    csae = CSAE(simplex(10, 40, scale=5.0))
    images = torch.randn(2, 1, 32, 32)
    assert torch.equal(plain.eval()(images).latents, csae.eval()(images).latents)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "dense"}, "kind must be one of .* got 'dense'"),
        ({"latent_dim": 0}, "latent_dim must be an integer of at least 1, got 0"),
        ({"channels": True}, "channels must be an integer of at least 1, got True"),
        ({"widths": (16,)}, "widths must hold at least 2 numbers for a residual network"),
        ({"widths": (16, 2.5)}, "widths must be an integer of at least 1, got 2.5"),
        ({"image_size": 28}, "image_size must be a multiple of 8 and at least 16"),
        ({"image_size": 8}, "image_size must be a multiple of 8 and at least 16"),
    ],
)
def test_wrong_sizes_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        NetworkConfig(**arguments)


def test_centroids_and_config_must_agree():
    with pytest.raises(ValueError, match="centroids have 12 dimensions, but config.latent_dim is"):
        CSAE(simplex(10, 12), config=NetworkConfig(latent_dim=40))
