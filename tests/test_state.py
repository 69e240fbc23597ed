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
from csae.state import TrainingState

from csae import files, training
from csae.data import Augmentation
from csae.losses import CSAELoss
from csae.training import TIMINGS, TrainingConfig, train

ROOT = Path(__file__).parents[1]
SHORT = TrainingConfig(
    epochs=3,
    batch_size=32,
    accelerator="cpu",
    augmentation=Augmentation(shift=1, flip=True, rotation=10, erase=0.5),
)


class StopError(Exception):
    """Ends a run in the middle of a step, as an error in it would."""


def weights(model):
    return [value.clone() for value in model.state_dict().values()]


def without_timings(history):
    return [{k: v for k, v in epoch.items() if k not in TIMINGS} for epoch in history]


def run(model, digits, config=SHORT, **options):
    history = train(model, CSAELoss(), digits, config, progress=False, **options)
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
    config = dataclasses.replace(
        SHORT, optimizer=optimizer, schedule=schedule, precision=precision, **rate
    )
    monkeypatch.setattr(training, "_LOOK_EVERY", 0)  # look, and save, after each step
    fresh = copy.deepcopy(model)
    whole = run(copy.deepcopy(model), digits, config)
    for share in (0.15, 0.8):
        with pytest.raises(StopError):
            run(
                copy.deepcopy(fresh),
                digits,
                config,
                state_file=tmp_path / "state",
                save_every=0,
                on_step=stop_at(share),
            )
        torch.rand(3)  # what happens in between does not matter
    history, values = run(fresh, digits, config, state_file=tmp_path / "state")
    assert history == whole[0]
    assert all(torch.equal(a, b) for a, b in zip(values, whole[1], strict=True))


def test_a_run_keeps_its_number_of_threads(model, digits, tmp_path, monkeypatch, capsys):
    """Rounding depends on it; what is free when the run goes on does not matter."""
    monkeypatch.setattr(training, "threads_are_chosen", lambda: False)
    monkeypatch.setattr(training, "threads_are_settled", lambda: False)
    before, used = torch.get_num_threads(), []

    def go_on(free, until):
        monkeypatch.setattr(training, "free_threads", lambda: free)

        def look(done):
            used.append(torch.get_num_threads())
            if done >= until:
                raise KeyboardInterrupt

        state = tmp_path / "state.safetensors"
        train(copy.deepcopy(model), CSAELoss(), digits, SHORT, state_file=state, on_step=look)

    with pytest.raises(KeyboardInterrupt):
        go_on(free=2, until=0.5)
    assert "2 threads" in capsys.readouterr().err
    go_on(free=1, until=1)
    assert set(used) == {2}
    assert torch.get_num_threads() == before


def test_a_chosen_number_of_threads_stays(model, digits, monkeypatch):
    monkeypatch.setattr(training, "threads_are_chosen", lambda: True)
    monkeypatch.setattr(training, "free_threads", lambda: before + 1)
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


def test_a_state_of_another_run_is_refused(model, digits, tmp_path):
    run(copy.deepcopy(model), digits, state_file=tmp_path / "state")
    for changes, message in (
        ({"learning_rate": 0.1}, "its learning_rate is 0.004, not 0.1"),
        ({"seed": 4}, "its seed is 0, not 4"),
        ({"augmentation": Augmentation()}, "its augmentation is .*'shift': 1"),
    ):
        config = dataclasses.replace(SHORT, **changes)
        with pytest.raises(ValueError, match=f"belongs to another run: {message}"):
            run(model, digits, config, state_file=tmp_path / "state")
    other = dataclasses.replace(digits, fingerprint="another")
    with pytest.raises(ValueError, match="its training images is"):
        run(model, other, state_file=tmp_path / "state")


def test_other_files_are_refused(model, digits, tmp_path):
    path = tmp_path / "state"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match="is not a safetensors file"):
        run(model, digits, state_file=path)
    import safetensors.torch

    safetensors.torch.save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="holds no training state of this version"):
        run(model, digits, state_file=path)


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
        steps = 0

        def forward(self, *arguments):
            self.steps += 1
            terms = super().forward(*arguments)
            return terms | {"loss": terms["loss"] * (float("inf") if self.steps > 15 else 1)}

    state = tmp_path / "state"
    with pytest.raises(FloatingPointError, match=f"of epoch 2: .*is kept in {state}"):
        train(model, Exploding(), digits, SHORT, state_file=state, progress=False)
    history, _ = run(model, digits, state_file=state)  # goes on after the first epoch
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


def csae(*arguments, **options):
    command = [sys.executable, "-m", "csae", "train", *map(str, arguments)]
    one = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, env=os.environ | one, cwd=ROOT, stderr=subprocess.DEVNULL, **options
    )


def finished(folder):
    record = json.loads((folder / "record.json").read_text())
    return record["weights_sha256"], record["history"], record["test"]


KILLS = int(os.environ.get("CSAE_KILLS", "4"))  # more of them by hand


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
    settings = ["--dataset", "mnist", "--sample", "--quiet", "--batch-size", 250]
    settings += ["--epochs", max(2, KILLS // 2)]
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
            time.sleep(moments.random())
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
