"""What the chapter on full training defines before it imports it is the package's."""

import copy
import dataclasses
import json
import re
import shlex

import nbformat
import pytest
import torch

from csae import files, training
from csae.cli import main
from csae.data import Augmentation
from csae.losses import CSAELoss
from csae.runtime import attainable
from csae.training import Machine, TrainingConfig, train
from tests.chapters import ROOT, definitions

CONFIG = TrainingConfig(epochs=2, batch_size=32, augmentation=Augmentation(shift=1, flip=True))
FP32 = Machine(accelerator="cpu", precision="fp32")


@pytest.fixture(scope="module")
def chapter():
    return definitions("training")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_loop(chapter, model, digits, precision):
    """The same weights, bit for bit, and the same losses."""
    config, digits = dataclasses.replace(CONFIG, seed=3), digits.first(96)
    machine = Machine(accelerator="cpu", precision=precision)
    twin = copy.deepcopy(model)
    state = torch.random.get_rng_state()
    history = train(model, CSAELoss(), digits, config, machine=machine, progress=False)
    by_hand = chapter["train_by_hand"](twin, CSAELoss(), digits, config, machine)
    torch.random.set_rng_state(state)
    for name, value in model.state_dict().items():
        assert torch.equal(twin.state_dict()[name], value), name
    assert [{k: epoch[k] for k in by_hand[0]} for epoch in history] == by_hand


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_range_test(chapter, model, digits, optimizer):
    config = dataclasses.replace(CONFIG, optimizer=optimizer)
    limits = {"lowest": 1e-4, "highest": 1e-2, "steps": 10, "machine": FP32}
    package = training.range_test(model, CSAELoss(), digits, config, **limits)
    state = torch.random.get_rng_state()
    by_hand = chapter["range_by_hand"](model, CSAELoss(), digits, config, package.rates)
    torch.random.set_rng_state(state)
    assert by_hand == pytest.approx(package.losses.tolist(), rel=1e-12)


def test_range_test_stops(chapter, model, digits):
    config = dataclasses.replace(CONFIG, optimizer="sgd", weight_decay=0.0)
    limits = {"lowest": 1e-2, "highest": 1e6, "steps": 10, "machine": FP32}
    package = training.range_test(model, CSAELoss(), digits, config, **limits)
    state = torch.random.get_rng_state()
    rates = 1e-2 * 1e8 ** (torch.arange(10).double() / 9)
    by_hand = chapter["range_by_hand"](model, CSAELoss(), digits, config, rates)
    torch.random.set_rng_state(state)
    assert len(package.losses) < 10
    found = package.losses.tolist()
    assert by_hand[: len(found)] == pytest.approx(found, rel=1e-12)


@pytest.mark.parametrize("intensity", [0.1, 4.0, 300.0])
def test_roof(chapter, intensity):
    by_hand = chapter["attainable_by_hand"](intensity, 1e11, 1e10)
    assert by_hand == attainable(intensity, peak=1e11, bandwidth=1e10)


@pytest.mark.parametrize("way", ["by hand", "package"])
def test_write_whole(chapter, tmp_path, monkeypatch, way):
    write = chapter["write_whole_by_hand"] if way == "by hand" else files.write_whole
    path = tmp_path / "state"
    write(path, b"old")

    def fail(*_):
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fail)
        with pytest.raises(OSError, match="no space"):
            write(path, b"new")
    assert path.read_bytes() == b"old"
    write(path, b"new")
    assert path.read_bytes() == b"new"


def commands():
    """Lines for the terminal: in blocks of code, fenced or indented."""
    for chapter in ("training", "distributed"):
        notebook = nbformat.read(ROOT / "book" / f"{chapter}.ipynb", as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                blocks = re.findall(r"^```sh\n(.*?)^```|^(    .*)$", cell.source, re.M | re.S)
                for block in blocks:
                    yield from re.findall(r"^.*\bcsae (?:train|export) .*$", "".join(block), re.M)


@pytest.mark.parametrize("line", list(commands()))
def test_commands_are_understood(line, capsys, tmp_path, monkeypatch):
    """Each line for the terminal, with --dry-run; those for trained models, as far as parsing."""
    monkeypatch.chdir(tmp_path)
    words = shlex.split(line)
    arguments = words[words.index("csae") + 1 :]
    if arguments[0] == "train" and "--resume" not in arguments:
        assert main([*arguments, "--dry-run"]) == 0
        assert json.loads(capsys.readouterr().out)["recipe"]["training"]["epochs"] >= 1
        return
    assert main(arguments) == 2  # there is no such run, and no such model
    assert re.search("no settings.json|no checkpoint|not installed", capsys.readouterr().err)


def test_there_are_commands():
    assert len(list(commands())) >= 8
