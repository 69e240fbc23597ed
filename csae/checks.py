"""Checks of arguments: one for each kind, with one wording.

Each returns the value it checked, as the plain type that was asked for, or raises a `ValueError`
that names the argument, what is allowed and what was given.
"""

from __future__ import annotations

import math
import numbers
import operator
import os
import reprlib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

_T = TypeVar("_T")
_F = TypeVar("_F", bound=Callable[..., Any])
_LARGEST_SEED = 2**63 - 1  # PyTorch's generators take no larger one everywhere
_LONGEST = 60  # characters of a value in an error


def show(value: object) -> str:
    """Say in a few words what was given; a tensor by its type and shape."""
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    shown = reprlib.Repr()
    shown.maxstring = shown.maxother = _LONGEST
    try:
        return " ".join(shown.repr(value).split())
    except ValueError:  # Python refuses to write integers of thousands of digits
        return f"a very large {type(value).__name__}"


def _typed(value: object) -> str:
    """Say the type of a value, too, where it says something; a network's layers are too many."""
    if value is None or isinstance(value, type):
        return show(value)
    name = type(value).__name__
    return name if isinstance(value, nn.Module) else f"{name} {show(value)}"


def integer(argument: str, value: object, least: int, most: int | None = None) -> int:
    """Check a whole number; NumPy's are taken, booleans and floats are not."""
    whole: int | None = None
    if not isinstance(value, bool) and not (
        isinstance(value, Tensor) and value.dtype == torch.bool
    ):
        try:
            whole = operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            whole = None
    if whole is None or whole < least or (most is not None and whole > most):
        allowed = f"of at least {least}" if most is None else f"from {least} to {most:,}"
        raise ValueError(f"{argument} must be an integer {allowed}, got {show(value)}")
    return whole


def seed(argument: str, value: object) -> int:
    """Check a seed of random numbers, from 0 to 2^63 - 1."""
    return integer(argument, value, 0, _LARGEST_SEED)


def number(
    argument: str,
    value: object,
    *,
    least: float = -math.inf,
    most: float = math.inf,
    above: float = -math.inf,
    below: float = math.inf,
    infinite: bool = False,
) -> float:
    """Check a number between bounds: ``least`` and ``most`` are allowed themselves.

    NumPy's are taken, booleans are not. It must be finite, unless ``infinite`` allows infinity.
    """
    real = math.nan
    if not isinstance(value, bool) and isinstance(value, numbers.Real):
        try:
            real = float(value)
        except OverflowError:  # an integer beyond the largest float
            real = math.nan
    known = math.isfinite(real) or (infinite and math.isinf(real))
    inside = least <= real <= most and above < real and (real < below or below == math.inf)
    if not (known and inside):
        kind = "number" if infinite else "finite number"
        allowed = _range(least, most, above, below)
        raise ValueError(f"{argument} must be a {kind}{allowed}, got {show(value)}")
    return real


def _range(least: float, most: float, above: float, below: float) -> str:
    if math.isfinite(least) and math.isfinite(most):
        return f" from {least:g} to {most:g}"
    bounds = ((" of at least", least), (" above", above), (" of at most", most), (" below", below))
    return " and".join(f"{words} {bound:g}" for words, bound in bounds if math.isfinite(bound))


