import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import csae
from csae.centroids import simplex
from csae.data import load_dataset, prepare
from csae.losses import CSAELoss
from csae.noise import (
    GaussianNoise,
    NoiseSchedule,
    closest_distance,
    crossing_probability,
    crossing_std,
    doubt_penalty,
    noise_increase,
    path_steps,
    squared_jacobian_norm,
)
from csae.weights import load_pretrained


@pytest.fixture(scope="module")
def trained():
    """A trained model, 1000 test images and their codes, in float64."""
    model = load_pretrained("fashion-mnist")[0].double()
    images = prepare(load_dataset("fashion-mnist", "test", sample=True).images).double()
    with torch.no_grad():
        return model, images, model.encode(images)


def curved(codes):
    """A decoder with known derivatives: (n, 2) -> (n, 3)."""
    x, y = codes.T
    return torch.stack((3 * x + x**2, 2 * y + x * y, x - y**2), dim=1)


def test_noise_has_the_stated_spread_in_training():
    torch.manual_seed(0)
    noise = GaussianNoise(0.253).train()
    added = noise(torch.full((2000, 40), 3.0)) - 3.0
    assert added.mean().abs() < 0.005
    assert added.std() == pytest.approx(0.253, rel=0.01)


def test_evaluation_passes_codes_through():
    codes = torch.randn(4, 7)
    assert GaussianNoise(1.0).eval()(codes) is codes
    assert GaussianNoise(0.0).train()(codes) is codes


@pytest.mark.parametrize("std", [-0.1, float("nan"), float("inf")])
def test_wrong_spread_is_refused(std):
    with pytest.raises(ValueError, match="std must be a finite number of at least 0, got"):
        GaussianNoise(std)
    noise = GaussianNoise(0.5)
    with pytest.raises(ValueError, match="std must be a finite number of at least 0, got"):
        noise.std = std
    assert noise.std == 0.5


def test_noise_is_no_part_of_the_weights():
    assert not GaussianNoise(0.5).state_dict()


# Schedules

spreads = st.floats(0, 1e3)


@given(spreads, spreads, st.floats(0, 1), st.floats(0, 1), st.sampled_from(["linear", "cosine"]))
def test_equation_noise_schedule(start, end, early, late, shape):
    """From start to end, monotonic and never beyond; the cosine is symmetric about the middle."""
    early, late = sorted((early, late))
    schedule = NoiseSchedule(GaussianNoise(0.0), start, end, shape)
    assert schedule.std(0.0) == start
    assert schedule.std(1.0) == pytest.approx(end, rel=1e-12)
    slack = 1e-12 * max(start, end)
    low, high = sorted((start, end))
    for progress in (early, late):
        assert low - slack <= schedule.std(progress) <= high + slack
        both = schedule.std(progress) + schedule.std(1 - progress)
        assert both == pytest.approx(start + end, rel=1e-9, abs=1e-9)
    rise = schedule.std(late) - schedule.std(early)
    assert rise * (end - start) >= -slack * max(1, abs(end - start))


def test_cosine_starts_and_ends_slowly():
    linear, cosine = (NoiseSchedule(GaussianNoise(0), 0, 1, s) for s in ("linear", "cosine"))
    assert linear.std(0.1) == pytest.approx(0.1)
    assert cosine.std(0.1) == pytest.approx((1 - math.cos(0.1 * math.pi)) / 2)
    assert cosine.std(0.5) == pytest.approx(0.5)


def test_schedule_drives_the_noise_in_training():
    model = csae.CSAE(torch.eye(10), noise=0.3)
    dataset = load_dataset("mnist", "validation", sample=True)
    seen = []
    schedule = NoiseSchedule(model.noise, 0.4, 0.0)

    def on_step(progress):
        schedule(progress)
        seen.append(model.noise.std)

    config, cpu = (
        csae.TrainingConfig(epochs=2, batch_size=250),
        csae.Machine("cpu", precision="fp32"),
    )
    csae.train(model, CSAELoss(), dataset, config, machine=cpu, on_step=on_step, progress=False)
    assert seen == pytest.approx([0.4, 0.3, 0.2, 0.1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1.0, 0.0), "start must be a finite number of at least 0, got -1.0"),
        ((0.0, math.inf), "end must be a finite number of at least 0, got inf"),
        ((0.0, 1.0, "steep"), "shape must be one of .*; got 'steep'"),
    ],
)
def test_wrong_schedules_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        NoiseSchedule(GaussianNoise(0.0), *arguments)


