"""What the chapter on the wavelet loss defines before it imports the package's version."""

import pytest
import torch

from csae import wavelets
from tests.chapters import definitions


@pytest.fixture(scope="module")
def chapter():
    return definitions("wavelets")


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, 1, 28, 28, dtype=torch.float64, generator=generator)


def same(ours, theirs):
    return all(map(torch.allclose, (ours[0], *ours[1]), (theirs[0], *theirs[1])))


def test_haar_step(chapter, images):
    assert same(chapter["haar_step"](images[0]), wavelets.dwt2(images[0], "haar"))


@pytest.mark.parametrize("mode", wavelets.MODES)
def test_matrix_step(chapter, images, mode):
    x = images[0, :, :, :13, :10]
    assert same(chapter["matrix_step"](x, "sym4", mode), wavelets.dwt2(x, "sym4", mode))


@pytest.mark.parametrize("weights", [(1, 1, 1), (0, 1, 3.5), (2, 0.5, 0)])
def test_loss(chapter, images, weights):
    by_hand = chapter["BandLoss"]("db3", weights)(*images)
    assert torch.allclose(by_hand, wavelets.WaveletLoss("db3", 2, weights)(*images))


def test_sobel_loss(chapter, images):
    kernel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]).double() / 8
    chapter["slopes"].__globals__["KERNEL"] = kernel  # a constant of the same cell
    assert torch.allclose(chapter["sobel_loss"](*images), wavelets.SobelLoss()(*images))


def test_measures(chapter, images):
    frequency, power, share = chapter["power_spectrum"](images[0])
    spectrum = wavelets.radial_spectrum(images[0])
    assert torch.allclose(frequency.double(), spectrum.frequency)
    assert torch.allclose(power, spectrum.power)
    assert torch.allclose(share.double(), spectrum.share)
    assert chapter["edges"](images[0]) == pytest.approx(wavelets.gradient_energy(images[0]))
    chapter["band_squares"].__globals__["images"] = images[0]  # whose pixels it counts
    energies = wavelets.band_energies(images[0], "db2", 2)
    by_hand = chapter["band_squares"](images[0], "db2", 2)
    assert by_hand[0] == pytest.approx(energies["A2"])
    assert by_hand[2] == pytest.approx(sum(energies[f"{band}1"] for band in "HVD"))
