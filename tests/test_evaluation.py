import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import silhouette_score

from csae.centroids import class_component, simplex
from csae.data import prepare, to_pixels
from csae.evaluation import (
    accuracy_interval,
    class_distances,
    confusion_matrix,
    evaluate,
    mean_interval,
    neural_collapse,
    paired_difference,
    predict,
    psnr,
    silhouette,
    smallest_effect,
    standard_error,
)
from csae.models import CSAE, Autoencoder


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


def test_equation_student_interval():
    """With three seeds 2.48 standard deviations to each side, with two nearly nine."""
    for count, factor in ((2, 8.98), (3, 2.48), (5, 1.24)):
        values = [float(k) for k in range(count)]
        mean, low, high = mean_interval(values)
        assert (high - low) / 2 == pytest.approx(factor * np.std(values, ddof=1), rel=5e-3)
        assert mean == pytest.approx((low + high) / 2)


def test_equation_accuracy_error():
    generator = np.random.default_rng(0)
    drawn = generator.binomial(500, 0.94, size=20_000) / 500
    assert standard_error(0.94, 500) == pytest.approx(drawn.std(), rel=0.02)
    assert standard_error(1.0, 7) == 0


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=60))
def test_equation_paired_error(verdicts):
    new, old = torch.tensor(verdicts).T
    found = paired_difference(new, old)
    each = new.double() - old.double()
    assert found.difference == pytest.approx(each.mean().item())
    half = 1.959964 * each.std().item() / math.sqrt(len(each))
    assert (found.low, found.high) == pytest.approx(
        (found.difference - half, found.difference + half)
    )
    turned = paired_difference(old, new)
    assert (turned.gained, turned.lost) == (found.lost, found.gained)
    assert turned.p_value == pytest.approx(found.p_value)
    assert (found.p_value == 1) >= (found.gained == found.lost)


def test_disagreements_are_tossed_coins_if_nothing_differs():
    """Five against none happen once in 32 tosses to each side; images both know say nothing."""
    few = paired_difference(torch.ones(5).bool(), torch.zeros(5).bool())
    many = paired_difference(torch.ones(900).bool(), (torch.arange(900) >= 5))
    assert few.p_value == many.p_value == pytest.approx(2 / 32)
    assert (few.difference, many.difference) == (1.0, pytest.approx(5 / 900))


@pytest.mark.parametrize(("seeds", "power"), [(2, 0.8), (3, 0.8), (5, 0.9)])
def test_equation_smallest_effect(seeds, power):
    """Simulated experiments show it as often as they shall, and half of it less often."""
    effect = smallest_effect(0.2, seeds, power)
    drawn = 0.2 * np.random.default_rng(0).normal(size=(40_000, seeds))
    half = stats.t.ppf(0.975, seeds - 1) * drawn.std(axis=1, ddof=1) / math.sqrt(seeds)
    for size, expected in ((effect, power), (0.0, 0.025)):
        shown = np.mean(size + drawn.mean(axis=1) > half)
        assert shown == pytest.approx(expected, abs=0.01)
    assert np.mean(effect / 2 + drawn.mean(axis=1) > half) < power - 0.2
    assert smallest_effect(0.4, seeds, power) == pytest.approx(2 * effect)
    assert smallest_effect(0.2, seeds + 1, power) < effect


def test_one_seed_has_no_interval():
    with pytest.raises(ValueError, match="values must hold at least 2 numbers, got 1"):
        mean_interval([0.9])


def test_a_plain_autoencoder_predicts_no_classes(digits):
    with pytest.raises(ValueError, match="model must name classes.* got Autoencoder"):
        predict(Autoencoder(), digits)
    assert set(evaluate(Autoencoder(), digits)) == {"psnr"}