@pytest.mark.parametrize("progress", [-0.1, 1.1, math.nan])
def test_wrong_progress_is_refused(progress):
    noise = GaussianNoise(0.7)
    with pytest.raises(ValueError, match="progress must be a finite number from 0 to 1, got"):
        NoiseSchedule(noise, 0.0, 1.0)(progress)
    assert noise.std == 0.7


# Distance between centroids


def test_closest_distance():
    assert closest_distance(torch.tensor([[0.0], [3.0], [5.0]])) == pytest.approx(2.0)
    centroids = simplex(10, 40, scale=math.sqrt(40))
    assert closest_distance(centroids) == pytest.approx(math.sqrt(40 * 20 / 9))


@pytest.mark.parametrize("dim", [1, 2, 40])
@pytest.mark.parametrize("std", [0.5, 1.0, 3.0])
def test_equation_noise_crossing(dim, std):
    """Phi(-D / (2 s)) against simulation, in any number of dimensions."""
    torch.manual_seed(0)
    other = torch.zeros(dim)
    other[0] = 2.0
    noise = std * torch.randn(200_000, dim)
    crossed = (noise.norm(dim=1) > (noise - other).norm(dim=1)).double().mean().item()
    expected = crossing_probability(std, 2.0)
    assert expected == pytest.approx(0.5 * math.erfc(1 / std / math.sqrt(2)))
    assert abs(crossed - expected) < 5 * math.sqrt(expected / 200_000)


@pytest.mark.parametrize("num_classes", [2, 3, 10, 26])
@pytest.mark.parametrize("std", [0.15, 0.5, 2.0])
def test_equation_noise_crossing_simplex(num_classes, std):
    """Against simulation, and between one pair's probability and the sum over all pairs."""
    centroids = simplex(num_classes, 40, seed=1).double()
    distance = closest_distance(centroids)
    torch.manual_seed(num_classes)
    codes = centroids[0] + std * torch.randn(100_000, 40, dtype=torch.float64)
    crossed = ((codes @ centroids.T).argmax(dim=1) != 0).double().mean().item()
    expected = crossing_probability(std, distance, num_classes)
    assert abs(crossed - expected) < 5 * math.sqrt(max(expected, 1e-5) / 100_000)
    pair = crossing_probability(std, distance)
    assert pair * (1 - 1e-9) <= expected <= (num_classes - 1) * pair * (1 + 1e-9)


def test_crossing_of_two_is_the_simplex_of_two():
    """The integral, which the package does not use for two classes, meets the closed form."""
    for std in (0.05, 0.3, 1.0, 10.0):
        three, two = crossing_probability(std, 1.0, 3), crossing_probability(std, 1.0)
        assert two < three <= 2 * two * (1 + 1e-9)
    # Where crossings are rare, they hardly ever coincide: all pairs sum up.
    rare = crossing_probability(0.1, 1.5, 10)
    assert rare == pytest.approx(9 * crossing_probability(0.1, 1.5), rel=1e-4)
    assert crossing_probability(1e-3, 1.0, 10) == 0 == crossing_probability(0.0, 1.0)


