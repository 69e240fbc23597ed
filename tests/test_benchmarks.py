"""The parts that the benchmark of training is made of, on a few images of the sample."""

import pytest
import torch
from torch import nn

from benchmarks import contenders, costs, processes
from benchmarks.contenders import Task
from csae.networks import PatchUpsample

TASK = Task("quick", batch_size=32, images=32 * (contenders.WARM_UP_STEPS + 2), sample=True)


def test_networks_compute_the_same():
    assert contenders.check_networks(TASK) < 1e-5
    ordinary = contenders.torch_network(TASK.build()[0])
    assert any(isinstance(layer, nn.ConvTranspose2d) for layer in ordinary.modules())
    assert not any(isinstance(layer, PatchUpsample) for layer in ordinary.modules())


@pytest.mark.parametrize("recipe", ["quick", "published-code"])
def test_loop_learns(recipe):
    task = Task(recipe, batch_size=32, images=640, sample=True)
    loop = contenders.prepare_in_memory(task.dataset(), task)
    images, labels = next(iter(loop.batches))

    def loss():
        with torch.no_grad():
            return loop.criterion(loop.model(images), images, labels)["loss"].item()

    before = loss()
    loop()
    assert loss() < 0.8 * before


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a single core
def test_loader_gives_the_images_of_the_package():
    loop = contenders.prepare_loader(TASK.dataset(), TASK)
    dataset = loop.batches.dataset
    dataset.transform.transforms.pop(1)  # the random mirror
    image, label = dataset[5]
    expected = TASK.dataset()
    assert torch.allclose(image, contenders.prepare(expected.images[5:6])[0], atol=1e-6)
    assert label == expected.labels[5]


def test_published_settings_have_two_optimisers():
    task = Task("published-code", batch_size=32, images=64, sample=True)
    optimizers, schedule = contenders.prepare_in_memory(task.dataset(), task).optimizers()
    assert [type(optimizer) for optimizer in optimizers] == [torch.optim.SGD] * 2
    assert schedule is None
    settings = optimizers[0].param_groups[0]
    assert (settings["lr"], settings["momentum"], settings["weight_decay"]) == (0.1, 0.9, 5e-4)


def test_stopwatch_follows_all_steps():
    watch = costs.Stopwatch()
    costs.follow(TASK, "fp32", watch)
    steps = TASK.images // TASK.batch_size
    assert {phase: len(laps) for phase, laps in watch.laps.items()} == dict.fromkeys(
        costs.PHASES, steps
    )
    assert all(lap > 0 for laps in watch.laps.values() for lap in laps)


def divide(numerator: int, denominator: int):
    return lambda: numerator // denominator


def test_process_returns_results_and_errors():
    timed = processes.once(divide, 7, 2)
    assert timed.result == 3
    assert timed.seconds > 0
    with pytest.raises(ZeroDivisionError):
        processes.once(divide, 7, 0)
