import pytest
import torch

from csae.generation import GaussianSampler, MixtureSampler, PriorSampler, sample_latents


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
    with pytest.raises(ValueError, match="every class 2 times or more; class 1: 1"):
        sample_latents(torch.randn(3, 2), torch.tensor([0, 0, 1]), 1)


def test_the_default_device_does_not_matter():
    latents, labels = torch.randn(20, 3), torch.arange(20) % 2
    expected = sample_latents(latents, labels, 4, seed=1)
    with torch.device("meta"):
        found = sample_latents(latents, labels, 4, seed=1)
    assert torch.equal(expected, found)


# Samplers


def two_classes(count=400, dim=3):
    """Each class has two groups of codes, far apart."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 2
    centres = torch.tensor([[0.0, 20.0], [50.0, 80.0]])[labels, torch.arange(count) // 2 % 2]
    return centres[:, None] + torch.randn(count, dim, generator=generator), labels


SAMPLERS = [GaussianSampler, lambda: MixtureSampler(2), PriorSampler]


@pytest.mark.parametrize("make", SAMPLERS)
def test_samples_come_with_labels_where_codes_did(make):
    latents, labels = two_classes()
    drawn = make().fit(latents, labels).sample(5)
    assert drawn.latents.shape == (10, 3)
    assert drawn.latents.dtype == torch.float32
    assert drawn.labels.tolist() == [0] * 5 + [1] * 5
    drawn = make().fit(latents).sample(5)
    assert drawn.latents.shape == (5, 3)
    assert drawn.labels is None


@pytest.mark.parametrize("make", SAMPLERS)
def test_seeds_choose_what_is_drawn(make):
    sampler = make().fit(*two_classes())
    assert torch.equal(sampler.sample(4, seed=1).latents, sampler.sample(4, seed=1).latents)
    assert not torch.equal(sampler.sample(4, seed=1).latents, sampler.sample(4, seed=2).latents)
    again = make().fit(*two_classes())
    assert torch.equal(sampler.sample(4, seed=1).latents, again.sample(4, seed=1).latents)


@pytest.mark.parametrize("sampler", [GaussianSampler(), MixtureSampler(1, regularisation=0.0)])
def test_one_gaussian_has_mean_and_covariance_of_the_codes(sampler):
    torch.manual_seed(0)
    latents = torch.randn(500, 3) @ torch.randn(3, 3) + 5
    drawn = sampler.fit(latents).sample(50_000).latents
    assert torch.allclose(drawn.mean(dim=0), latents.mean(dim=0), atol=0.05)
    assert torch.allclose(torch.cov(drawn.T), torch.cov(latents.T), rtol=0.05, atol=0.1)


def test_a_mixture_finds_the_groups_of_a_class():
    """A Gaussian puts most of its codes between them, where there were none."""
    latents, labels = two_classes()

    def strays(sampler):
        drawn = sampler.fit(latents, labels).sample(500)
        inside = latents[labels == 0], latents[labels == 1]
        nearest = [
            torch.cdist(drawn.latents[drawn.labels == k], inside[k]).amin(dim=1) for k in (0, 1)
        ]
        return (torch.cat(nearest) > 3).double().mean().item()

    assert strays(MixtureSampler(2)) < 0.02
    assert strays(GaussianSampler()) > 0.5


def test_a_mixture_has_the_shares_of_its_groups():
    codes = torch.cat([torch.randn(300, 2), torch.randn(100, 2) + 40])
    drawn = MixtureSampler(2).fit(codes).sample(4000).latents
    assert (drawn[:, 0] > 20).double().mean().item() == pytest.approx(0.25, abs=0.03)


def test_nearly_constant_dimensions_do_no_harm():
    latents, labels = two_classes()
    still = torch.cat([latents, 7 + 1e-9 * torch.randn(len(latents), 1)], dim=1)
    still = torch.cat([still, torch.zeros(len(latents), 1)], dim=1)
    for sampler in (GaussianSampler(), MixtureSampler(2)):
        drawn = sampler.fit(still, labels).sample(100).latents
        assert drawn.isfinite().all()
        assert torch.allclose(drawn[:, 3], torch.tensor(7.0), atol=0.01)


def test_fewer_codes_than_dimensions_are_enough():
    """New codes lie in the plane of those few."""
    latents = torch.randn(3, 10)
    drawn = GaussianSampler().fit(latents).sample(20).latents.double()
    plane = torch.linalg.qr((latents[1:] - latents[0]).double().T).Q
    away = drawn - latents[0].double()
    assert torch.allclose(away @ plane @ plane.T, away, atol=1e-5)


def test_the_prior_is_the_standard_normal():
    latents, labels = two_classes()
    drawn = PriorSampler().fit(latents, labels).sample(20_000)
    assert torch.allclose(drawn.latents.mean(dim=0), torch.zeros(3), atol=0.05)
    assert torch.allclose(torch.cov(drawn.latents.T), torch.eye(3), atol=0.05)
    assert drawn.labels.bincount().tolist() == [20_000] * 2


def test_samplers_say_what_they_need():
    with pytest.raises(ValueError, match="GaussianSampler must be fitted before it samples"):
        GaussianSampler().sample(3)
    with pytest.raises(ValueError, match="every class 4 times or more; class 1: 2"):
        MixtureSampler(4).fit(torch.randn(7, 2), torch.tensor([0, 0, 0, 0, 0, 1, 1]))
    with pytest.raises(ValueError, match="latents must be at least 2 codes, got 1"):
        GaussianSampler().fit(torch.randn(1, 2))
