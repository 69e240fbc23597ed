import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from csae.centroids import simplex
from csae.data import prepare, to_pixels
from csae.evaluation import (
    accuracy_interval,
    confusion_matrix,
    evaluate,
    mean_interval,
    predict,
    psnr,
)
from csae.networks import CSAE


def test_psnr_of_known_errors():
    images = torch.full((3, 1, 28, 28), 0.5)
    assert psnr(images, images + 0.1) == pytest.approx(20.0, abs=1e-4)
    assert psnr(images, images - 0.01) == pytest.approx(40.0, abs=1e-3)
    assert psnr(images, images) == math.inf


def test_predictions_are_the_models_own(model, digits):
    model.train()
    predictions = predict(model, digits, batch_size=100)
    assert model.training
    model.eval()
    images = prepare(digits.images)
    with torch.no_grad():
        output = model(images)
    assert torch.equal(predictions.labels, model.classify(images))
    assert torch.allclose(predictions.latents, output.latents, atol=1e-5)
    assert torch.allclose(predictions.reconstructions, to_pixels(output.reconstructions), atol=1e-5)
    result = evaluate(model, digits)
    assert result["accuracy"] == (predictions.labels == digits.labels).double().mean()
    assert result["psnr"] == pytest.approx(psnr(digits.images / 255, predictions.reconstructions))


def test_model_of_other_classes_is_refused(digits):
    with pytest.raises(ValueError, match="dataset has 10 classes, but the model was built for 3"):
        evaluate(CSAE(simplex(3, 4)), digits)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=50))
def test_confusion_matrix_counts_pairs(pairs):
    table = confusion_matrix(
        torch.tensor([t for t, _ in pairs], dtype=torch.long),
        torch.tensor([p for _, p in pairs], dtype=torch.long),
        4,
    )
    assert table.tolist() == [[pairs.count((t, p)) for p in range(4)] for t in range(4)]


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_interval_bounds_solve_the_score_equation(counts):
    right, n = counts
    accuracy = right / n
    for bound in accuracy_interval(accuracy, n):
        assert 0 <= bound <= 1
        distance = (accuracy - bound) ** 2
        assert distance == pytest.approx(1.959964**2 * bound * (1 - bound) / n, abs=1e-9)


@pytest.mark.parametrize("arguments", [(1.1, 10), (-0.1, 10), (math.nan, 10), (0.5, 0)])
def test_impossible_accuracies_are_refused(arguments):
    with pytest.raises(ValueError, match="must be"):
        accuracy_interval(*arguments)


@given(st.lists(st.integers(-1000, 1000), min_size=2, max_size=6, unique=True))
def test_interval_over_seeds_is_that_of_scipy(values):
    mean, low, high = mean_interval(values)
    expected = stats.t.interval(0.95, len(values) - 1, loc=mean, scale=stats.sem(values))
    assert (low, high) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_one_seed_has_no_interval():
    with pytest.raises(ValueError, match="values must hold at least 2 numbers, got 1"):
        mean_interval([0.9])
