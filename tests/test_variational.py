"""Variational autoencoders: nats against torch.distributions and closed forms, labels, noise."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import distributions as dist

from csae.data import prepare
from csae.evaluation import (
    Trained,
    class_bounds,
    classify,
    encode,
    evaluate,
    image_bounds,
    predict,
    reconstruct,
    variational_measures,
)
from csae.kinds import build, defaults
from csae.losses import ImageError, KLDivergence, NegativeLogLikelihood
from csae.models import (
    CSAE,
    LIKELIHOODS,
    VAE,
    Autoencoder,
    ConditionalVAE,
    active_dimensions,
    gaussian_divergence,
    log_likelihood,
)
from csae.networks import NetworkConfig, layer_table
from csae.recipes import Recipe
from csae.training import Machine, TrainingConfig, range_test, train

SMALL = NetworkConfig("fully_connected", 6, widths=(32,), image_size=28)
LINEAR = NetworkConfig("fully_connected", 3, widths=(), image_size=28)
CPU = Machine(accelerator="cpu", precision="fp32")


def images(count=5, size=28, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 1, size, size, generator=generator) * 2 - 1


def made(kind="vae", config=SMALL, **options):
    torch.manual_seed(0)
    return build(kind, 10, config, **options)


# Nats


@given(st.integers(1, 6), st.integers(0, 99))
@settings(deadline=None)
def test_divergence_is_that_of_torch(d, seed):
    generator = torch.Generator().manual_seed(seed)
    means, log_variances = torch.randn(2, 4, d, generator=generator, dtype=torch.float64)
    posterior = dist.Normal(means, (log_variances / 2).exp())
    prior = dist.Normal(torch.zeros_like(means), 1)
    expected = dist.kl_divergence(posterior, prior).sum(dim=1)
    assert torch.allclose(gaussian_divergence(means, log_variances), expected)


@pytest.mark.parametrize("size", [28, 32, 40])
def test_bernoulli_likelihood_is_that_of_torch(size):
    """Summed over the 28x28 pixels of the image, whatever its padding; nothing is dropped."""
    logits, binary = 5 * images(3, size, seed=1), images(3, size).sign()
    start = (size - 28) // 2
    inside = (..., slice(start, start + 28), slice(start, start + 28))
    bernoulli = dist.Bernoulli(logits=logits[inside])
    expected = bernoulli.log_prob((binary[inside] + 1) / 2).flatten(1).sum(dim=1)
    assert torch.allclose(log_likelihood(logits, binary, "bernoulli"), expected)
    certain = log_likelihood(1e4 * binary, -binary, "bernoulli")
    assert torch.isfinite(certain).all()  # logits, not logarithms of probabilities


@pytest.mark.parametrize("variance", [0.02, torch.tensor(0.3)])
@pytest.mark.parametrize("size", [28, 32])
def test_gaussian_likelihood_is_that_of_torch(size, variance):
    """Of pixels in [0, 1], with its constant."""
    decoded, truth = images(3, size, seed=1), images(3, size)
    start = (size - 28) // 2
    inside = (..., slice(start, start + 28), slice(start, start + 28))
    normal = dist.Normal((decoded[inside] + 1) / 2, math.sqrt(variance))
    expected = normal.log_prob((truth[inside] + 1) / 2).flatten(1).sum(dim=1)
    assert torch.allclose(log_likelihood(decoded, truth, "gaussian", variance), expected, rtol=1e-4)


def test_a_weight_of_the_squared_error_is_a_fixed_variance():
    """All but the constant: 784 / (8 variance) of it, on images in [-1, 1]."""
    decoded, truth = images(4, seed=1), images(4)
    near, far = (log_likelihood(scale * decoded, truth, "gaussian", 0.05) for scale in (0.5, 1))
    error = ImageError()

    class Output:
        reconstructions = decoded

    first = error(Output, truth, None)
    Output.reconstructions = 0.5 * decoded
    second = error(Output, truth, None)
    expected = 784 / (8 * 0.05) * (first - second)
    assert (near - far).mean().item() == pytest.approx(expected.item(), rel=1e-4)


def test_no_other_variance_makes_a_batch_likelier():
    """The optimal one is the mean squared error, and its slope is that of its logarithm."""
    torch.manual_seed(0)
    model = made(likelihood="gaussian-optimal")
    batch = images(8)
    output = model(batch)
    decoded = output.reconstructions.detach().requires_grad_()
    errors = ((decoded - batch) / 2).square().mean()
    best = errors.detach()
    chosen = output.log_likelihoods.mean()
    for factor in (0.9, 1.1):
        other = log_likelihood(decoded, batch, "gaussian", factor * best).mean()
        assert other < chosen
    assert chosen.item() == pytest.approx(-784 / 2 * (math.log(2 * math.pi * best) + 1), rel=1e-5)
    (wanted,) = torch.autograd.grad(-784 / 2 * errors.log(), decoded)
    constant = log_likelihood(decoded, batch, "gaussian", best).mean()
    (found,) = torch.autograd.grad(constant, decoded)
    assert torch.allclose(found, wanted, atol=1e-6)
    expected = 0.9 * 0.01 + 0.1 * best.item()
    assert model.running_variance.item() == pytest.approx(expected, rel=1e-5)
    model.eval()(batch)
    assert model.running_variance.item() == pytest.approx(expected, rel=1e-5)


def test_equation_variational_bound(digits):
    """The mean of E|x - W z - b|^2 is the error at the mean plus the trace of W S W'."""
    model = made(config=LINEAR, likelihood="gaussian", likelihood_std=0.4).eval()
    few = digits.first(4)
    with torch.no_grad():
        model.decoder[0].weight.mul_(0.1)  # codes say little: few draws do
        batch = prepare(few.images, 28)
        means, log_variances = model.posterior(batch)
        at_means = log_likelihood(model.decode(means), batch, "gaussian", 0.4**2)
        weights = model.decoder[0].weight  # (784, 3), of images in [-1, 1]
        spread = (log_variances.exp() @ weights.square().T).sum(dim=1) / 4
        expected = at_means - spread / (2 * 0.4**2) - gaussian_divergence(means, log_variances)
    found = image_bounds(model, few, samples=1000)
    assert torch.allclose(found, expected.double(), rtol=1e-3)
    # And no bound is above the likelihood itself, which is Gaussian.
    covariance = 0.4**2 * torch.eye(784) + weights @ weights.T / 4
    middle = (model.decoder[0].bias + 1) / 2
    exact = dist.MultivariateNormal(middle, covariance).log_prob((batch.flatten(1) + 1) / 2)
    assert (expected <= exact).all()


