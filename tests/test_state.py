"""Interrupted runs go on as if nothing had happened."""

import copy
import dataclasses
import errno
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from csae import files, kinds, runs, schema, tensorfile, training
from csae.data import Augmentation
from csae.losses import CentroidCrossEntropy, CSAELoss, ImageError, JointLoss
from csae.networks import NetworkConfig
from csae.recipes import Recipe
from csae.training import TIMINGS, Machine, TrainingConfig, TrainingState, train
from csae.training import machine as machine_module
from csae.wavelets import SobelLoss, WaveletLoss

ROOT = Path(__file__).parents[1]
SHORT = TrainingConfig(
    epochs=3,
    batch_size=32,
    augmentation=Augmentation(shift=1, flip=True, rotation=10, erase=0.5),
)
CPU = Machine(accelerator="cpu")


class StopError(Exception):
    """Ends a run in the middle of a step, as an error in it would."""


def weights(model):
    return [value.clone() for value in model.state_dict().values()]


def without_timings(history):
    return [{k: v for k, v in epoch.items() if k not in TIMINGS} for epoch in history]


def run(model, digits, config=SHORT, **options):
    options = {"machine": CPU, "progress": False} | options
    history = train(model, options.pop("criterion", CSAELoss()), digits, config, **options)
    return without_timings(history), weights(model)


def stop_at(share):
    def check(done):
        if done >= share:
            raise StopError

    return check


@pytest.mark.parametrize(
    ("optimizer", "schedule", "precision"),
    [
        ("adamw", "one-cycle", "bf16"),
        ("adam", "constant", "fp32"),
        ("sgd", "step", "fp32"),
        ("muon", "one-cycle", "fp32"),
    ],
)
def test_resumed_run_ends_with_the_same_bits(
    model, digits, tmp_path, monkeypatch, optimizer, schedule, precision
):
    """Stopped twice: inside the first epoch and inside the last."""
    rate = {"learning_rate": 0.01} if optimizer == "sgd" else {}
    config = dataclasses.replace(SHORT, optimizer=optimizer, schedule=schedule, **rate)
    digits = digits.first(160)
    machine = Machine(accelerator="cpu", precision=precision)
    monkeypatch.setattr("csae.training.watching._LOOK_EVERY", 0)  # look, and save, at each step
    fresh = copy.deepcopy(model)
    whole = run(copy.deepcopy(model), digits, config, machine=machine)
    for share in (0.15, 0.8):
        with pytest.raises(StopError):
            run(
                copy.deepcopy(fresh),
                digits,
                config,
                machine=machine,
                state_file=tmp_path / "state",
                save_every=0,
                on_step=stop_at(share),
            )
        torch.rand(3)  # what happens in between does not matter
    history, values = run(fresh, digits, config, machine=machine, state_file=tmp_path / "state")
    assert history == whole[0]
    assert all(torch.equal(a, b) for a, b in zip(values, whole[1], strict=True))


@pytest.mark.parametrize(
    ("kind", "likelihood"), [("vae", "bernoulli"), ("cvae", "gaussian-optimal")]
)
def test_codes_that_are_drawn_are_the_same_again(digits, tmp_path, monkeypatch, kind, likelihood):
    """Noise, labels and the running variance go on where they stood."""
    monkeypatch.setattr("csae.training.watching._LOOK_EVERY", 0)
    recipe = Recipe(network=TINY, training=SHORT).change(
        **kinds.defaults(kind), likelihood=likelihood
    )

    def new():
        torch.manual_seed(0)
        model, criterion = recipe.build(10)
        return {"model": model, "digits": digits, "config": SHORT, "criterion": criterion}

    whole = run(**new())
    state = {"state_file": tmp_path / "state", "save_every": 0}
    with pytest.raises(StopError):
        run(**new(), **state, on_step=stop_at(0.5))
    history, values = run(**new(), **state)
    assert history == whole[0]
    assert all(torch.equal(a, b) for a, b in zip(values, whole[1], strict=True))


