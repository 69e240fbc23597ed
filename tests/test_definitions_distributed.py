"""What the chapter on sharing a batch defines before it imports it is the package's."""

import pytest
import torch

from csae import distributed
from csae.distributed import SharedBatchNorm2d
from tests.chapters import definitions


@pytest.fixture(scope="module")
def chapter():
    return definitions("distributed")


def test_own_rows(chapter, monkeypatch):
    monkeypatch.setattr(distributed, "_is_shared", lambda: True)
    monkeypatch.setattr(distributed.dist, "get_world_size", lambda: 4)

    def draw(rows):
        return torch.rand(rows, 3, generator=torch.Generator().manual_seed(0))

    for rank in range(4):
        monkeypatch.setattr(distributed.dist, "get_rank", lambda rank=rank: rank)
        by_hand = chapter["own_rows_by_hand"](draw, 2, rank, 4)
        assert torch.equal(by_hand, distributed.own_rows(draw, 2))


def test_statistics(chapter, monkeypatch):
    """Of two parts that hold the same images: the layer cannot tell who holds the other one."""
    monkeypatch.setattr(distributed, "_is_shared", lambda: True)
    monkeypatch.setattr(distributed.dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(distributed.dist, "all_reduce", lambda total: total.mul_(2))
    part = 3 * torch.randn(6, 4, 5, 5) + 1
    layer = SharedBatchNorm2d(4, momentum=1.0)
    layer(part)
    mean, variance = chapter["statistics_by_hand"]([part, part])
    assert torch.allclose(layer.running_mean, mean, atol=1e-6)
    count = 2 * 6 * 25
    assert torch.allclose(layer.running_var, variance * count / (count - 1), rtol=1e-5)
