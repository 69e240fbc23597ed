import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import csae
from csae.centroids import pedcc, simplex
from csae.data import prepare
from csae.evaluation import reconstruct
from csae.models import CSAE, Autoencoder, pca_autoencoder
from csae.networks import NetworkConfig, PatchUpsample, ResidualBlock, encoder, layer_table


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


def test_equation_patch_upsample():
    """Each pixel becomes its own patch, W x + b, and patches lie side by side."""
    torch.manual_seed(0)
    layer = PatchUpsample(5, 3)
    x = torch.randn(1, 5, 2, 4)
    upsampled = layer(x)
    for i in range(4):
        for j in range(8):
            expected = layer.weight[:, :, i % 2, j % 2].T @ x[0, :, i // 2, j // 2] + layer.bias
            assert torch.allclose(upsampled[0, :, i, j], expected, atol=1e-6)


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
    with pytest.raises(ValueError, match="images must be floating point .* csae.data.prepare"):
        model(images)


@pytest.mark.parametrize(
    ("centroids", "noise", "message"),
    [
        (torch.ones(10), 0.0, r"centroids must be .* of shape \(K, d\), got .*\(10,\)"),
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
        NetworkConfig("fully_connected", 5, widths=(), image_size=28),
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
        ({"architecture": "dense"}, "architecture must be one of .* got 'dense'"),
        ({"latent_dim": 0}, "latent_dim must be an integer of at least 1, got 0"),
        ({"channels": True}, "channels must be an integer of at least 1, got True"),
        ({"widths": (16,)}, "widths must hold at least 2 integers for a residual network"),
        ({"widths": ()}, "widths must hold at least 2 integers for a residual network"),
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


def test_without_hidden_layers_the_network_is_affine():
    torch.manual_seed(0)
    model = Autoencoder(NetworkConfig("fully_connected", 3, widths=(), image_size=4)).double()
    a, b = torch.randn(2, 5, 1, 4, 4, dtype=torch.float64)
    mixed = model(0.3 * a + 0.7 * b).reconstructions
    expected = 0.3 * model(a).reconstructions + 0.7 * model(b).reconstructions
    assert torch.allclose(mixed, expected, atol=1e-12)


def test_equation_residual_block():
    """Two normalised convolutions and a 1x1 shortcut, added, then a ReLU."""
    torch.manual_seed(0)
    block = ResidualBlock(3, 6).eval()
    x = torch.randn(2, 3, 7, 10)
    first, norm_1, _, second, norm_2 = block.body
    with torch.no_grad():
        for norm in (norm_1, norm_2):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
        body = norm_2(nn.functional.conv2d(norm_1(first(x)).clamp(min=0), second.weight, padding=1))
        corners = x[:, :, ::2, ::2]  # what a 1x1 convolution of stride 2 reads
        weight = block.shortcut.weight[:, :, 0, 0]
        shortcut = torch.einsum("oc,nchw->nohw", weight, corners)
        shortcut = shortcut + block.shortcut.bias[:, None, None]
        expected = (body + shortcut).clamp(min=0)
    assert expected.shape == (2, 6, 4, 5)
    assert torch.allclose(block(x), expected, atol=1e-5)


def output_size(size, kernel, stride, padding):
    return (size + 2 * padding - kernel) // stride + 1


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(1, 5), st.integers(1, 3), st.integers(0, 2))
def test_equation_convolution_size(size, kernel, stride, padding):
    if kernel > size + 2 * padding:
        return
    layer = nn.Conv2d(1, 1, kernel, stride, padding)
    expected = output_size(size, kernel, stride, padding)
    assert layer(torch.zeros(1, 1, size, size)).shape[-1] == expected


@pytest.mark.parametrize(("image_size", "blocks"), [(32, 3), (28, 2), (28, 1), (48, 4)])
def test_the_encoder_halves_as_the_formula_says(image_size, blocks):
    config = NetworkConfig(widths=(2,) * (blocks + 1), image_size=image_size)
    sizes, features = [], torch.zeros(2, 1, image_size, image_size)
    for layer in encoder(config):
        features = layer(features)
        if isinstance(layer, nn.Conv2d | ResidualBlock):
            sizes.append(features.shape[-1])
    expected = [output_size(image_size, 3, 1, 0)]
    for _ in range(blocks):
        expected.append(output_size(expected[-1], 3, 2, 1))
    assert sizes == expected


def convolution(kernel, inputs, outputs, size, bias=True):
    """Parameters and multiply-adds of a convolution that makes size x size features."""
    weights = kernel**2 * inputs * outputs
    return weights + bias * outputs, weights * size**2


def test_equation_convolution_cost():
    """The table against the formula, written out by hand for each kind of layer."""
    rows = layer_table(Autoencoder()).layers
    found = [(row.name, row.parameters, row.multiply_adds) for row in rows]
    assert found[0] == ("Conv2d", *convolution(3, 1, 16, 30))
    assert found[1] == ("BatchNorm2d", 2 * 16, 0)
    parts = [
        convolution(3, 16, 32, 15, bias=False),
        convolution(3, 32, 32, 15, bias=False),
        convolution(1, 16, 32, 15),
        (2 * 2 * 32, 0),  # two batch normalisations
    ]
    assert found[3] == ("ResidualBlock", *map(sum, zip(*parts, strict=True)))
    assert found[7] == ("Linear", 1024 * 40 + 40, 1024 * 40)
    # Each pixel of the input meets the whole kernel once.
    assert found[10] == ("PatchUpsample", 4 * 64 * 32 + 32, 4 * 64 * 32 * 4**2)
    assert found[-1] == ("Conv2d", *convolution(1, 16, 1, 32))


def test_the_table_has_the_published_totals(model):
    table = layer_table(model)
    assert table.of("encoder").parameters == 191_496
    assert table.of("decoder").parameters == 90_689
    assert table.parameters == 282_185
    assert table.multiply_adds == 15_446_592
    assert [row.shape for row in table.layers if row.name == "ResidualBlock"] == [
        (32, 15, 15),
        (64, 8, 8),
        (64, 4, 4),
    ]


def test_the_table_of_the_fully_connected_pair():
    table = layer_table(Autoencoder(NetworkConfig.fully_connected()))
    weights = 2 * (784 * 400 + 400 * 40)
    assert table.multiply_adds == weights
    assert table.parameters == weights + 400 + 40 + 400 + 784
    assert [row.parameters for row in table.layers if row.name == "Linear"] == [
        784 * 400 + 400,
        400 * 40 + 40,
        40 * 400 + 400,
        400 * 784 + 784,
    ]


@pytest.mark.parametrize(
    "config",
    [
        NetworkConfig(latent_dim=2, widths=(4, 6, 5), image_size=28, channels=3),
        NetworkConfig("fully_connected", 7, widths=(), image_size=28),
        NetworkConfig("fully_connected", 7, widths=(9, 8), image_size=5, channels=2),
    ],
)
def test_the_table_agrees_with_the_model(config):
    """Shapes as they pass, parameters as PyTorch counts them, operations of a whole pass."""
    model = Autoencoder(config).double().train()
    table = layer_table(model)
    assert model.training
    images = torch.zeros(1, config.channels, config.image_size, config.image_size).double()
    assert table.parameters == count(model)
    assert table.of("encoder").layers[-1].shape == (config.latent_dim,)
    assert table.of("decoder").layers[-1].shape == images.shape[1:]
    model.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(images)
    assert 2 * table.multiply_adds == counter.get_total_flops()


def test_the_table_leaves_the_model_as_it_was(model):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    layer_table(model.train())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_frozen_parameters_do_not_count(model):
    model.encoder[0].requires_grad_(False)
    assert layer_table(model).parameters == 282_185 - 160


def test_the_printed_table(model):
    lines = str(layer_table(model)).splitlines()
    assert max(map(len, lines)) <= 68
    assert lines[0].split() == ["layer", "output", "parameters", "multiply-adds"]
    assert lines[1].split() == [
        "encoder", "Conv2d", "16", "x", "30", "x", "30", "160", "129,600",
    ]  # fmt: skip
    assert lines[3].split()[-2:] == ["-", "-"]
    assert lines[-1].split() == ["both", "sum", "282,185", "15,446,592"]
    sums = [line.split() for line in lines if " sum " in line]
    assert [row[0] for row in sums] == ["encoder", "decoder", "both"]


@pytest.fixture(scope="module")
def clothes():
    """Real images (300, 1, 28, 28) in [-1, 1]."""
    return prepare(csae.load_dataset("fashion-mnist", "train", sample=True).images[:300], 28)


def test_equation_principal_code(clothes):
    """The same projection as that of numpy's singular value decomposition."""
    pixels = clothes.flatten(1).double().numpy()
    mean = pixels.mean(axis=0)
    _, _, rows = np.linalg.svd(pixels - mean, full_matrices=False)
    expected = mean + (pixels - mean) @ rows[:7].T @ rows[:7]
    output = pca_autoencoder(clothes, 7)(clothes)
    assert np.allclose(output.reconstructions.flatten(1).detach().numpy(), expected, atol=1e-5)
    codes = np.abs((pixels - mean) @ rows[:7].T)
    assert np.allclose(output.latents.abs().detach().numpy(), codes, atol=1e-4)


@pytest.mark.parametrize("latent_dim", [1, 10, 300])
def test_equation_discarded_variance(clothes, latent_dim):
    """The mean squared error is the sum of the variances that no component carries."""
    model = pca_autoencoder(clothes, latent_dim)
    with torch.no_grad():
        error = (model(clothes).reconstructions - clothes).double().flatten(1)
    pixels = clothes.flatten(1).double()
    variances = torch.linalg.eigvalsh(torch.cov(pixels.T, correction=0))  # smallest first
    discarded = variances[: 784 - latent_dim].sum().item()
    assert error.square().sum(dim=1).mean().item() == pytest.approx(discarded, abs=1e-6, rel=1e-4)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_no_other_linear_code_of_that_size_is_better(seed, latent_dim):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(40, 1, 3, 3, generator=generator)
    model = pca_autoencoder(images, latent_dim)
    best = nn.functional.mse_loss(model(images).reconstructions, images)
    other, _ = torch.linalg.qr(torch.randn(9, latent_dim, generator=generator))
    pixels = images.flatten(1)
    centred = pixels - pixels.mean(dim=0)
    assert best <= nn.functional.mse_loss(centred @ other @ other.T, centred) + 1e-6


def test_principal_components_are_orthonormal_and_ordered(clothes):
    model = pca_autoencoder(clothes, 12)
    components = model.decoder[0].weight  # (784, 12)
    assert torch.allclose(components.T @ components, torch.eye(12), atol=1e-5)
    assert torch.allclose(model.encoder[1].weight, components.T)
    assert (components.gather(0, components.abs().argmax(dim=0, keepdim=True)) > 0).all()
    latents = model.encode(clothes)
    assert latents.mean(dim=0).abs().max() < 1e-4
    variances = latents.var(dim=0)
    assert (variances[:-1] >= variances[1:]).all()
    assert torch.allclose(torch.cov(latents.T), torch.diag(variances), atol=1e-3)


def test_the_pca_autoencoder_reconstructs_data_sets(clothes):
    validation = csae.load_dataset("fashion-mnist", "validation", sample=True)
    model = pca_autoencoder(clothes, 20)
    assert not model.training
    assert reconstruct(model, validation).latents.shape == (500, 20)
    assert csae.evaluate(model, validation)["psnr"] > 15


@pytest.mark.parametrize(
    ("images", "latent_dim", "message"),
    [
        (torch.zeros(3, 28, 28), 2, r"images must be .* \(N, C, S, S\), got .*\(3, 28, 28\)"),
        (torch.zeros(3, 1, 28, 27), 2, r"images must be .* shape \(N, C, S, S\)"),
        (torch.zeros(0, 1, 4, 4), 2, r"images must be .* \(N, C, S, S\), got .*\(0, 1, 4, 4\)"),
        (torch.zeros(3, 1, 4, 4), 17, "latent_dim must be an integer from 1 to 16, got 17"),
        (torch.zeros(3, 1, 4, 4), 0, "latent_dim must be an integer from 1 to 16, got 0"),
        (torch.full((3, 1, 4, 4), math.nan), 2, "images must be finite"),
        (torch.zeros(3, 1, 4, 4, dtype=torch.uint8), 2, "images must be floating point"),
    ],
)
def test_what_pca_cannot_use_is_named(images, latent_dim, message):
    with pytest.raises(ValueError, match=message):
        pca_autoencoder(images, latent_dim)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["residual", "fully_connected"]))