def test_a_run_keeps_its_number_of_threads(model, digits, tmp_path, monkeypatch, capsys):
    """Rounding depends on it; what is free when the run goes on does not matter."""
    monkeypatch.setattr(machine_module, "threads_are_chosen", lambda: False)
    monkeypatch.setattr(machine_module, "threads_are_settled", lambda: False)
    before, used, few = torch.get_num_threads(), [], digits.first(64)

    def go_on(free, until):
        monkeypatch.setattr(machine_module, "free_threads", lambda: free)

        def look(done):
            used.append(torch.get_num_threads())
            if done >= until:
                raise KeyboardInterrupt

        state = tmp_path / "state.safetensors"
        fresh = copy.deepcopy(model)
        train(fresh, CSAELoss(), few, SHORT, machine=CPU, state_file=state, on_step=look)

    with pytest.raises(KeyboardInterrupt):
        go_on(free=2, until=0.5)
    assert "2 threads" in capsys.readouterr().err
    go_on(free=1, until=1)
    assert set(used) == {2}
    assert torch.get_num_threads() == before


def test_a_chosen_number_of_threads_stays(model, digits, monkeypatch):
    monkeypatch.setattr(machine_module, "threads_are_chosen", lambda: True)
    monkeypatch.setattr(machine_module, "free_threads", lambda: before + 1)
    before, used = torch.get_num_threads(), set()
    run(model, digits, on_step=lambda _: used.add(torch.get_num_threads()))
    assert used == {before}


def test_a_state_goes_on_on_another_kind_of_device(model, tmp_path):
    """Its random numbers are others there. Between epochs nothing lies on it: no GPU is needed."""

    def state(device):
        optimizer = training.make_optimizer(model, SHORT)
        schedule = training.make_schedule(optimizer, SHORT, 10)
        return TrainingState(model, optimizer, schedule, {"seed": 0}, torch.device(device))

    ended, other = state("cpu"), state("cuda")
    ended.finish_epoch({"loss": 1.0})
    ended.save(tmp_path / "state")
    other.load(tmp_path / "state")
    assert other.epoch == 2
    assert other.history == [{"loss": 1.0}]


def test_complete_run_is_returned_at_once(model, digits, tmp_path):
    whole = run(copy.deepcopy(model), digits, state_file=tmp_path / "state")
    again = run(model, digits, state_file=tmp_path / "state", on_step=stop_at(0))
    assert again[0] == whole[0]
    assert all(torch.equal(a, b) for a, b in zip(again[1], whole[1], strict=True))


# States of other runs, and other files

TINY = NetworkConfig(latent_dim=9, widths=(8, 8), image_size=28)
ONCE = TrainingConfig(epochs=1, batch_size=64)


def tiny(kind="csae", config=TINY, noise=0.1, seed=0):
    torch.manual_seed(0)
    return kinds.build(kind, 10, config, noise=noise, seed=seed)


@pytest.fixture(scope="module")
def kept(digits, tmp_path_factory):
    """The state of a complete run of a tiny model."""
    path = tmp_path_factory.mktemp("kept") / "state"
    run(tiny(), digits, ONCE, state_file=path)
    return path


def joint(weight=10.0, smoothing=0.1, **terms):
    """What CSAELoss is, with its settings."""
    own = {
        "classification": (1.0, CentroidCrossEntropy(smoothing)),
        "reconstruction": (weight, ImageError()),
    }
    return JointLoss(**own | terms)


class Renamed(CSAELoss):
    pass


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 0.1}, "its learning_rate is 0.004, not 0.1"),
        ({"seed": 4}, "its seed is 0, not 4"),
        ({"epochs": 2}, "its epochs is 1, not 2"),
        ({"optimizer": "adam"}, "its optimizer is 'adamw', not 'adam'"),
        ({"augmentation": Augmentation(shift=1)}, "its augmentation.shift is 0, not 1"),
    ],
)
def test_another_training_is_not_resumed(digits, kept, changes, message):
    config = dataclasses.replace(ONCE, **changes)
    with pytest.raises(ValueError, match=f"{kept} belongs to another run: {message}"):
        run(tiny(), digits, config, state_file=kept)


