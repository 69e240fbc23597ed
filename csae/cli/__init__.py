"""The command line: ``csae`` or ``python -m csae``. There is one module a command."""

from __future__ import annotations

import argparse
import sys

import torch

import csae
from csae import data
from csae.cli import evaluate, export, reconstruct, sample, train
from csae.export import OnnxMismatchError
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


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What follows the program's name; by default, what the shell passed.

    Returns:
        The exit status: 0, or 2 after wrong input, or 130 after an interrupt.
    """
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except KeyboardInterrupt:
        if not _is_follower():  # the first process speaks for all
            print(f"csae: interrupted{_kept(options)}", file=sys.stderr)
        return 130
    except _EXPECTED as error:
        print(f"csae: error: {error}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        if not _is_follower():
            raise
        # Its partners are gone: the process that failed or was interrupted says why.
        print(f"csae: a process ends because another one has: {error}", file=sys.stderr)
        return 1
    return 0


def _is_follower() -> bool:
    """Whether this is one of several training processes, and not the first."""
    return torch.distributed.is_initialized() and torch.distributed.get_rank() > 0


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
    for command in (train, evaluate, reconstruct, sample, export):
        command.add(commands)
    return parser
