import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from csae.centroids import simplex
from csae.losses import CSAELoss, ImageError, JointLoss
from csae.networks import CSAEOutput


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
        ({"smoothing": 0.0}, "smoothing must be between 0 and 1, both excluded, got 0.0"),
        ({"smoothing": 1.0}, "smoothing must be between 0 and 1, both excluded, got 1.0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        CSAELoss(**arguments)