@pytest.mark.parametrize(
    ("model", "entry"),
    [
        (lambda: tiny(noise=0.2), "model.itself.settings.noise is 0.1, not 0.2"),
        (lambda: tiny("linear-head"), "model.itself.class is 'CSAE', not 'SupervisedAutoenc"),
        (lambda: tiny(config=dataclasses.replace(TINY, widths=(8, 16))), "model."),
        (lambda: tiny(config=NetworkConfig("fully_connected", 9, (4,), 28)), "model."),
    ],
)
def test_another_model_is_not_resumed(digits, kept, model, entry):
    with pytest.raises(ValueError, match=f"{kept} belongs to another run: its {entry}"):
        run(model(), digits, ONCE, state_file=kept)


@pytest.mark.parametrize(
    "criterion",
    [
        joint,  # the same terms, but another class
        Renamed,
        lambda: CSAELoss(smoothing=0.2),
        lambda: CSAELoss(reconstruction_weight=9.0),
        lambda: CSAELoss(classification_weight=2.0),
        lambda: CSAELoss(extra=(1.0, WaveletLoss())),
        lambda: CSAELoss().forward,
    ],
)
def test_another_loss_is_not_resumed(digits, kept, criterion):
    with pytest.raises(ValueError, match=f"{kept} belongs to another run: its criterion"):
        run(tiny(), digits, ONCE, criterion=criterion(), state_file=kept)


def test_what_is_the_same_loss_made_anew_is_resumed(digits, kept):
    history, _ = run(tiny(), digits, ONCE, state_file=kept, on_step=stop_at(0))
    assert len(history) == 1


def test_each_part_of_a_joint_loss_belongs_to_the_run(digits, tmp_path):
    """Weights of terms, their settings and the centroids that they hold."""
    from csae.losses import CentroidDistance

    path, centroids = tmp_path / "state", tiny().centroids
    usual = {
        "image": (2.0, ImageError(WaveletLoss(levels=2))),
        "centroid": (1.0, CentroidDistance(centroids, "all")),
    }
    run(tiny(), digits, ONCE, criterion=joint(**usual), state_file=path)
    for changes in (
        {"image": (2.5, usual["image"][1])},
        {"image": (2.0, ImageError(WaveletLoss(levels=3)))},
        {"image": (2.0, ImageError(WaveletLoss("db2", levels=2)))},
        {"image": (2.0, ImageError(SobelLoss()))},
        {"centroid": (1.0, CentroidDistance(centroids, "class"))},
        {"centroid": (1.0, CentroidDistance(centroids.flip(0), "all"))},
        {"more": (1.0, ImageError())},
    ):
        with pytest.raises(ValueError, match=f"{path} belongs to another run: its criterion"):
            run(tiny(), digits, ONCE, criterion=joint(**usual | changes), state_file=path)
    with pytest.raises(ValueError, match="belongs to another run: its criterion"):
        run(tiny(), digits, ONCE, criterion=joint(image=usual["image"]), state_file=path)
    run(tiny(), digits, ONCE, criterion=joint(**usual), state_file=path, on_step=stop_at(0))


def test_other_images_precision_and_names_are_not_resumed(digits, tmp_path):
    path = tmp_path / "state"
    fp32 = Machine(accelerator="cpu", precision="fp32")
    usual = {"machine": fp32, "state_file": path, "belongs_to": {"recipe": {"noise": 0.1}}}
    run(tiny(), digits, ONCE, **usual)
    other = dataclasses.replace(digits, fingerprint="another")
    with pytest.raises(ValueError, match="its training images is '.*', not 'another'"):
        run(tiny(), other, ONCE, **usual)
    bf16 = Machine(accelerator="cpu", precision="bf16")
    with pytest.raises(ValueError, match="its precision is 'fp32', not 'bf16'"):
        run(tiny(), digits, ONCE, **usual | {"machine": bf16})
    for belongs_to in ({"recipe": {"noise": 0.2}}, {}, {"recipe": {"noise": 0.1}, "name": None}):
        with pytest.raises(ValueError, match="belongs to another run: its belongs to"):
            run(tiny(), digits, ONCE, **usual | {"belongs_to": belongs_to})


