"""Checks of arguments: one for each kind, with one wording.

Each returns the value it checked, as the plain type that was asked for, or raises a `ValueError`
that names the argument, what is allowed and what was given.
"""

from __future__ import annotations

import math
import numbers
import operator
import reprlib
from collections.abc import Collection
from typing import Any, TypeVar

import torch
from torch import Tensor

_T = TypeVar("_T")
_LONGEST = 60  # characters of a value in an error


def show(value: object) -> str:
    """Say in a few words what was given; a tensor by its type and shape."""
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"a {type(value).__name__} of {value.dtype} and shape {tuple(value.shape)}"
    shown = reprlib.Repr()
    shown.maxstring = shown.maxother = _LONGEST
    return shown.repr(value)


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


def number(
    argument: str,
    value: object,
    *,
    least: float = -math.inf,
    most: float = math.inf,
    above: float = -math.inf,
    below: float = math.inf,
) -> float:
    """Check a finite number between bounds: ``least`` and ``most`` are allowed themselves."""
    fits = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if fits:
        real = float(value)  # type: ignore[arg-type]
        fits = math.isfinite(real) and least <= real <= most and above < real < below
    if not fits:
        bounds = [
            f"{words} {bound:g}"
            for words, bound in (
                ("at least", least),
                ("above", above),
                ("at most", most),
                ("below", below),
            )
            if math.isfinite(bound)
        ]
        allowed = " of " + " and ".join(bounds) if bounds else ""
        raise ValueError(f"{argument} must be a finite number{allowed}, got {show(value)}")
    return real


def flag(argument: str, value: object) -> bool:
    """Check a truth value."""
    if not isinstance(value, bool):
        raise ValueError(f"{argument} must be True or False, got {show(value)}")
    return value


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
        given = f"{type(value).__name__} {show(value)}"
        raise ValueError(f"{argument} must be a {kind.__name__}, got {given}{hint and f'; {hint}'}")
    return value


def tensor(
    argument: str,
    value: object,
    shape: tuple[int | str, ...] | None = None,
    *,
    dtype: torch.dtype | None = None,
    floating: bool = False,
    finite: bool = False,
) -> Tensor:
    """Check a tensor's shape and type.

    Args:
        argument: Its name.
        value: What was given.
        shape: A number for each axis of a fixed size, a letter for each that may have any size of
            at least 1: ``("N", 1, 28, 28)``. The same letter means the same size. None for any.
        dtype: Its type, or None for any.
        floating: Whether it must hold floating-point numbers, of any precision.
        finite: Whether all of them must be finite; this reads them all.
    """
    if not isinstance(value, Tensor):
        raise ValueError(
            f"{argument} must be a torch.Tensor, got {type(value).__name__} {show(value)}"
        )
    named = str(dtype).removeprefix("torch.") if dtype else "floating point" if floating else ""
    right_type = value.dtype == dtype if dtype else value.is_floating_point() or not floating
    if not right_type or not (shape is None or _fits(value.shape, shape)):
        wanted = named
        if shape is not None:
            axes = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
            wanted = f"{named} of shape ({axes})" if named else f"of shape ({axes})"
        raise ValueError(f"{argument} must be {wanted}, got {show(value)}")
    if finite and not value.isfinite().all():
        raise ValueError(f"{argument} must be finite, got values that are infinite or NaN")
    return value


def labels(argument: str, value: object, count: int, num_classes: int) -> Tensor:
    """Check class labels: (N,) int64 in 0..K-1, one for each of N rows."""
    checked = tensor(argument, value)
    if checked.shape != (count,) or checked.dtype != torch.int64:
        raise ValueError(
            f"{argument} must be int64 of shape ({count},), one for each row, got {show(checked)}"
        )
    if count and (checked.min() < 0 or checked.max() >= num_classes):
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


def _fits(shape: torch.Size, wanted: tuple[int | str, ...]) -> bool:
    if len(shape) != len(wanted):
        return False
    sizes: dict[str, int] = {}
    for size, axis in zip(shape, wanted, strict=True):
        if isinstance(axis, int):
            if size != axis:
                return False
        elif size < 1 or sizes.setdefault(axis, size) != size:
            return False
    return True
