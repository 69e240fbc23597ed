"""A run that is killed before a file operation goes on, or begins anew; nothing is left."""

import multiprocessing
import os
import signal
import sys

import pytest

from csae import cli, runs

if "forkserver" not in multiprocessing.get_all_start_methods():
    pytest.skip("needs a server that forks", allow_module_level=True)
FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(["csae.cli"])  # once for all children
TINY = [
    "--dataset", "mnist", "--sample", "--epochs", "1", "--images-per-epoch", "64",
    "--batch-size", "32", "--widths", "8", "8", "--threads", "1", "--accelerator", "cpu",
    "--quiet", "--json", "--save-every", "0",
]  # fmt: skip
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
OPERATIONS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir")


def in_child(arguments, folder, kill_at=None):
    """Run the command line in a process of its own; return its exit status and what it printed.

    It is killed just before its file operation of that number; 137 says so.
    """
    said = folder.parent / "said.txt"
    # Not a fork of this process, as PyTorch may have started threads in it.
    child = FORKED.Process(target=child_main, args=(arguments, folder, said, kill_at))
    child.start()
    child.join()
    return (137 if child.exitcode == -signal.SIGKILL else child.exitcode), said.read_text()


def child_main(arguments, folder, said, kill_at):
    with open(said, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if kill_at is not None:
        watch(str(folder), kill_at)
    sys.exit(cli.main(arguments))


def watch(folder, kill_at):
    count = 0

    def hook(event, arguments):
        nonlocal count
        written = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
        if written or event in OPERATIONS:
            path = arguments[0]
            if isinstance(path, str | os.PathLike) and os.fspath(path).startswith(folder):
                count += 1
                if count == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def test_whatever_the_moment_of_a_kill(tmp_path):
    whole = tmp_path / "whole"
    status, said = in_child(["train", *TINY, "--out", str(whole)], whole)
    assert status == 0, said
    expected = sorted(path.name for path in whole.iterdir())
    assert expected == ["checkpoint.safetensors", "record.json", "settings.json"]
    weights = (whole / runs.CHECKPOINT).read_bytes()
    points = 0
    while True:
        folder = tmp_path / f"killed-{points + 1}"
        command = ["train", *TINY, "--out", str(folder)]
        status, said = in_child(command, folder, kill_at=points + 1)
        if status == 0:
            break
        assert status == 137, said
        points += 1
        resume = ["train", "--resume", str(folder), "--threads", "1", "--quiet", "--json"]
        status, said = in_child(resume, folder)
        if status and "is complete" not in said:
            assert "begin it anew" in said, (points, said)
            status, said = in_child(command, folder)
            assert status == 0, (points, said)
        assert sorted(path.name for path in folder.iterdir()) == expected, points
        assert (folder / runs.CHECKPOINT).read_bytes() == weights, points
    assert points > 10