def test_loss_is_minus_the_bound():
    """With weights of 1; in training mode, with the codes that were drawn."""
    recipe = Recipe().change(**defaults("vae"), architecture="fully_connected", latent_dim=6,
                             widths=(32,), image_size=28)  # fmt: skip
    torch.manual_seed(0)
    model, criterion = recipe.build(10)
    batch, labels = images(7), torch.arange(7)
    torch.manual_seed(5)
    terms = criterion(model(batch), batch, labels)
    torch.manual_seed(5)
    noise = torch.randn(7, 6)
    assert terms["loss"].item() == pytest.approx(-model.bounds(batch, noise).mean().item())
    assert terms["loss"] == terms["kl"] + terms["likelihood"]


def test_bfloat16_sums_in_float32():
    """Sums of 784 numbers of three digits would be off by whole nats."""
    model, batch = made().eval(), images()
    with torch.autocast("cpu", torch.bfloat16):
        output = model(batch)
    assert output.log_likelihoods.dtype == output.divergences.dtype == torch.float32
    assert torch.allclose(output.log_likelihoods, model(batch).log_likelihoods, rtol=2e-3)


# The models


def test_sizes_are_those_of_the_autoencoder_and_what_a_kind_adds():
    vae, cvae = made("vae", None), made("cvae", None)
    count = {model: sum(p.numel() for p in model.parameters()) for model in (vae, cvae)}
    assert count[vae] == 282_185 + 41_000  # log-variances
    assert count[cvae] == count[vae] + 10 * 16 * 9 + 10 * 1024  # planes, entries beside the code
    for model in (vae, cvae):
        assert layer_table(model).parameters == count[model]


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("kind", ["vae", "cvae"])
def test_codes_are_drawn_in_training_only(kind, likelihood):
    model, batch = made(kind, likelihood=likelihood), images()
    given = (torch.arange(5),) if model.takes_labels else ()
    first, second = model(batch, *given), model(batch, *given)
    assert torch.equal(first.latents, second.latents)  # the means
    assert torch.equal(first.divergences, second.divergences)
    assert not torch.allclose(first.log_likelihoods, second.log_likelihoods)
    model.eval()
    output = model(batch, *given)
    assert torch.equal(output.latents, model.encode(batch, *given))
    assert torch.equal(output.reconstructions, model.decode(output.latents, *given))
    if likelihood == "bernoulli":
        assert output.reconstructions.abs().max() < 1
        logits = model._decoded(output.latents, *given or (None,))
        assert torch.allclose(output.reconstructions, 2 * logits.sigmoid() - 1, atol=1e-6)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("kind", ["vae", "cvae"])