@pytest.mark.parametrize(
    "changes",
    [
        {"reconstruction_weight": 9.0},
        {"smoothing": 0.2},
        {"wavelet_weight": 1.0},
        {"noise": 0.2},
        {"centroid_weight": 1.0},
        {"weight_decay": 0.0},
        {"latent_dim": 10},
    ],
)
def test_the_state_of_another_recipe_is_refused(digits, tmp_path, changes):
    recipe = Recipe(network=TINY, training=ONCE)
    settings = runs.settle(recipe, "mnist-sample", CPU)
    changed = runs.settle(recipe.change(**changes), "mnist-sample", CPU)
    with pytest.raises(StopError):
        runs.make(settings, {"train": digits}, machine=CPU, folder=tmp_path, on_epoch=stop,
                  progress=False)  # fmt: skip
    (tmp_path / runs.STATE).write_bytes(state_of(settings, digits, tmp_path))
    (tmp_path / runs.SETTINGS).unlink()  # which would be refused first
    with pytest.raises(ValueError, match=f"{tmp_path / runs.STATE} belongs to another run"):
        runs.make(changed, {"train": digits}, machine=CPU, folder=tmp_path, progress=False)


def stop(*_):
    raise StopError


def state_of(settings, digits, folder):
    """Return the state that a run leaves which is interrupted after its last epoch."""

    def interrupt(*_):
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        runs.make(settings, {"train": digits}, machine=CPU, folder=folder, on_epoch=interrupt,
                  progress=False)  # fmt: skip
    return (folder / runs.STATE).read_bytes()


def test_other_files_are_refused(digits, tmp_path):
    import safetensors.torch

    path = tmp_path / "state"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=f"{path} is not a safetensors file"):
        run(tiny(), digits, ONCE, state_file=path)
    safetensors.torch.save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match=f"{path} is a safetensors file of something else"):
        run(tiny(), digits, ONCE, state_file=path)
    path.write_bytes(tensorfile.pack({"format": "csae-state-1"}, {}))
    with pytest.raises(ValueError, match=f"{path} is not a training state of this version of csae"):
        run(tiny(), digits, ONCE, state_file=path)


def loader(digits):
    """Return what loads a file as a state of the run that `kept` kept."""
    model = tiny()
    optimizer = training.make_optimizer(model, ONCE)
    steps = training.steps_per_epoch(digits, ONCE)

    def load(path, header):
        schedule = training.make_schedule(optimizer, ONCE, steps)
        TrainingState(model, optimizer, schedule, header["run"], torch.device("cpu")).load(path)

    return load


def test_a_flipped_bit_anywhere_in_a_state_is_refused(digits, kept, tmp_path):
    """Weights, moments, random numbers, and all that stands before them."""
    whole, chance, path = kept.read_bytes(), random.Random(0), tmp_path / "state"
    header, _ = tensorfile.read(kept, "csae-state-2", "a state")
    load = loader(digits)
    path.write_bytes(whole)
    load(path, header)  # else this test would say nothing
    start = 8 + int.from_bytes(whole[:8], "little")
    before, behind = chance.sample(range(start), 40), chance.sample(range(start, len(whole)), 20)
    for place in [*range(8), *before, *behind, len(whole) - 1]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=str(path)) as caught:
            load(path, header)
        assert str(caught.value).isprintable(), place
    for length in (0, 8, start, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=str(path)):
            load(path, header)


def test_a_flipped_bit_stops_a_run_before_it_goes_on(digits, kept, tmp_path):
    path = tmp_path / "state"
    damaged = bytearray(kept.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=f"{path} is damaged: its content is not what was written"):
        run(tiny(), digits, ONCE, state_file=path)
    assert path.read_bytes() == damaged  # and nothing is written over it


