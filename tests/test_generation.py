import pytest
import torch

from csae.generation import sample_latents


def test_new_codes_have_mean_and_covariance_of_their_class():
    torch.manual_seed(0)
    mix = torch.randn(2, 3, 3)
    latents = torch.cat([torch.randn(500, 3) @ mix[k] + 5 * k for k in range(2)])
    labels = torch.arange(2).repeat_interleave(500)
    codes = sample_latents(latents, labels, 50_000)
    assert codes.shape == (2, 50_000, 3)
    for k in range(2):
        members = latents[labels == k]
        assert torch.allclose(codes[k].mean(dim=0), members.mean(dim=0), atol=0.05)
        assert torch.allclose(torch.cov(codes[k].T), torch.cov(members.T), rtol=0.05, atol=0.1)


def test_seed_chooses_the_codes():
    latents, labels = torch.randn(20, 3), torch.arange(20) % 2
    assert torch.equal(*(sample_latents(latents, labels, 4, seed=1) for _ in range(2)))
    assert not torch.equal(*(sample_latents(latents, labels, 4, seed=s) for s in (1, 2)))


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="per_class must be an integer of at least 1, got 0"):
        sample_latents(torch.randn(4, 2), torch.tensor([0, 0, 1, 1]), 0)
    with pytest.raises(ValueError, match="every class twice or more; class 1: 1"):
        sample_latents(torch.randn(3, 2), torch.tensor([0, 0, 1]), 1)


def test_the_default_device_does_not_matter():
    latents, labels = torch.randn(20, 3), torch.arange(20) % 2
    expected = sample_latents(latents, labels, 4, seed=1)
    with torch.device("meta"):
        found = sample_latents(latents, labels, 4, seed=1)
    assert torch.equal(expected, found)