@given(st.floats(1e-6, 0.49), st.floats(1e-3, 1e3))
def test_crossing_std_is_the_inverse(probability, distance):
    std = crossing_std(probability, distance)
    assert crossing_probability(std, distance) == pytest.approx(probability, rel=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: crossing_probability(-1, 1), "std must be a finite number of at least 0, got -1"),
        (lambda: crossing_probability(1, 0), "distance must be a finite number above 0, got 0"),
        (lambda: crossing_probability(1, 1, 1), "num_classes must be an integer of at least 2"),
        (lambda: crossing_std(0.5, 1), "probability must be a finite number above 0 and below 0.5"),
        (lambda: crossing_std(0.1, -1), "distance must be a finite number above 0, got -1"),
        (lambda: closest_distance(torch.zeros(1, 3)), r"centroids must be at least 2, .* \(1, 3\)"),
        (lambda: squared_jacobian_norm(curved, torch.zeros(2)), "latents must be floating point"),
        (
            lambda: squared_jacobian_norm(curved, torch.zeros(1, 2), probes=0),
            "probes must be an integer of at least 1, got 0",
        ),
        (
            lambda: noise_increase(curved, torch.zeros(1, 2), torch.zeros(1, 3), 0.0),
            "std must be a finite number above 0, got 0.0",
        ),
        (
            lambda: noise_increase(curved, torch.zeros(1, 2), torch.zeros(1, 3), 1.0, draws=0),
            "draws must be an integer of at least 1, got 0",
        ),
        (
            lambda: noise_increase(curved, torch.zeros(1, 2), torch.zeros(2, 3), 1.0),
            r"images must be as many as the 1 codes, got .* \(2, 3\)",
        ),
        (
            lambda: noise_increase(curved, torch.zeros(1, 2), torch.zeros(1, 1), 1.0),
            r"images must have the shape \(3,\) that decode returns, got \(1,\)",
        ),
        (lambda: doubt_penalty(torch.ones(3), 1.0), r"probabilities must be .* shape \(N, K\)"),
        (lambda: doubt_penalty(torch.ones(1, 1), -1.0), "logit_std must be a finite number"),
        (
            lambda: path_steps(curved, torch.zeros(1, 2), torch.zeros(2, 2)),
            "start and end must have the",
        ),
        (
            lambda: path_steps(curved, torch.zeros(1, 2), torch.ones(1, 2), steps=0),
            "steps must be an integer of at least 1, got 0",
        ),
        (lambda: squared_jacobian_norm(curved, torch.zeros(1, 2).long()), "got int64 of sh"),
    ],
)
def test_wrong_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# The decoder's Jacobian


def test_jacobian_is_that_of_torch(trained):
    model, _, codes = trained
    exact = squared_jacobian_norm(model.decode, codes[:2])
    for code, found in zip(codes[:2], exact, strict=True):
        jacobian = torch.autograd.functional.jacobian(model.decode, code[None])
        assert found.item() == pytest.approx(jacobian.square().sum().item(), rel=1e-10)


def test_equation_jacobian_probe(trained):
    """The mean over many directions is the exact value, whatever the chunks."""
    codes = torch.tensor([[0.5, -1.0], [2.0, 0.3]], dtype=torch.float64).repeat(600, 1)
    x, y = codes.T
    exact = (3 + 2 * x) ** 2 + y**2 + (2 + x) ** 2 + 1 + 4 * y**2
    assert torch.allclose(squared_jacobian_norm(curved, codes), exact)
    probed = squared_jacobian_norm(curved, codes, probes=20)
    for first in (0, 1):
        assert probed[first::2].mean() == pytest.approx(exact[first].item(), rel=0.03)
    assert len(probed.unique()) == len(codes)  # other directions for each code
    again = squared_jacobian_norm(curved, codes, probes=20)
    assert torch.equal(probed, again)
    model, _, codes = trained
    estimate = squared_jacobian_norm(model.decode, codes[:20], probes=20).mean()
    assert estimate == pytest.approx(
        squared_jacobian_norm(model.decode, codes[:20]).mean().item(), rel=0.1
    )


# What noise adds to the loss


def test_equation_noise_expansion():
    """Both terms, for a decoder whose derivatives are known and whose fourth order is too."""
    torch.manual_seed(0)
    code = torch.tensor([[0.5, -1.0]], dtype=torch.float64)
    wanted = curved(code) + torch.tensor([[0.7, 5.0, -0.4]], dtype=torch.float64)
    found = noise_increase(curved, code, wanted, 0.1, draws=50_000)
    x, y = code[0]
    jacobian = (3 + 2 * x) ** 2 + y**2 + (2 + x) ** 2 + 1 + 4 * y**2
    # Second derivatives: traces 2, 0 and -2. E of the squared second-order terms: 3, 1 and 3.
    assert found.spread.item() == pytest.approx(0.01 * jacobian.item() + 0.0001 * 7, rel=0.02)
    assert found.curvature.item() == pytest.approx(-0.01 * (2 * 0.7 + -2 * -0.4), rel=0.05)
    assert found.total.item() == found.spread.item() + found.curvature.item()