def clouds(seed=0, classes=4, dim=6, count=30, spread=1.0):
    """Codes around a simplex, classes of different sizes."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    labels[: count // 3] = 0
    centroids = simplex(classes, dim, scale=3.0, seed=seed)
    noise = torch.randn(count, dim, generator=generator, dtype=torch.float64)
    return centroids[labels] + spread * noise, labels, centroids


def by_class(codes, labels):
    return [codes[labels == k] for k in range(int(labels.max()) + 1)]


def test_equation_class_distances():
    codes, labels, _ = clouds()
    groups = by_class(codes, labels)
    means = [group.mean(dim=0) for group in groups]
    within = [
        torch.stack([(code - mean).norm() for code in group]).mean()
        for group, mean in zip(groups, means, strict=True)
    ]
    between = [(means[i] - means[j]).norm() for i in range(4) for j in range(i)]
    found = class_distances(codes, labels)
    assert found.within == pytest.approx((sum(within) / 4).item())
    assert found.between == pytest.approx((sum(between) / 6).item())
    assert found.ratio == pytest.approx(found.between / found.within)


def test_equation_variability_collapse():
    """Against numpy: covariances of the classes, and a pseudo-inverse of the right rank."""
    codes, labels, centroids = clouds()
    groups = by_class(codes, labels)
    within = sum(np.cov(group.T.numpy(), bias=True) for group in groups) / 4
    means = np.stack([group.mean(dim=0).numpy() for group in groups])
    between = np.cov(means.T, bias=True)
    expected = np.trace(within @ np.linalg.pinv(between, rcond=1e-10)) / 4
    found = neural_collapse(codes, labels, centroids).variability
    assert found == pytest.approx(expected, rel=1e-9)
    # It counts variances: half the spread, a quarter of the variability.
    halved = torch.cat(by_class(codes, labels)), labels.sort().values
    centre = torch.stack([group.mean(dim=0) for group in groups])[halved[1]]
    quarter = neural_collapse(centre + (halved[0] - centre) / 2, halved[1], centroids).variability
    assert quarter == pytest.approx(found / 4)


def test_equation_equinorm_equiangular():
    codes, labels, centroids = clouds()
    means = torch.stack([group.mean(dim=0) for group in by_class(codes, labels)])
    centred = (means - means.mean(dim=0)).numpy()
    norms = np.linalg.norm(centred, axis=1)
    found = neural_collapse(codes, labels, centroids)
    assert found.equinorm == pytest.approx(norms.std() / norms.mean())
    cosines = [centred[i] @ centred[j] / norms[i] / norms[j] for i in range(4) for j in range(i)]
    assert found.equiangularity == pytest.approx(np.mean([abs(c + 1 / 3) for c in cosines]))


def test_equation_self_duality():
    codes, labels, centroids = clouds()
    means = torch.stack([group.mean(dim=0) for group in by_class(codes, labels)])
    centred = (means - means.mean(dim=0)).numpy()
    expected = np.square(
        centred / np.linalg.norm(centred) - centroids.numpy() / np.linalg.norm(centroids.numpy())
    ).sum()
    assert neural_collapse(codes, labels, centroids).self_duality == pytest.approx(expected)
    # The scale of either side does not matter, a turn does: opposite weights are furthest.
    assert neural_collapse(7 * codes, labels, 2 * centroids).self_duality == pytest.approx(expected)
    assert neural_collapse(centroids, torch.arange(4), -centroids).self_duality == pytest.approx(4)


def test_equation_nearest_mean():
    codes, labels, centroids = clouds(spread=2.0)
    means = torch.stack([group.mean(dim=0) for group in by_class(codes, labels)])
    bias = torch.tensor([2.0, 0.0, 0.0, -1.0])
    differ = [
        int((centroids @ code + bias).argmax()) != int((means - code).norm(dim=1).argmin())
        for code in codes
    ]
    found = neural_collapse(codes, labels, centroids, bias).disagreement
    assert found == pytest.approx(sum(differ) / len(differ))
    assert 0 < found < 1
    assert found != neural_collapse(codes, labels, centroids).disagreement


@given(st.integers(2, 10), st.integers(1, 3), st.floats(0.1, 10))
@settings(deadline=None)
def test_collapsed_codes_measure_zero(k, each, norm):
    centroids = simplex(k, k + 2, scale=norm)
    codes, labels = centroids.repeat(each, 1), torch.arange(k).repeat(each)
    assert max(neural_collapse(codes, labels, centroids)) < 1e-9
    assert class_distances(codes, labels).ratio > 1e9
    if each > 1:
        assert silhouette(codes, labels) == pytest.approx(1)


def test_measures_in_the_class_subspace_do_not_see_the_rest():
    codes, labels, centroids = clouds(dim=9)
    other = codes - class_component(codes, centroids)
    inside = class_component(codes, centroids)
    moved = class_component(codes + 5 * other, centroids)
    for measure in (class_distances, silhouette, neural_collapse):
        rest = (centroids,) if measure is neural_collapse else ()
        before, after = measure(inside, labels, *rest), measure(moved, labels, *rest)
        assert before == pytest.approx(after, rel=1e-6)
        assert before != pytest.approx(measure(codes, labels, *rest), rel=1e-2)


@given(
    st.integers(2, 40).flatmap(
        lambda n: st.tuples(st.lists(st.integers(0, 4), min_size=n, max_size=n), st.integers(0, 99))
    )
)
@settings(deadline=None)
def test_equation_silhouette(drawn):
    """Parity with scikit-learn, whatever the sizes of the classes; one code alone counts 0."""
    names, seed = drawn
    _, numbers = np.unique(names, return_inverse=True)
    labels = torch.from_numpy(numbers).long()
    if not 2 <= len(labels.unique()) < len(labels):
        return
    codes = torch.randn(len(labels), 3, generator=torch.Generator().manual_seed(seed)).double()
    expected = silhouette_score(codes.numpy(), labels.numpy())
    assert silhouette(codes, labels) == pytest.approx(expected, abs=1e-9)


def test_silhouette_in_pieces_is_the_same(monkeypatch):
    codes, labels, _ = clouds()
    whole = silhouette(codes, labels)
    monkeypatch.setattr("csae.evaluation.classes._SILHOUETTE_ROWS", 7)
    assert silhouette(codes, labels) == pytest.approx(whole, rel=1e-12)


def test_silhouette_of_equal_codes_is_zero():
    """As in scikit-learn, which takes 0 / 0 for 0."""
    codes, labels = torch.ones(4, 2), torch.tensor([0, 0, 1, 1])
    assert silhouette(codes, labels) == silhouette_score(codes.numpy(), labels.numpy()) == 0


@pytest.mark.parametrize(
    ("codes", "labels", "message"),
    [
        (torch.ones(3), torch.zeros(3).long(), r"latents must be .* shape \(N, d\)"),
        (torch.ones(3, 2), torch.zeros(2).long(), r"labels must be int64 of shape \(3,\)"),
        (torch.ones(3, 2), torch.zeros(3), "labels must be int64"),
        (torch.full((3, 2), math.nan), torch.tensor([0, 1, 1]), "latents must be finite"),
        (torch.ones(3, 2), torch.tensor([0, 1, -1]), "labels must be classes from 0 on"),
        (torch.ones(0, 2), torch.zeros(0).long(), r"latents must be .* shape \(0, 2\)"),
        (torch.ones(3, 2), torch.tensor([0, 0, 0]), "at least two classes"),
        (torch.ones(3, 2), torch.tensor([0, 2, 2]), "each at least once, got .1.0, 0.0, 2.0."),
    ],
)
def test_unfit_codes_and_labels_are_named(codes, labels, message):
    for measure in (class_distances, silhouette, lambda *a: neural_collapse(*a, torch.eye(2))):
        with pytest.raises(ValueError, match=message):
            measure(codes, labels)


def test_unfit_classifiers_are_named():
    codes, labels, centroids = clouds()
    with pytest.raises(ValueError, match=r"weights must be .* \(4, 6\), got .* \(3, 6\)"):
        neural_collapse(codes, labels, centroids[:3])
    with pytest.raises(ValueError, match="weights are all zero"):
        neural_collapse(codes, labels, 0 * centroids)


def test_a_wrapped_model_is_refused_with_a_way_out(model, digits):
    """It would lose its classes: a compiled CSAE is none."""
    compiled = torch.compile(model, backend="eager")
    for call in (evaluate, predict):
        with pytest.raises(ValueError, match="model must be an Autoencoder.*_orig_mod"):
            call(compiled, digits)
    assert evaluate(compiled._orig_mod, digits).keys() == {"accuracy", "psnr"}


def test_psnr_compares_no_images_with_others():
    """Broadcast, (N, H, W) against (N, 1, H, W) would compare every image with every other."""
    images = torch.rand(5, 1, 8, 8)
    for other in (images[:, 0], images[:1]):
        with pytest.raises(ValueError, match="images and reconstructions must have the same shape"):
            psnr(images, other)
    with pytest.raises(ValueError, match="images must be floating point, got uint8 .* by 255"):
        psnr((images * 255).byte(), images)
    with pytest.raises(ValueError, match=r"images must be in \[0, 1\], got values from .* by 255"):
        psnr(images * 255, images * 255)


@pytest.mark.parametrize(
    ("labels", "predicted"), [([0, 1], [2, 1]), ([0, -1], [1, 1]), ([0, 1], [1]), ([0], [1, 1])]
)
def test_confusion_matrix_refuses_other_classes(labels, predicted):
    with pytest.raises(ValueError, match="(labels|predicted) must be"):
        confusion_matrix(torch.tensor(labels), torch.tensor(predicted), 2)
