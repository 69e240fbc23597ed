import copy
import math

import pytest
import torch
from torch import nn

from csae.centroids import simplex
from csae.models import CSAE
from csae.muon import Muon, orthogonalise


def with_singular_values(rows, columns, values):
    """A random float64 matrix with given singular values, and its singular vectors."""
    generator = torch.Generator().manual_seed(rows)
    left, right = (
        torch.linalg.qr(torch.randn(size, len(values), generator=generator, dtype=torch.float64)).Q
        for size in (rows, columns)
    )
    return left @ torch.diag(values) @ right.T, left, right


@pytest.mark.parametrize(("rows", "columns"), [(4, 9), (9, 4), (5, 5)])
def test_equation_newton_schulz(rows, columns):
    """Singular values pass through the polynomial, singular vectors stay."""
    values = torch.tensor([3.0, 1.0, 0.2, 0.05], dtype=torch.float64)
    matrix, left, right = with_singular_values(rows, columns, values)
    moved = values / values.norm()
    for _ in range(5):
        moved = 3.4445 * moved - 4.7750 * moved**3 + 2.0315 * moved**5
    expected = left @ torch.diag(moved) @ right.T
    assert torch.allclose(orthogonalise(matrix), expected, rtol=0, atol=1e-12)


def test_equation_steepest_step():
    """No step whose singular values are at most 1 has a larger product with the gradient."""
    values = torch.tensor([3.0, 1.0, 0.2, 0.05], dtype=torch.float64)
    gradient, left, right = with_singular_values(6, 9, values)
    best = left @ right.T
    assert (gradient * best).sum() == pytest.approx(values.sum())
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        step = torch.randn(6, 9, generator=generator, dtype=torch.float64)
        step /= torch.linalg.svdvals(step).max()
        assert (gradient * step).sum() < values.sum()
    found = (gradient * orthogonalise(gradient)).sum() / values.sum()
    assert 0.68 < found < 1.21


def test_singular_values_end_near_one():
    """As the docstring says, for all that are not much smaller than the largest."""
    smallest, largest = 1.0, 1.0
    for share in torch.logspace(math.log10(0.002), -0.01, 300, dtype=torch.float64):
        values = torch.stack([(1 - share**2).sqrt(), share])
        found = torch.linalg.svdvals(orthogonalise(torch.diag(values)))
        smallest, largest = min(smallest, found.min()), max(largest, found.max())
    assert 0.68 < smallest < 0.69
    assert 1.20 < largest < 1.21


def test_zeros_stay_zeros():
    assert torch.equal(orthogonalise(torch.zeros(3, 5)), torch.zeros(3, 5))


def test_filters_are_those_between_channels():
    """The first convolution has one channel in, the last one channel out: they are AdamW's."""
    model = CSAE(simplex(10, 40))
    filters, others = Muon(model).param_groups
    assert (filters["muon"], others["muon"]) == (True, False)
    assert len(filters["params"]) == 15
    assert len(others["params"]) == len(list(model.parameters())) - 15
    assert {weight.ndim for weight in filters["params"]} == {4}


def small_network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.Flatten(), nn.Linear(96, 2)
    ).double()


def learn(model, optimizer, steps=3):
    images = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(1)).double()
    for _ in range(steps):
        optimizer.zero_grad()
        model(images).square().mean().backward()
        yield {name: p.grad.clone() for name, p in model.named_parameters()}
        optimizer.step()


def test_equation_muon_update():
    """Two steps by hand: the mean of the gradients, made orthogonal, scaled, taken off."""
    model = small_network()
    optimizer = Muon(model, lr=0.1, weight_decay=0.3, betas=(0.9, 0.999))
    weight = model[1].weight
    mean, expected = torch.zeros_like(weight), weight.detach().clone()
    for gradients in learn(model, optimizer, steps=2):
        assert torch.allclose(weight, expected, rtol=1e-12)
        gradient = gradients["1.weight"]
        mean = 0.9 * mean + 0.1 * gradient
        turned = orthogonalise((0.9 * mean + 0.1 * gradient).flatten(1)).view_as(weight)
        expected = expected * (1 - 0.1 * 0.3) - 0.1 * 0.2 * 36**0.5 * turned
    assert torch.allclose(weight, expected, rtol=1e-12)


def test_all_other_parameters_are_updated_as_by_adamw():
    ours = small_network()
    theirs = copy.deepcopy(ours)
    settings = {"lr": 0.01, "weight_decay": 0.1, "betas": (0.9, 0.999)}
    adamw = torch.optim.AdamW(theirs.parameters(), **settings)
    for gradients in learn(ours, Muon(ours, **settings)):
        for name, parameter in theirs.named_parameters():
            parameter.grad = gradients[name]
        adamw.step()
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, other) == (name != "1.weight"), name


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="PyTorch has it since 2.9")
def test_agrees_with_pytorch_but_for_its_bfloat16():
    torch.manual_seed(0)
    matrix = nn.Linear(24, 16, bias=False)
    filters = nn.Conv2d(24, 16, 1, bias=False)
    start = matrix.weight.detach().clone()
    filters.weight.data.copy_(start[..., None, None])
    settings = {"lr": 0.02, "weight_decay": 0.1}
    theirs = torch.optim.Muon(
        matrix.parameters(), momentum=0.95, adjust_lr_fn="match_rms_adamw", **settings
    )
    ours = Muon(filters, betas=(0.95, 0.999), **settings)
    for _ in range(5):
        gradient = torch.randn(16, 24)
        matrix.weight.grad, filters.weight.grad = gradient, gradient[..., None, None].clone()
        theirs.step()
        ours.step()
    moved = matrix.weight - start
    assert moved.norm() > 0.1
    assert (filters.weight.flatten(1) - matrix.weight).norm() < 0.01 * moved.norm()


def test_a_closure_is_called_once_and_its_loss_returned():
    model = small_network()
    before = [p.detach().clone() for p in model.parameters()]
    calls = []

    def closure():
        calls.append(1)
        loss = model(torch.ones(2, 1, 8, 8).double()).square().mean()
        loss.backward()
        return loss

    assert Muon(model).step(closure).item() > 0
    assert calls == [1]
    assert not any(torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))
