"""Options of the command line, made from the fields and docstrings of dataclasses.

A value has one home: the dataclass says its name, its type and, in its docstring, what it means. An
option that is not given changes nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Sequence
from typing import Any

from csae import checks

# Options whose largest values only a slip of the hand would pass, and what would take memory or
# processes before anything else could refuse it: least and most. The dataclasses check the rest.
_WHOLE = {
    "epochs": (1, 1_000_000),
    "images_per_epoch": (1, 1_000_000_000),
    "batch_size": (2, 1_000_000_000),
    "latent_dim": (1, 4096),
    "image_size": (1, 4096),
    "devices": (1, 1024),
    "num_nodes": (1, 1024),
}
_LARGEST = 1e9


def add(group: Any, kind: type, *, leave_out: Sequence[str] = ()) -> None:
    """Add an option for each plain field of a dataclass to a parser or one of its groups."""
    described = descriptions(kind)
    for name in names(kind, leave_out=leave_out):
        field, value = described[name], typing.get_type_hints(kind)[name]
        option = f"--{name.replace('_', '-')}"
        if value is bool:
            group.add_argument(
                option,
                action=argparse.BooleanOptionalAction,
                help=field,
                default=argparse.SUPPRESS,
            )
            continue
        several = typing.get_origin(value) is tuple
        plain = _plain_type(value)
        group.add_argument(
            option,
            type=plain,
            nargs="+" if several else None,
            metavar={int: "N", float: "NUMBER", str: "NAME"}[plain],
            help=field,
            default=argparse.SUPPRESS,
        )


def names(kind: type, *, leave_out: Sequence[str] = ()) -> list[str]:
    """Return the fields of a dataclass that hold plain values or tuples of them."""
    hints = typing.get_type_hints(kind)
    return [
        field.name
        for field in dataclasses.fields(kind)
        if field.name not in leave_out and not dataclasses.is_dataclass(hints[field.name])
    ]


def given(options: argparse.Namespace, *kinds: type) -> dict[str, Any]:
    """Return what was given on the command line, of the fields of some dataclasses.

    Raises:
        ValueError: A number is far out of range.
    """
    found = {
        name: getattr(options, name)
        for kind in kinds
        for name in names(kind)
        if hasattr(options, name)
    }
    for name, value in found.items():
        if name in _WHOLE:
            checks.integer(name, value, *_WHOLE[name])
        elif isinstance(value, float):
            checks.number(name, value, most=_LARGEST)
    return found


def descriptions(kind: type) -> dict[str, str]:
    """Return what the docstring of a dataclass says of each of its attributes, for a help text."""
    text = inspect.getdoc(kind) or ""
    block = text.partition("Attributes:\n")[2]
    block = re.split(r"^\S", block, maxsplit=1, flags=re.M)[0]
    found = {}
    for name, words in re.findall(r"^    (\w+): (.*?)(?=^    \w|\Z)", block, re.M | re.S):
        plain = " ".join(words.split()).replace("`", "").replace("%", "%%")
        found[name] = plain[0].lower() + plain[1:].rstrip(".")
    return found


def _plain_type(value: Any) -> type:
    """Return int, float or str, of a type that may also be None or several of them."""
    if isinstance(value, type) and value in (int, float, str):
        return value
    if typing.get_origin(value) in (typing.Union, types.UnionType, tuple):
        return _plain_type(typing.get_args(value)[0])
    raise TypeError(f"no option can be made of {value}")
