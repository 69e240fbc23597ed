"""Fidelity and calibration: against their definitions, and against other libraries."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d
from torch.nn import functional as F

from csae.evaluation import (
    band_errors,
    calibration_error,
    calibration_measures,
    class_probabilities,
    fidelity_measures,
    fitted_temperature,
    gradient_energy_kept,
    probe_accuracy,
    psnr,
    ssim,
)


def pair(digits, std=0.1, count=20):
    images = digits.images[:count].float() / 255
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    return images, (images + std * noise).clamp(0, 1)


def reference_ssim(one, other):
    """Wang et al. 2004, with scipy, and borders mirrored."""
    kernel = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    kernel /= kernel.sum()

    def smooth(x):
        return correlate1d(correlate1d(x, kernel, 0, mode="reflect"), kernel, 1, mode="reflect")

    c1, c2 = 0.01**2, 0.03**2
    mean, mean_other = smooth(one), smooth(other)
    variance, variance_other = smooth(one**2) - mean**2, smooth(other**2) - mean_other**2
    covariance = smooth(one * other) - mean * mean_other
    similar = (2 * mean * mean_other + c1) * (2 * covariance + c2)
    return (similar / ((mean**2 + mean_other**2 + c1) * (variance + variance_other + c2))).mean()


def test_ssim_is_that_of_its_definition(digits):
    images, noisy = pair(digits)
    expected = np.mean(
        [reference_ssim(a.numpy(), b.numpy()) for a, b in zip(
            images[:, 0].double(), noisy[:, 0].double(), strict=True)]
    )  # fmt: skip
    assert ssim(images, noisy) == pytest.approx(expected, abs=1e-4)
    assert ssim(images, images) == pytest.approx(1)
    assert ssim(images, pair(digits, std=0.3)[1]) < ssim(images, noisy) < 1


def test_gradient_energy_kept(digits):
    images, _ = pair(digits)
    assert gradient_energy_kept(images, images) == 1
    assert gradient_energy_kept(images, images / 2) == pytest.approx(1 / 4)
    blurred = F.avg_pool2d(images, 3, stride=1, padding=1)
    assert 0 < gradient_energy_kept(images, blurred) < 0.6
    with pytest.raises(ValueError, match="images must have gradients"):
        gradient_energy_kept(torch.ones(1, 1, 4, 4), torch.ones(1, 1, 4, 4))


def test_errors_of_bands_add_up_to_the_squared_error(digits):
    images, noisy = pair(digits)
    bands = band_errors(images, noisy)
    assert list(bands) == ["A2", "H2", "V2", "D2", "H1", "V1", "D1"]
    error = F.mse_loss(noisy.double(), images.double()).item()
    assert sum(bands.values()) == pytest.approx(error)
    # A shift of the brightness lies in the approximation.
    bands = band_errors(images / 2, images / 2 + 0.1)
    assert bands.pop("A2") == pytest.approx(0.01)
    assert max(bands.values()) < 1e-12


def test_fidelity_measures_are_those_functions(digits):
    images, noisy = pair(digits)
    measures = fidelity_measures(images, noisy)
    assert measures["ssim"] == ssim(images, noisy)
    assert measures["gradient_energy_kept"] == gradient_energy_kept(images, noisy)
    assert measures["error_D1"] == band_errors(images, noisy)["D1"]
    assert len(measures) == 9


@pytest.mark.parametrize("measure", [ssim, gradient_energy_kept, band_errors, psnr])
def test_images_that_do_not_fit_are_named(measure):
    images = torch.rand(2, 1, 28, 28)
    with pytest.raises(ValueError, match="must have the same shape"):
        measure(images, images[:1])
    with pytest.raises(ValueError, match=r"images must be in \[0, 1\].* by 255"):
        measure(255 * images, images)
    with pytest.raises(ValueError, match="reconstructions must be floating point"):
        measure(images, images.byte())


def test_small_images_are_refused():
    with pytest.raises(ValueError, match="sides of at least 11 pixels, got .* 10"):
        ssim(torch.rand(2, 1, 28, 10), torch.rand(2, 1, 28, 10))
    with pytest.raises(ValueError, match=r"images must be of shape \(N, C, H, W\)"):
        band_errors(torch.rand(28, 28), torch.rand(28, 28))


# Calibration


def stated(count=3000, classes=5, sharpness=2.0, seed=0):
    """Logits, and labels drawn from the probabilities that these state."""
    generator = torch.Generator().manual_seed(seed)
    logits = sharpness * torch.randn(count, classes, generator=generator).double()
    labels = torch.multinomial(logits.softmax(dim=1), 1, generator=generator).squeeze(1)
    return logits, labels


def test_calibration_error_is_that_of_its_definition():
    logits, labels = stated()
    probabilities = (2 * logits).softmax(dim=1)  # too sure
    confidence, named = probabilities.max(dim=1)
    bins = (confidence * 15).long().clamp(max=14)
    expected = 0.0
    for k in range(15):
        inside = bins == k
        if inside.any():
            right = (named == labels)[inside].double().mean()
            expected += (inside.double().mean() * (right - confidence[inside].mean()).abs()).item()
    assert calibration_error(probabilities, labels) == pytest.approx(expected, abs=1e-5)
    assert expected > 0.05


def test_calibration_error_of_known_cases():
    labels = torch.tensor([0, 1, 1, 0])
    sure = F.one_hot(labels, 2).double()
    assert calibration_error(sure, labels) == pytest.approx(0)
    assert calibration_error(sure, 1 - labels) == pytest.approx(1)
    even = torch.full((4, 2), 0.5).double() + torch.tensor([1e-3, -1e-3])  # always the first class
    assert calibration_error(even, labels) == pytest.approx(1e-3, abs=1e-6)
    assert calibration_error(*probabilities_of(stated())) < 0.03  # labels as stated


def probabilities_of(drawn):
    logits, labels = drawn
    return logits.softmax(dim=1), labels


@pytest.mark.parametrize("factor", [0.25, 1.0, 4.0])
def test_the_temperature_undoes_a_factor_on_logits(factor):
    logits, labels = stated()
    assert fitted_temperature(factor * logits, labels) == pytest.approx(factor, rel=0.1)
    others = stated(seed=1)
    measures = calibration_measures(factor * logits, labels, (factor * others[0], others[1]))
    assert measures["temperature"] == fitted_temperature(factor * others[0], others[1])
    assert measures["calibration_error_tempered"] < 0.04
    if factor != 1:
        assert measures["calibration_error"] > 2 * measures["calibration_error_tempered"]
    assert calibration_measures(logits, labels).keys() == {"calibration_error"}


def test_probabilities_are_the_softmax_of_scaled_similarities():
    similarities = torch.randn(4, 3)
    found = class_probabilities(similarities, 5.0)
    assert torch.allclose(found, (5 * similarities.double()).softmax(dim=1))
    assert found.sum(dim=1).tolist() == pytest.approx([1] * 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p, y: calibration_error(p + 0.1, y), "each row must sum to 1"),
        (lambda p, y: calibration_error(p[:, :1] * 0 + 1, y), "of at least 2 classes"),
        (lambda p, y: calibration_error(p, y + 5), "labels must be classes from 0 to 4"),
        (lambda p, y: calibration_error(p, y[:-1]), "labels must be int64 of shape"),
        (lambda p, y: calibration_error(p, y, 0), "bins must be an integer of at least 1"),
        (lambda p, y: calibration_error(p * math.nan, y), "probabilities must be finite"),
        (lambda p, y: fitted_temperature(p, y + 5), "labels must be classes"),
        (lambda p, y: fitted_temperature(p[0], y), r"logits must be .* \(N, K\)"),
        (lambda p, y: class_probabilities(p, 0), "scale must be a finite number above 0"),
    ],
)
def test_wrong_probabilities_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(*probabilities_of(stated(30)))


# A linear probe


def test_a_probe_finds_what_is_linear_and_nothing_else():
    labels = torch.arange(300) % 3
    codes = torch.randn(300, 4, generator=torch.Generator().manual_seed(0))
    shifted = codes + 8 * F.one_hot(labels, 4)
    assert probe_accuracy(shifted[:200], labels[:200], shifted[200:], labels[200:]) > 0.95
    assert probe_accuracy(codes[:200], labels[:200], codes[200:], labels[200:]) < 0.5
    # The scale of a dimension does not matter.
    scaled = shifted * torch.tensor([1e-3, 1.0, 1e3, 1.0])
    assert probe_accuracy(scaled[:200], labels[:200], scaled[200:], labels[200:]) > 0.95


def test_unfit_codes_for_a_probe_are_named():
    codes, labels = torch.randn(9, 4), torch.arange(9) % 3
    with pytest.raises(ValueError, match="labels must name at least two classes, got only 0"):
        probe_accuracy(codes, labels * 0, codes, labels)
    with pytest.raises(ValueError, match=r"other_latents must be .* \(M, 4\)"):
        probe_accuracy(codes, labels, codes[:, :2], labels)
    with pytest.raises(ValueError, match="other_labels must be int64"):
        probe_accuracy(codes, labels, codes, labels[:3])
