import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from csae.centroids import class_component, nearest_centroid, random_directions, simplex
from csae.losses import (
    CentroidCrossEntropy,
    CentroidDistance,
    CSAELoss,
    ImageError,
    JointLoss,
)
from csae.models import CSAEOutput


def output_for(codes, centroids):
    """A model's output for codes, with a perfect reconstruction of a black image."""
    similarities = codes @ (centroids / centroids.square().sum(dim=1, keepdim=True)).T
    return CSAEOutput(torch.zeros(len(codes), 1, 32, 32), similarities, codes)


@given(st.integers(2, 40), st.floats(0.01, 0.9), st.floats(0.1, 10))
@settings(deadline=None)
def test_minimum_lies_on_the_centroids(k, smoothing, norm):
    centroids = simplex(k, k + 3, scale=norm)
    codes = centroids.clone().requires_grad_()
    criterion = CSAELoss(smoothing=smoothing)
    # The loss computes in float32, so probabilities are exact to about 1e-7.
    loss = criterion(output_for(codes, centroids), torch.zeros(k, 1, 32, 32), torch.arange(k))[
        "loss"
    ]
    (gradient,) = torch.autograd.grad(loss, codes)
    assert gradient.norm(dim=1).max() * norm < 1e-5
    for factor in (0.8, 1.2):
        moved = criterion(
            output_for(factor * centroids, centroids), torch.zeros(k, 1, 32, 32), torch.arange(k)
        )["loss"]
        assert moved > loss


def test_terms_are_weighted_and_reported_apart():
    torch.manual_seed(0)
    images, labels = torch.rand(4, 1, 32, 32), torch.tensor([0, 1, 2, 0])
    output = CSAEOutput(torch.rand(4, 1, 32, 32), torch.randn(4, 3), torch.randn(4, 5))
    terms = CSAELoss(2.0, 3.0)(output, images, labels)
    assert terms["reconstruction"] == torch.nn.functional.mse_loss(output.reconstructions, images)
    expected = 2 * terms["classification"] + 3 * terms["reconstruction"]
    assert terms["loss"] == pytest.approx(expected.item())


def test_a_term_of_weight_zero_is_reported_but_not_minimised():
    torch.manual_seed(0)
    output = CSAEOutput(torch.rand(4, 1, 8, 8), torch.randn(4, 3), torch.randn(4, 5))
    criterion = CSAELoss(0.0, 3.0, absolute=(0.5, ImageError(torch.nn.L1Loss())))
    images = torch.rand(4, 1, 8, 8)
    terms = criterion(output, images, torch.tensor([0, 1, 2, 0]))
    assert terms["classification"] > 0
    expected = 3 * terms["reconstruction"] + 0.5 * terms["absolute"]
    assert terms["loss"] == pytest.approx(expected.item())
    assert terms["absolute"] == (output.reconstructions - images).abs().mean()