def test_linear_decoders_have_no_curvature():
    """The increase is exactly the Jacobian's, up to the draws; odd changes cancel in pairs."""
    torch.manual_seed(1)
    weight = torch.randn(5, 7, dtype=torch.float64)
    codes, wanted = (
        torch.randn(700, 5, dtype=torch.float64),
        torch.randn(700, 7, dtype=torch.float64),
    )
    found = noise_increase(lambda z: z @ weight, codes, wanted, 2.0)
    assert found.curvature.abs().max() < 1e-10
    assert found.spread.mean() == pytest.approx(4 * weight.square().sum().item(), rel=0.03)


def test_the_penalty_predicts_the_increase_on_a_trained_model(trained):
    """Within 5 % at small noise, on test images, in evaluation mode and double precision.

    Prediction and measurement share nothing but the model: all 40 derivatives against drawn noise.
    """
    model, images, codes = trained
    single = load_pretrained("fashion-mnist")[0]  # derivatives keep six digits, in less time
    slope = squared_jacobian_norm(single.decode, codes[:100].float()).mean().item()
    for std in (0.02, 0.05):
        found = noise_increase(model.decode, codes[:100], images[:100], std, draws=8)
        assert found.total.mean().item() == pytest.approx(std**2 * slope, rel=0.05)
        assert found.spread.mean().item() == pytest.approx(std**2 * slope, rel=0.02)


def test_the_increase_is_that_of_the_noisy_loss(trained):
    """Independent of the split into terms: the squared error with noise less that without."""
    model, images, codes = trained
    codes, images = codes[:100], images[:100]
    found = noise_increase(model.decode, codes, images, 0.5, draws=4)
    torch.manual_seed(5)
    with torch.no_grad():
        quiet = (images - model.decode(codes)).square().sum()
        noisy = [
            (images - model.decode(codes + 0.5 * torch.randn_like(codes))).square().sum()
            for _ in range(8)
        ]
    increase = (torch.stack(noisy).mean() - quiet) / 100
    assert increase.item() == pytest.approx(found.total.mean().item(), rel=0.15)


def test_equation_noise_doubt():
    """Against noisy logits of simplex centroids, for doubtful and for sure predictions."""
    torch.manual_seed(0)
    centroids = simplex(6, 8, scale=3.0).double()
    scale, std = 4.0, 0.1
    codes = torch.stack((0.2 * centroids[0], centroids[:2].mean(0), centroids[2]))

    def logits(latents):
        return scale * latents @ centroids.T / 9

    noise = std * torch.randn(100_000, 1, 8, dtype=torch.float64)
    noisy = (logits(codes + noise).logsumexp(-1) + logits(codes - noise).logsumexp(-1)) / 2
    # The logit of the label is linear in the code: whatever the label, it adds nothing.
    measured = (noisy - logits(codes).logsumexp(-1)).mean(dim=0)
    logit_std = std * scale * closest_distance(centroids) / 9
    predicted = doubt_penalty(logits(codes).softmax(dim=1), logit_std)
    assert torch.allclose(measured, predicted, rtol=0.03)
    assert predicted[0] > predicted[2]


# Lines between codes


def test_equation_path_stretch(trained):
    """A straight decoder moves evenly; a bent path is never shorter than its chord."""
    model, _, codes = trained
    start, end = codes[:20], codes[20:40]
    weight = torch.randn(40, 9, dtype=torch.float64)
    even = path_steps(lambda z: z @ weight, start, end, steps=7)
    assert torch.allclose(even, ((end - start) @ weight).norm(dim=1)[:, None] / 7)
    steps = path_steps(model.decode, start, end, steps=16)
    assert steps.shape == (20, 16)
    with torch.no_grad():
        chord = (model.decode(end) - model.decode(start)).flatten(1).norm(dim=1)
    assert (steps.sum(dim=1) >= chord).all()
    # Twice the points: the path is measured more closely, so not shorter.
    finer = path_steps(model.decode, start, end, steps=32)
    assert (finer.sum(dim=1) >= steps.sum(dim=1) - 1e-9).all()
