"""What the checks of all chapters are made of."""

from __future__ import annotations

import functools
import math
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result", float, Tensor)


@dataclass(frozen=True, repr=False)
class Verdict:
    """What a check found; a notebook shows its text.

    Attributes:
        passed: Whether the answer is right.
        text: What the answer shows if it is right, else a hint.
    """

    passed: bool
    text: str

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        # Wrapped: a page scrolls long lines of output out of sight.
        return textwrap.fill(f"{'✓ Right.' if self.passed else '✗ Not yet.'} {self.text}", 66)


class HintError(Exception):
    """Ends a check with a hint."""


def check(judge: Callable[[Any], str]) -> Callable[[Any], Verdict]:
    """Turn a function that returns praise or raises a hint into a check."""

    @functools.wraps(judge)
    def checked(answer: Any) -> Verdict:
        try:
            if answer is ...:
                raise HintError("Replace the three dots with your answer.")
            return Verdict(True, judge(answer))
        except HintError as hint:
            return Verdict(False, str(hint))

    return checked


def hint_if(wrong: object, hint: str) -> None:
    """End the check with a hint if something is wrong."""
    if wrong:
        raise HintError(hint)


def hint_for_mistakes(
    found: Result,
    *mistakes: tuple[Result, str],
    case: str = "",
    right: Result | None = None,
    rel_tol: float = 1e-9,
    abs_tol: float = 0.0,
) -> None:
    """End the check with the hint of the first mistake that gives what the reader found.

    Args:
        found: The reader's result, a number or a tensor.
        mistakes: Pairs of a wrong result, of the kind and shape of `found`, and the hint for it.
        case: What to put in front of the hint.
        right: The right result, if a mistake may give it, too; such a mistake is passed over.
        rel_tol: Largest difference that counts as equal, relative to the result.
        abs_tol: Largest difference that always counts as equal. With both 0 only equals are equal.
    """

    def same(one: Any, other: Any) -> bool:
        if isinstance(one, Tensor):
            return torch.allclose(one, other, rtol=rel_tol, atol=abs_tol)
        return math.isclose(one, other, rel_tol=rel_tol, abs_tol=abs_tol)

    for mistake, hint in mistakes:
        if right is None or not same(mistake, right):
            hint_if(same(found, mistake), f"{case} {hint}" if case else hint)


def call(function: Any, *arguments: Any) -> Any:
    """Call the reader's function; what goes wrong in it becomes the hint."""
    hint_if(not callable(function), "Pass the function itself, without calling it.")
    given = ", ".join(str(a) if isinstance(a, int) else "..." for a in arguments)
    name = getattr(function, "__name__", "the function")
    try:
        result = function(*arguments)
    except Exception as error:  # the reader's code may raise anything
        raise HintError(f"{name}({given}) stopped: {type(error).__name__}: {error}") from error
    hint_if(
        result is ... or result is None,
        f"{name}({given}) returned {result}: replace the three dots, and return the result.",
    )
    return result


def number(value: Any) -> float:
    """Return a number as a float; anything else becomes a hint."""
    hint_if(not isinstance(value, Real), f"Return a number, not a {type(value).__name__}.")
    return float(value)


def plain(value: Any) -> Any:
    """Return a tensor of one number as that number: means and sums of tensors are such."""
    return value.item() if isinstance(value, Tensor) and value.numel() == 1 else value


def tensor(value: Any, shape: tuple[int, ...]) -> Tensor:
    """Return a finite tensor of the given shape in float64; anything else becomes a hint."""
    hint_if(not isinstance(value, Tensor), f"Return a torch tensor, not a {type(value).__name__}.")
    found = tuple(value.shape)
    hint_if(found != shape, f"The result should have shape {shape}; yours has {found}.")
    hint_if(not value.isfinite().all(), "The result holds values that are not finite.")
    result: Tensor = value.double()
    return result
