"""What the chapter on learning in a minute defines before it imports it is the package's."""

import copy

import pytest
import torch
from torch import nn

from csae import muon
from tests.chapters import definitions


@pytest.fixture(scope="module")
def chapter():
    return definitions("muon")


@pytest.mark.parametrize("shape", [(3, 7), (7, 3), (5, 5)])
def test_orthogonalise(chapter, shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(chapter["orthogonalise"](matrix), muon.orthogonalise(matrix))


def test_optimiser(chapter):
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Conv2d(3, 5, 3), nn.Flatten(), nn.Linear(80, 2))
    theirs = copy.deepcopy(ours)
    for model, kind in ((ours, chapter["Muon"]), (theirs, muon.Muon)):
        optimizer = kind(model, lr=0.02, weight_decay=0.1)
        for step in range(4):
            images = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(step))
            optimizer.zero_grad()
            model(images).square().mean().backward()
            optimizer.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, other)
