"""What this package reads back, checked: json against dataclasses, with the path in every error.

A file may come from anywhere and hold anything. Whatever is wrong with it becomes one `ValueError`
that names the file, the entry and what is allowed.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from csae import checks

_T = TypeVar("_T")
# Deeper than anything of ours, and far from Python's own limit.
_DEEPEST = 20


def to_json(value: object, *, indent: int | None = 2) -> bytes:
    """Return plain values as json; dataclasses become objects.

    Raises:
        ValueError: A number is infinite or NaN, for which json has no word.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    text = json.dumps(value, indent=indent, allow_nan=False)
    return (text + "\n" if indent else text).encode()


def from_json(content: str | bytes, where: str) -> Any:
    """Return what a json text says.

    Args:
        content: The text.
        where: The file it comes from, for errors.

    Raises:
        ValueError: It is no json, says NaN or infinity, or is nested too deeply.
    """

    def refuse(constant: str) -> float:
        raise ValueError(f"{constant} is no number of json")

    def finite(text: str) -> float:
        return float(text) if math.isfinite(float(text)) else refuse(text)

    try:
        value = json.loads(content, parse_constant=refuse, parse_float=finite)
        depth = _depth(value)
    except RecursionError:
        depth, value = _DEEPEST + 1, None
    except ValueError as error:  # json's own error and that of bytes which are no text
        raise ValueError(f"{where} is damaged: it holds no json ({error})") from None
    if depth > _DEEPEST:
        raise ValueError(f"{where} is damaged: it is nested too deeply")
    return value


def read_json(path: Path) -> Any:
    """Read a json file.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is no json.
    """
    return from_json(path.read_bytes(), str(path))


def build(kind: type[_T], values: object, where: str) -> _T:
    """Make a dataclass of what json said, checking names and types of all its entries.

    An entry that is missing is an error, unless its field has an ``absent`` among its metadata:
    what it means that older files say nothing of it.

    Args:
        kind: The dataclass; its fields are numbers, strings, flags, None, dataclasses, and tuples,
            lists and dictionaries of these.
        values: What `from_json` returned.
        where: The file it comes from, for errors.

    Raises:
        ValueError: An entry is missing, unknown, of another type or out of range.
    """
    made: _T = _read(kind, values, where, "")
    return made


def _read(kind: Any, value: Any, where: str, name: str) -> Any:
    """Read one value of a type that a field is annotated with."""
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind):
        return _read_fields(typing.cast(type, kind), value, where, name)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _read_union(inner, value, where, name)
    if origin is tuple and isinstance(value, list):
        return tuple(_read(inner[0], part, where, f"{name}[{i}]") for i, part in enumerate(value))
    if origin is list and isinstance(value, list):
        return [_read(inner[0], part, where, f"{name}[{i}]") for i, part in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        for key in value:
            _read(str, key, where, f"a name in {name or 'the file'}")
        return {key: _read(inner[1], part, where, _join(name, key)) for key, part in value.items()}
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        with suppress(OverflowError):  # an integer beyond the largest float
            if math.isfinite(value):
                return value
    elif kind is str and isinstance(value, str):
        if value.isprintable():  # what is printed must not steer a terminal
            return value
    elif type(value) is kind:
        return value
    raise _wrong(where, name, f"must be {_named(kind)}", value)


def _read_union(kinds: Sequence[Any], value: Any, where: str, name: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    *others, last = (kind for kind in kinds if kind is not type(None))
    for kind in others:
        with suppress(ValueError):
            return _read(kind, value, where, name)
    return _read(last, value, where, name)


def _read_fields(kind: type, value: Any, where: str, name: str) -> Any:
    if not isinstance(value, dict):
        raise _wrong(where, name, "must be an object with names", value)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    hints = typing.get_type_hints(kind)
    if unknown := sorted(map(str, value.keys() - fields.keys())):
        raise _wrong(where, name, f"has no entries but {', '.join(fields)}", unknown[0])
    values = {}
    for entry, field in fields.items():
        if entry in value:
            values[entry] = _read(hints[entry], value[entry], where, _join(name, entry))
        elif "absent" in field.metadata:
            values[entry] = field.metadata["absent"]
        else:
            raise ValueError(f"{where} is damaged: {_join(name, entry)} is missing")
    try:
        return kind(**values)
    except ValueError as error:
        raise ValueError(f"{where} is damaged: {_join(name, '')}{error}") from None


def differing(
    first: Mapping[str, Any], second: Mapping[str, Any]
) -> tuple[str, object, object] | None:
    """Return the first entry in which two nested objects of plain values differ, if any.

    Returns:
        Its name, dotted, and what both say; None for an entry that is missing.
    """
    for key in {**first, **second}:
        one, other = first.get(key), second.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            if found := differing(one, other):
                name, *values = found
                return (f"{key}.{name}", *values)  # type: ignore[return-value]
        elif key not in first or key not in second or _text(one) != _text(other):
            return key, one, other
    return None


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _join(name: str, entry: str) -> str:
    return f"{name}.{entry}" if name else entry


def _named(kind: Any) -> str:
    names = {float: "a finite number", int: "an integer", str: "printable text", bool: "a flag"}
    return names.get(kind) or str(kind)


def _wrong(where: str, name: str, allowed: str, value: object) -> ValueError:
    return ValueError(f"{where} is damaged: {name or 'it'} {allowed}, got {checks.show(value)}")


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0
