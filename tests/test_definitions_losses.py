"""What the chapter on classification supervision defines is what the package computes."""

import pytest
import torch

from csae import evaluation, losses
from csae.centroids import class_component, class_subspace, random_directions, simplex
from csae.models import CSAE, CSAEOutput
from csae.networks import NetworkConfig
from tests.chapters import definitions


@pytest.fixture(scope="module")
def chapter():
    """The functions and classes that the chapter defines."""
    return definitions("losses")


@pytest.fixture
def batch():
    """Codes in float32 with labels, centroids and a model's output for them."""
    generator = torch.Generator().manual_seed(0)
    codes = 3 * torch.randn(60, 8, generator=generator)
    labels = torch.arange(60) % 5
    model = CSAE(simplex(5, 8, scale=2.5), config=NetworkConfig.fully_connected(8))
    images = torch.zeros(60, 1, 28, 28)
    return codes, labels, model.centroids, CSAEOutput(images, model.similarities(codes), codes)


@pytest.mark.parametrize(("k", "smoothing"), [(2, 0.1), (10, 0.1), (47, 0.5)])
def test_scale(chapter, k, smoothing):
    expected = losses.CentroidCrossEntropy(smoothing).scale(k)
    assert chapter["scale_by_hand"](k, smoothing) == pytest.approx(expected)


def test_cross_entropy(chapter, batch):
    codes, labels, centroids, output = batch
    term = losses.CentroidCrossEntropy(0.2)
    by_hand = chapter["cross_entropy_by_hand"](codes, centroids, labels, 0.2, term.scale(5))
    assert by_hand.shape == (60,)
    assert by_hand.mean().item() == pytest.approx(term(output, codes, labels).item(), rel=1e-5)


@pytest.mark.parametrize("points", [simplex(5, 8), random_directions(12, 8), simplex(3, 2)])
def test_class_subspace(chapter, points):
    by_hand, package = chapter["basis_by_hand"](points), class_subspace(points)
    assert by_hand.shape == package.shape
    assert torch.allclose(by_hand @ by_hand.T, package @ package.T, atol=1e-12)
    codes = random_directions(9, points.shape[1], seed=3)
    by_hand = chapter["component_by_hand"](codes, points)
    assert torch.allclose(by_hand, class_component(codes, points), atol=1e-12)


@pytest.mark.parametrize("space", losses.SPACES)
def test_distance(chapter, batch, space):
    codes, labels, centroids, output = batch
    by_hand = chapter["distance_by_hand"](codes, centroids, labels, space)
    package = losses.CentroidDistance(centroids, space)(output, codes, labels)
    assert by_hand.item() == pytest.approx(package.item(), rel=1e-5)


def test_joint_loss(chapter, batch):
    _, labels, centroids, output = batch
    criterion = losses.JointLoss(
        distance=(0.5, losses.CentroidDistance(centroids)),
        reconstruction=(3.0, losses.ImageError()),
    )
    package = criterion(output, output.reconstructions + 1, labels)
    terms = {name: package[name] for name in criterion.weights}
    assert chapter["joint_by_hand"](terms, criterion.weights) == package


def test_distances_and_silhouette(chapter, batch):
    codes, labels, _, _ = batch
    between, within = chapter["distances_by_hand"](codes.double(), labels)
    package = evaluation.class_distances(codes, labels)
    assert (between.item(), within.item()) == pytest.approx(package[:2])
    by_hand = chapter["silhouette_by_hand"](codes.double(), labels)
    assert by_hand.item() == pytest.approx(evaluation.silhouette(codes, labels))


@pytest.mark.parametrize("bias", [None, torch.arange(5.0)])
def test_neural_collapse(chapter, batch, bias):
    codes, labels, centroids, _ = batch
    extra = () if bias is None else (bias,)
    by_hand = chapter["collapse_by_hand"](codes.double(), labels, centroids.double(), *extra)
    package = evaluation.neural_collapse(codes, labels, centroids, bias)
    assert by_hand.tolist() == pytest.approx(list(package), rel=1e-6)