def test_a_joint_loss_needs_a_term():
    with pytest.raises(ValueError, match="nothing to learn"):
        JointLoss()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classification_weight": -1.0}, "classification_weight must be .* got -1.0"),
        ({"reconstruction_weight": float("nan")}, "reconstruction_weight must be .* got nan"),
        ({"classification_weight": 0, "reconstruction_weight": 0}, "nothing to learn"),
        ({"smoothing": 0.0}, "smoothing must be a finite number above 0 and below 1, got 0.0"),
        ({"smoothing": 1.0}, "smoothing must be a finite number above 0 and below 1, got 1.0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        CSAELoss(**arguments)


def random_output(seed=0, count=6, classes=4, dim=7):
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randn(count, dim, generator=generator)
    centroids = simplex(classes, dim, scale=2.0, seed=seed).float()
    labels = torch.randint(classes, (count,), generator=generator)
    return codes, centroids, labels


@given(st.integers(2, 12), st.floats(0.01, 0.9), st.integers(0, 50))
@settings(deadline=None)
def test_equation_centroid_cross_entropy(k, smoothing, seed):
    """Written out: smoothed labels against the softmax of scaled similarities."""
    codes, centroids, labels = random_output(seed, classes=k, dim=k + 2)
    output = output_for(codes, centroids)
    criterion = CentroidCrossEntropy(smoothing)
    wanted = (1 - smoothing) * torch.nn.functional.one_hot(labels, k) + smoothing / k
    chances = (criterion.scale(k) * output.similarities).softmax(dim=1)
    expected = -(wanted * chances.log()).sum(dim=1).mean().item()
    assert criterion(output, codes, labels).item() == pytest.approx(expected, rel=1e-4)


def test_equation_cross_entropy_gradient():
    """A sum of centroids, one pull and K - 1 pushes; nothing outside of their span."""
    codes, centroids, labels = random_output()
    codes.requires_grad_()
    criterion = CentroidCrossEntropy(0.2)
    output = output_for(codes, centroids)
    loss = criterion(output, codes, labels) * len(codes)
    (gradient,) = torch.autograd.grad(loss, codes)
    scale = criterion.scale(4)
    wanted = 0.8 * torch.nn.functional.one_hot(labels, 4) + 0.05
    chances = (scale * output.similarities).softmax(dim=1)
    expected = scale / 4 * (chances - wanted) @ centroids  # the squared norm is 4
    assert torch.allclose(gradient, expected, atol=1e-6)
    assert torch.allclose(class_component(gradient, centroids), gradient, atol=1e-6)


@given(st.integers(2, 100), st.floats(0.01, 0.9))
def test_equation_similarity_scale(k, smoothing):
    """On a centroid of a simplex the probabilities are what smoothed labels ask for."""
    scale = CentroidCrossEntropy(smoothing).scale(k)
    on_centroid = torch.full((k,), -1 / (k - 1), dtype=torch.float64)
    on_centroid[0] = 1
    chances = (scale * on_centroid).softmax(dim=0)
    assert chances[0].item() == pytest.approx(1 - smoothing + smoothing / k)
    assert chances[1].item() == pytest.approx(smoothing / k)


def test_equation_centroid_distance_terms():
    """The mean over dimensions, the share of the class subspace, and what is between them."""
    codes, centroids, labels = random_output()
    output = output_for(codes, centroids)
    everything = CentroidDistance(centroids)(output, codes, labels)
    inside = CentroidDistance(centroids, "class")(output, codes, labels)
    expected = torch.nn.functional.mse_loss(codes, centroids[labels])
    assert everything.item() == pytest.approx(expected.item())
    other = codes - class_component(codes, centroids)
    rest = other.square().sum(dim=1).mean() / codes.shape[1]
    assert inside.item() == pytest.approx((everything - rest).item(), rel=1e-5)


@given(st.integers(2, 12), st.integers(1, 12), st.integers(0, 50))
@settings(deadline=None)
def test_the_class_space_is_blind_to_the_rest(k, d, seed):
    """For any centroids, also those that fill the space and those of a lower rank."""
    centroids = random_directions(k, d, seed=seed).float()
    codes = random_directions(5, d, seed=seed + 1).float()
    labels = torch.arange(5) % k
    other = codes - class_component(codes, centroids)
    term = CentroidDistance(centroids, "class")
    before = term(output_for(codes, centroids), codes, labels)
    after = term(output_for(codes + 3 * other, centroids), codes, labels)
    assert before.item() == pytest.approx(after.item(), rel=1e-3, abs=1e-6)
    assert term.basis.shape == (d, min(k, d))


def test_distance_is_to_clean_codes_and_its_gradient_points_home():
    codes, centroids, labels = random_output()
    codes.requires_grad_()
    noisy = output_for(codes.detach() + 1, centroids)._replace(latents=codes)
    (gradient,) = torch.autograd.grad(CentroidDistance(centroids)(noisy, codes, labels), codes)
    expected = 2 * (codes - centroids[labels]) / codes.numel()
    assert torch.allclose(gradient, expected, atol=1e-6)


def test_equation_joint_loss():
    codes, centroids, labels = random_output()
    output, images = output_for(codes, centroids), torch.rand(6, 1, 32, 32)
    names = {
        "classification": (0.5, CentroidCrossEntropy()),
        "distance": (2.0, CentroidDistance(centroids, "class")),
        "reconstruction": (10.0, ImageError()),
    }
    terms = JointLoss(**names)(output, images, labels)
    assert list(terms) == ["loss", "classification", "distance", "reconstruction"]
    for name, (_, term) in names.items():
        assert terms[name] == term(output, images, labels)
    expected = sum(weight * terms[name].item() for name, (weight, _) in names.items())
    assert terms["loss"].item() == pytest.approx(expected)


def test_a_joint_loss_does_not_train_its_centroids():
    criterion = CSAELoss(distance=(1.0, CentroidDistance(simplex(3, 4))))
    assert not list(criterion.parameters())
    assert criterion.state_dict()["terms.distance.centroids"].shape == (3, 4)


@given(st.integers(2, 9), st.integers(1, 6), st.integers(0, 99))
def test_equation_nearest_centroid(k, d, seed):
    """Compared one by one; for centroids of unequal norms, too."""
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randn(8, d, generator=generator, dtype=torch.float64)
    centroids = torch.randn(k, d, generator=generator, dtype=torch.float64)
    found = nearest_centroid(codes, centroids)
    for code, label in zip(codes, found, strict=True):
        distances = [float((code - centroid).norm()) for centroid in centroids]
        assert distances[label] == pytest.approx(min(distances))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((simplex(3, 4), "half"), "space must be one of .*all.*class.* got 'half'"),
        ((torch.zeros(3, 4), "all"), "centroids must be finite and not all zero"),
        ((torch.ones(4), "class"), r"centroids must be .* shape \(K, d\), got .*\(4,\)"),
    ],
)
def test_wrong_centroids_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        CentroidDistance(*arguments)


@pytest.mark.parametrize("wrong", [-100, -1, 3])
def test_labels_of_no_class_are_named(wrong):
    """PyTorch would pass over -100, and count -1 from the end."""
    codes = torch.randn(4, 5)
    output = CSAEOutput(torch.rand(4, 1, 8, 8), torch.randn(4, 3), codes)
    labels = torch.tensor([0, 1, 2, wrong])
    for term in (
        CSAELoss(),
        CentroidDistance(simplex(3, 5)),
        CentroidDistance(simplex(3, 5), "class"),
    ):
        with pytest.raises(ValueError, match="labels must be classes from 0 to 2"):
            term(output, output.reconstructions, labels)


def test_a_term_cannot_take_the_place_of_the_sum():
    with pytest.raises(ValueError, match="loss must not be the name of a term"):
        JointLoss(loss=(1.0, ImageError()))
