"""The command line: ``csae`` or ``python -m csae``. There is one module a command."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

import csae
from csae import data
from csae.cli import evaluate, experiment, export, reconstruct, sample, train
from csae.export import OnnxMismatchError
from csae.progress import LastingStream
from csae.runtime import MissingExtraError

_DESCRIPTION = """\
Train and use classification-supervised autoencoders (CSAE): one network that encodes, classifies,
reconstructs and generates images, because its classes sit on fixed, evenly spread centroids.
"""
_EXAMPLES = """\
examples:
  python -m csae train --dataset mnist --sample       a first run, no download
  python -m csae train --dataset fashion-mnist        the full data set
  python -m csae evaluate runs/mnist-sample-seed0/checkpoint.safetensors --sample
  python -m csae sample runs/mnist-sample-seed0/checkpoint.safetensors --sample --out new.png
"""
# Raised by what a command was given, or by where it runs. All else is a bug and is shown whole.
_EXPECTED = (
    ValueError,
    OSError,
    FloatingPointError,
    data.DataUnavailableError,
    data.CorruptDataError,
    MissingExtraError,
    OnnxMismatchError,
)


# How the libraries under several processes say that one of them is gone.
_GONE = ("gloo", "nccl", "connection", "socket", "peer", "timed out", "timeout", "tcpstore")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Output that nobody can read any more, as of ``csae train | head -1``, stops no command.

    Args:
        arguments: What follows the program's name; by default, what the shell passed.

    Returns:
        The exit status: 0; 1 if another process of the run is gone, or the results could not be
        printed; 2 after wrong input; 130 after an interrupt; 141 if the reader of the results was
        gone.
    """
    with _lasting_streams() as output:
        options = _parser().parse_args(arguments)
        status = _run(options)
        output.flush()
        if output.error is None or status:
            return status
        if isinstance(output.error, BrokenPipeError):
            return 141  # what a shell says of a program that a closed pipe has ended
        print(f"csae: error: standard output: {output.error}", file=sys.stderr)
        return 1


@contextmanager
def _lasting_streams() -> Iterator[LastingStream]:
    """Let standard output and error be closed, full or missing."""
    before = sys.stdout, sys.stderr
    output = LastingStream(sys.stdout)
    sys.stdout, sys.stderr = output, LastingStream(sys.stderr)
    try:
        yield output
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = before


def _run(options: argparse.Namespace) -> int:
    try:
        options.run(options)
    except KeyboardInterrupt:
        if not _is_follower():  # the first process speaks for all
            print(f"csae: interrupted{_kept(options)}", file=sys.stderr)
        return 130
    except _EXPECTED as error:
        print(f"csae: error: {error}{_way_out(error, options)}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        if not _is_shared() or not any(word in str(error).lower() for word in _GONE):
            raise
        print(
            "csae: error: another process of this run has ended or cannot be reached"
            f"{_kept(options)} ({_first_line(error)})",
            file=sys.stderr,
        )
        return 1
    return 0


def _way_out(error: Exception, options: argparse.Namespace) -> str:
    """Say what to do about a full disk, where the error does not."""
    if not isinstance(error, OSError) or error.errno not in _NO_ROOM:
        return ""
    if error.strerror != os.strerror(error.errno):
        return ""
    return f". Make room{_kept(options)}" if _kept(options) else ". Make room and try again"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:120]


def _is_shared() -> bool:
    """Whether this is one of several training processes."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def _is_follower() -> bool:
    """Whether this is one of several training processes, and not the first."""
    return _is_shared() and torch.distributed.get_rank() > 0


def _kept(options: argparse.Namespace) -> str:
    """What an interrupted command leaves behind, if it says so."""
    kept = getattr(options, "interrupted", None)
    return f"; {kept}" if kept else ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="csae",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"csae {csae.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in (train, evaluate, reconstruct, sample, export, experiment):
        command.add(commands)
    return parser
