import pytest
import torch

from csae.noise import GaussianNoise


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