def flag(argument: str, value: object) -> bool:
    """Check a truth value; NumPy's are taken."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{argument} must be True or False, got {show(value)}")
    return bool(value)


def choice(argument: str, value: _T, allowed: Collection[Any]) -> _T:
    """Check one of a few values."""
    try:
        known = any(type(value) is type(entry) and value == entry for entry in allowed)
    except (TypeError, ValueError):
        known = False
    if not known:
        choices = ", ".join(map(repr, allowed))
        raise ValueError(f"{argument} must be one of {choices}; got {show(value)}")
    return value


def instance(argument: str, value: object, kind: type[_T], hint: str = "") -> _T:
    """Check a value's class.

    Args:
        argument: Its name.
        value: What was given.
        kind: The class it must have.
        hint: A way out, put behind the error.
    """
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise ValueError(
            f"{argument} must be {article} {kind.__name__}, got {_typed(value)}"
            f"{hint and f'; {hint}'}"
        )
    return value


def function(argument: str, value: _F) -> _F:
    """Check something to call."""
    if not callable(value):
        raise ValueError(f"{argument} must be a function, got {_typed(value)}")
    return value


def path(argument: str, value: object) -> Path:
    """Check the path of a file or a folder: a string or a `pathlib.Path`."""
    if isinstance(value, str | os.PathLike):
        named = os.fspath(value)
        if isinstance(named, str) and named and "\0" not in named:
            return Path(named)
    raise ValueError(f"{argument} must be a path, as a string or a Path, got {_typed(value)}")


def sequence(argument: str, value: object, what: str = "values") -> tuple[Any, ...]:
    """Check a sequence, which a string is not; arrays and tensors of one axis are."""
    if isinstance(value, np.ndarray | Tensor) and value.ndim == 1:
        return tuple(value.tolist())
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise ValueError(f"{argument} must be a sequence of {what}, got {_typed(value)}")
    return tuple(value)


def tensor(
    argument: str,
    value: object,
    shape: tuple[int | str, ...] | None = None,
    *,
    dtype: torch.dtype | None = None,
    floating: bool = False,
    finite: bool = False,
    least: int = 1,
    hint: str = "",
) -> Tensor:
    """Check a tensor's shape and type.

    Args:
        argument: Its name.
        value: What was given.
        shape: A number for each axis of a fixed size, a letter for each that may have any size of
            at least ``least``: ``("N", 1, 28, 28)``. The same letter means the same size. None for
            any shape.
        dtype: Its type, or None for any.
        floating: Whether it must hold floating-point numbers, of any precision.
        finite: Whether all of them must be finite; this reads them all.
        least: Smallest size of an axis that a letter stands for.
        hint: A way out, put behind the error.
    """
    ending = hint and f"; {hint}"
    if not isinstance(value, Tensor):
        raise ValueError(f"{argument} must be a torch.Tensor, got {_typed(value)}{ending}")
    named = str(dtype).removeprefix("torch.") if dtype else "floating point" if floating else ""
    right_type = value.dtype == dtype if dtype else value.is_floating_point() or not floating
    if not right_type or not (shape is None or _fits(value.shape, shape, least)):
        wanted = named
        if shape is not None:
            axes = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
            wanted = f"{named} of shape ({axes})" if named else f"of shape ({axes})"
        raise ValueError(f"{argument} must be {wanted}, got {show(value)}{ending}")
    if finite and not value.isfinite().all():
        raise ValueError(f"{argument} must be finite, got values that are infinite or NaN")
    return value


def labels(
    argument: str, value: object, count: int, num_classes: int, *, read: bool = True
) -> Tensor:
    """Check class labels: (N,) int64 in 0..K-1, one for each of N rows.

    Args:
        argument: Their name.
        value: What was given.
        count: Number of rows N.
        num_classes: Number of classes K.
        read: Whether to look at the labels themselves, which waits for the device they are on.
    """
    checked = tensor(argument, value)
    if checked.shape != (count,) or checked.dtype != torch.int64:
        raise ValueError(
            f"{argument} must be int64 of shape ({count},), one for each row, got {show(checked)}"
        )
    if read and count and (checked.min() < 0 or checked.max() >= num_classes):
        raise ValueError(
            f"{argument} must be classes from 0 to {num_classes - 1}, got some from "
            f"{int(checked.min())} to {int(checked.max())}"
        )
    return checked


def same_shape(first: str, one: Tensor, second: str, other: Tensor) -> None:
    """Check that two tensors have one shape: PyTorch would broadcast them."""
    if one.shape != other.shape:
        raise ValueError(
            f"{first} and {second} must have the same shape, got {tuple(one.shape)} and "
            f"{tuple(other.shape)}"
        )


def _fits(shape: torch.Size, wanted: tuple[int | str, ...], least: int) -> bool:
    if len(shape) != len(wanted):
        return False
    sizes: dict[str, int] = {}
    for size, axis in zip(shape, wanted, strict=True):
        if isinstance(axis, int):
            if size != axis:
                return False
        elif size < least or sizes.setdefault(axis, size) != size:
            return False
    return True