def test_they_learn(digits, kind, likelihood):
    config = TrainingConfig(epochs=4, batch_size=32)
    recipe = Recipe(network=SMALL, training=config).change(**defaults(kind), likelihood=likelihood)
    torch.manual_seed(0)
    model, criterion = recipe.build(10)
    trained = Trained(model, {"train": digits, "test": digits})
    before = variational_measures(trained)["bound"]
    history = train(model, criterion, digits, config, machine=CPU, progress=False)
    assert history[-1]["loss"] < history[0]["loss"]
    measured = variational_measures(trained)
    assert measured["bound"] > before + 10
    assert measured["active_dimensions"] == active_dimensions(encode(model, digits))
    result = evaluate(model, digits)
    assert result.keys() == ({"psnr", "accuracy"} if kind == "cvae" else {"psnr"})
    assert result["psnr"] > 8


def test_the_learning_rate_is_sought_with_labels(digits):
    recipe = Recipe(network=SMALL).change(**defaults("cvae"), batch_size=32)
    model, criterion = recipe.build(10)
    found = range_test(model, criterion, digits, recipe.training, machine=CPU, steps=5)
    assert len(found.losses) == 5


def test_a_label_changes_codes_and_images():
    model, batch = made("cvae").eval(), images()
    labels, others = torch.zeros(5).long(), torch.ones(5).long()
    codes = model.encode(batch, labels)
    assert not torch.allclose(codes, model.encode(batch, others))
    assert not torch.allclose(model.decode(codes, labels), model.decode(codes, others))


def test_class_bounds_are_the_bounds_of_each_label(digits):
    model, few = made("cvae").eval(), digits.first(20)
    bounds = class_bounds(model, few, batch_size=7)
    assert bounds.shape == (20, 10)
    own = image_bounds(model, few, batch_size=11)  # the same noise: of the same seed
    assert torch.allclose(bounds[torch.arange(20), few.labels], own)
    assert torch.equal(classify(model, few), bounds.argmax(dim=1))
    assert torch.equal(model.classify(prepare(few.images, 28)), bounds.argmax(dim=1))
    found = predict(model, few)
    assert torch.equal(found.labels, bounds.argmax(dim=1))
    assert torch.equal(found.reconstructions, reconstruct(model, few).reconstructions)
    assert evaluate(model, few)["accuracy"] == (found.labels == few.labels).double().mean()


def test_a_conditional_vae_classifies_when_its_label_matters(digits):
    """A decoder that draws the mean of the class and little else knows it again."""
    config = TrainingConfig(epochs=12, batch_size=32, learning_rate=1e-2)
    recipe = Recipe(network=SMALL, training=config).change(**defaults("cvae") | {"kl_weight": 5.0})
    torch.manual_seed(0)
    model, criterion = recipe.build(10)
    train(model, criterion, digits, config, machine=CPU, progress=False)
    assert evaluate(model, digits)["accuracy"] > 0.5


def test_reconstruction_is_told_the_labels(digits):
    model, few = made("cvae").eval(), digits.first(6)
    batch = prepare(few.images, 28)
    expected = model.encode(batch, few.labels)
    found = reconstruct(model, few)
    assert torch.allclose(found.latents, expected, atol=1e-6)
    pixels = (model.decode(expected, few.labels) + 1) / 2
    assert torch.allclose(found.reconstructions, pixels.clamp(0, 1), atol=1e-6)