def test_states_that_cannot_be_are_refused(digits, kept, tmp_path):
    """Their hash is right: somebody has written them so."""
    path, load = tmp_path / "state", loader(digits)
    header, tensors = tensorfile.read(kept, "csae-state-2", "a state")
    moment = next(name for name in tensors if name.startswith("optimizer.0.exp"))
    for changes, message in (
        ({"epoch": 0}, "epoch must be an integer from 1 to 2, got 0"),
        ({"epoch": 3}, "epoch must be an integer from 1 to 2, got 3"),
        ({"history": []}, "epoch must be an integer from 1 to 1, got 2"),
        ({"step": -1}, "step must be an integer of at least 0"),
        ({"step": 1.0}, "step must be an integer, got 1.0"),
        ({"seconds": -1.0}, "seconds must be a finite number of at least 0"),
        ({"threads": 0}, "threads must be an integer of at least 1"),
        ({"history": [{"loss": [1]}]}, "history"),
        ({"history": [{"loss": "low"}]}, "history"),
        ({"history": [{"loss": None}]}, "history"),
        ({"schedule": {}}, "another optimiser or schedule"),
        ({"schedule": header["schedule"] | {"total_steps": "5"}}, "another optimiser or schedule"),
        ({"optimizer": []}, "another optimiser or schedule"),
        ({"optimizer": [*header["optimizer"], {}]}, "another optimiser or schedule"),
        ({"more": 1}, "has no entries but"),
        ({"run": []}, "run must be"),
    ):
        path.write_bytes(tensorfile.pack(header | changes, tensors))
        with pytest.raises(ValueError, match=message) as caught:
            load(path, header)
        assert str(path) in str(caught.value)
    for changes, message in (
        ({"model.centroids": torch.zeros(10, 8)}, "centroids is float32 of shape"),
        ({"model.more": torch.zeros(1)}, "more belongs to another network"),
        ({"optimizer.999.step": torch.zeros(1)}, "moments of no parameter"),
        ({"optimizer.x.step": torch.zeros(1)}, "moments of no parameter"),
        ({"optimizer.\x1b[2J.step": torch.zeros(1)}, "a tensor is named"),
        ({moment: torch.zeros(3, 5)}, "not that of its parameter"),
        ({"random.cpu": torch.zeros(3)}, "its random numbers are"),
        ({"random.cpu": torch.zeros(3, dtype=torch.uint8)}, "its random numbers are"),
    ):
        path.write_bytes(tensorfile.pack(header, tensors | changes))
        with pytest.raises(ValueError, match=message) as caught:
            load(path, header)
        assert str(path) in str(caught.value)
        assert str(caught.value).isprintable()
    without = {name: t for name, t in tensors.items() if name != "random.cpu"}
    path.write_bytes(tensorfile.pack(header, without))
    with pytest.raises(ValueError, match=f"{path} is damaged: its random numbers are"):
        load(path, header)


def test_metrics_without_a_number_come_back(tmp_path):
    """json has no words for them, but a model may well reconstruct perfectly."""

    def state():
        model = nn.Linear(2, 2)
        optimizer = training.make_optimizer(model, ONCE)
        schedule = training.make_schedule(optimizer, ONCE, 10)
        return TrainingState(model, optimizer, schedule, {}, torch.device("cpu"))

    first, second = state(), state()
    first.finish_epoch({"loss": 1.0, "validation_psnr": float("inf")})
    first.save(tmp_path / "state")
    second.load(tmp_path / "state")
    assert second.history == first.history
    assert schema.from_json(b"1", "x") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_waits_for_the_step_and_saves(model, digits, tmp_path, number):
    def interrupt(done):
        if done > 0.5:
            os.kill(os.getpid(), number)

    whole = run(copy.deepcopy(model), digits)
    with pytest.raises(KeyboardInterrupt):
        run(copy.deepcopy(model), digits, state_file=tmp_path / "state", on_step=interrupt)
    history, values = run(model, digits, state_file=tmp_path / "state")
    assert history == whole[0]
    assert all(torch.equal(a, b) for a, b in zip(values, whole[1], strict=True))


def test_second_interrupt_does_not_wait(model, digits):
    before = signal.getsignal(signal.SIGINT)

    def twice(done):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)

    with pytest.raises(KeyboardInterrupt):
        run(model, digits, on_step=twice)
    assert signal.getsignal(signal.SIGINT) is before


def test_training_runs_outside_the_main_thread(model, digits):
    """As in a graphical program; there, nobody can catch signals."""
    found = []
    config = dataclasses.replace(SHORT, epochs=1)
    thread = threading.Thread(target=lambda: found.append(run(model, digits, config)))
    thread.start()
    thread.join()
    assert len(found[0][0]) == 1