def test_equation_latent_freedom(seed, architecture):
    """Other codes, the same images: a map of the codes, undone in the decoder's first layer."""
    torch.manual_seed(seed)
    # Wide enough that no seed leaves all ReLUs at zero: then all codes would be equal.
    config = NetworkConfig(architecture, 5, widths=(16, 24), image_size=8)
    model = Autoencoder(config).double().eval()
    other = Autoencoder(config).double().eval()
    other.load_state_dict(model.state_dict())
    rotation, _ = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64))
    change = rotation * torch.tensor([0.2, 0.5, 1, 3, 10]).double()
    with torch.no_grad():
        last, first = other.encoder[-1], other.decoder[0]
        last.weight.copy_(change @ last.weight)
        last.bias.copy_(change @ last.bias)
        first.weight.copy_(first.weight @ torch.linalg.inv(change))
        images = torch.randn(3, 1, 8, 8, dtype=torch.float64)
        ours, theirs = model(images), other(images)
    assert torch.allclose(theirs.latents, ours.latents @ change.T)
    assert not torch.allclose(
        torch.cdist(theirs.latents, theirs.latents), torch.cdist(ours.latents, ours.latents)
    )
    assert torch.allclose(theirs.reconstructions, ours.reconstructions)


def test_images_of_another_type_than_the_weights_are_named(model):
    images = torch.randn(2, 1, 32, 32)
    for wrong in (images.double(), images.half()):
        with pytest.raises(ValueError, match="images must be float32, as the weights of the model"):
            model(wrong)
    assert copy.deepcopy(model).double()(images.double()).latents.dtype == torch.float64
    with torch.autocast("cpu", torch.bfloat16):
        output = model(images)
        assert model.decode(output.latents).shape == images.shape
    assert output.latents.dtype == torch.bfloat16
    with pytest.raises(ValueError, match="latents must be float32.* got bfloat16"):
        model.decode(output.latents)


def test_checks_of_images_leave_no_break_in_a_compiled_graph(model):
    images = torch.randn(2, 1, 32, 32)
    compiled = torch.compile(model.eval(), backend="eager", fullgraph=True)
    assert torch.equal(compiled(images).latents, model(images).latents)


def test_no_images_give_no_codes(model):
    output = model.eval()(torch.zeros(0, 1, 32, 32))
    assert output.reconstructions.shape == (0, 1, 32, 32)
    assert output.latents.shape == (0, 40)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_centroids_whose_squares_leave_float32_are_refused(scale):
    with pytest.raises(ValueError, match="one common positive norm, from 1e-15 to 1e[+]15"):
        CSAE(simplex(3, 4, scale=scale))


def test_centroids_that_coincide_are_refused():
    with pytest.raises(ValueError, match="centroids must differ from each other"):
        CSAE(torch.eye(4)[[0, 1, 1]])