def test_samples_lower_the_noise_of_a_bound_and_batches_change_nothing(digits):
    model, few = made().eval(), digits.first(30)
    one = image_bounds(model, few, batch_size=7)
    assert torch.allclose(one, image_bounds(model, few, batch_size=30))
    assert not torch.equal(one, image_bounds(model, few, seed=1))
    two = image_bounds(model, few, samples=2)
    assert not torch.equal(one, two)
    assert torch.allclose(one.mean(), two.mean(), rtol=0.02)


def test_active_dimensions_are_those_that_vary():
    latents = torch.zeros(50, 4)
    latents[:, 0] = torch.randn(50, generator=torch.Generator().manual_seed(0))
    latents[:, 1] = 0.05 * latents[:, 0]  # a variance of 0.0025
    latents[:, 2] = 100.0  # far off, but always the same
    assert active_dimensions(latents) == 1


# What is refused


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: VAE(likelihood="laplace"), "likelihood must be one of 'bernoulli', 'gaussian'"),
        (lambda: VAE(likelihood_std=0), "likelihood_std must be a finite number from 0.0001"),
        (lambda: VAE("x"), "config must be a NetworkConfig"),
        (lambda: ConditionalVAE(1), "num_classes must be an integer of at least 2, got 1"),
        (lambda: made(noise=0.1), "noise must be 0 for a model that draws its codes, got 0.1"),
        (lambda: made("cvae", noise=0.1), "noise must be 0 for a model that draws"),
        (lambda: made(arrangement="random"), "options must be one of 'likelihood'"),
        (lambda: made().encode(images(), torch.arange(5)), "labels must be None: a VAE takes none"),
        (lambda: made().decode(torch.zeros(5, 6), torch.arange(5)), "labels must be None"),
        (lambda: made("cvae")(images()), "labels must be given: a ConditionalVAE encodes"),
        (lambda: made("cvae").encode(images()), "labels must be given"),
        (lambda: made("cvae").decode(torch.zeros(5, 6)), "labels must be given"),
        (lambda: made("cvae")(images(), torch.arange(4)), r"labels must be int64 of shape \(5,\)"),
        (lambda: made("cvae")(images(), torch.arange(5) + 6), "labels must be classes from 0 to 9"),
        (lambda: made("cvae")(images(), [1] * 5), "labels must be a torch.Tensor, got list"),
        (lambda: made().bounds(images(), torch.zeros(5, 5)), "noise and the codes must have the"),
        (lambda: gaussian_divergence(torch.zeros(2, 3), torch.zeros(2, 4)), "same shape"),
        (lambda: log_likelihood(images(), images(), "x"), "likelihood must be one of"),
        (lambda: log_likelihood(images(4), images(), "gaussian"), "same shape"),
        (lambda: log_likelihood(images(), images(), "gaussian", 0.0), "variance must be a finite"),
        (lambda: active_dimensions(torch.zeros(1, 3)), "latents must be at least 2"),
        (lambda: active_dimensions(torch.zeros(3)), r"latents must be .* shape \(N, d\)"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_other_models_have_no_bound(digits):
    with pytest.raises(
        ValueError, match="model must be a VAE, got CSAE; no other kind has a bound"
    ):
        image_bounds(CSAE.for_classes(10, SMALL), digits)
    with pytest.raises(ValueError, match="model must be a ConditionalVAE, got VAE"):
        class_bounds(made(), digits)
    with pytest.raises(ValueError, match="samples must be an integer of at least 1, got 0"):
        image_bounds(made(), digits, samples=0)
    with pytest.raises(ValueError, match="model must name classes, as a CSAE does, got VAE"):
        classify(made(), digits)
    for term in (KLDivergence(), NegativeLogLikelihood()):
        with pytest.raises(ValueError, match="output must have (divergences|log_likelihoods)"):
            term(Autoencoder(SMALL)(images()), images(), torch.arange(5))


def test_a_conditional_vae_of_other_classes_is_refused(digits):
    model = build("cvae", 3, SMALL)
    for call in (evaluate, reconstruct, encode, image_bounds):
        with pytest.raises(
            ValueError, match="dataset has 10 classes, but the model was built for 3"
        ):
            call(model, digits)
    with pytest.raises(
        ValueError, match="dataset has 10 classes, but ConditionalVAE was built for"
    ):
        train(model, lambda *_: {}, digits, TrainingConfig(epochs=1), machine=CPU)