def test_a_loss_that_is_not_finite_keeps_the_last_good_state(model, digits, tmp_path):
    class Exploding(CSAELoss):
        steps, last = 0, 15

        def forward(self, *arguments):
            self.steps += 1
            terms = super().forward(*arguments)
            return terms | {"loss": terms["loss"] * (float("inf") if self.steps > self.last else 1)}

    state = tmp_path / "state"
    with pytest.raises(FloatingPointError, match=f"of epoch 2: .*is kept in {state}"):
        run(model, digits, criterion=Exploding(), state_file=state)
    Exploding.last = 1000
    history, _ = run(model, digits, criterion=Exploding(), state_file=state)  # after the first
    assert len(history) == 3


def test_a_full_disk_keeps_the_last_state(model, digits, tmp_path, monkeypatch):
    state, write = tmp_path / "state", os.fsync
    whole = run(copy.deepcopy(model), digits)
    calls = iter(range(100))

    def full(handle):
        if next(calls) >= 2:  # the first state writes two things down: the file and its folder
            raise OSError(errno.ENOSPC, "No space left on device")
        write(handle)

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match=r"could not be saved \(No space left on device\). Make room"):
        run(copy.deepcopy(model), digits, state_file=state)
    assert [entry.name for entry in tmp_path.iterdir()] == ["state"]
    monkeypatch.setattr(files.os, "fsync", write)
    history, values = run(model, digits, state_file=state)
    assert history == whole[0]
    assert all(torch.equal(a, b) for a, b in zip(values, whole[1], strict=True))


# The command line; but its state is saved at each step, so that a short run has many writings.
SAVING = """
import sys
from csae.__main__ import main
from csae.training import watching
watching._LOOK_EVERY = 0.0
sys.exit(main())
"""


def csae(*arguments, **options):
    command = [sys.executable, "-c", SAVING, "train", *map(str, arguments)]
    one = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, env=os.environ | one, cwd=ROOT, stderr=subprocess.DEVNULL, **options
    )


def finished(folder):
    record = json.loads((folder / "record.json").read_text())
    return record["weights_sha256"], record["history"], record["test"]


KILLS = int(os.environ.get("CSAE_KILLS", "2"))  # more of them by hand


def wait_for(condition, process):
    while not condition():
        assert process.poll() is None, "the run ended too early"
        time.sleep(0.001)


def kill_inside_a_writing(folder, process):
    """Stop the process while a half-written file lies beside the state, then kill it."""
    leftovers = lambda: list(folder.glob(".state.safetensors-*"))  # noqa: E731
    while True:
        wait_for(leftovers, process)
        process.send_signal(signal.SIGSTOP)
        if leftovers():
            process.kill()
            return
        process.send_signal(signal.SIGCONT)


def test_killed_at_random_moments_the_weights_are_the_same_bit_for_bit(tmp_path):
    """kill -9, wherever it hits; every other time in the middle of a writing."""
    settings = ["--dataset", "mnist", "--sample", "--quiet", "--batch-size", 50]
    settings += ["--images-per-epoch", 2000, "--epochs", max(1, KILLS // 4)]
    assert csae(*settings, "--out", tmp_path / "whole").wait() == 0
    folder, moments = tmp_path / "killed", random.Random(0)
    state, seen = folder / "state.safetensors", 0
    for kill in range(KILLS):
        process = csae(*(settings if kill == 0 else []), *where(folder, kill), "--save-every", 0)
        # It gets further each time: else the run would never end.
        wait_for(lambda old=seen: state.exists() and state.stat().st_mtime_ns != old, process)
        if kill % 2:
            kill_inside_a_writing(folder, process)
        else:
            time.sleep(0.2 * moments.random())
            process.kill()
        process.wait()
        seen = state.stat().st_mtime_ns
    assert csae("--resume", folder, "--quiet").wait() == 0
    assert finished(folder) == finished(tmp_path / "whole")
    assert sorted(entry.name for entry in folder.iterdir()) == [
        "checkpoint.safetensors", "record.json", "settings.json",
    ]  # fmt: skip


def where(folder, kill):
    return ["--out", folder] if kill == 0 else ["--resume", folder, "--quiet"]
