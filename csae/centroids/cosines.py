"""Cosines of all pairs of unit vectors, some rows at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

_CHUNK_NUMBERS = 2**22  # pairs looked at together: 32 MB a buffer


def pair_gaps(unit: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Yield 1 - cosine of all pairs, (rows, K) at a time; infinity for a point with itself."""
    rows = max(_CHUNK_NUMBERS // len(unit), 1)
    for first in range(0, len(unit), rows):
        gaps = torch.addmm(unit.new_ones(()), unit[first : first + rows], unit.T, alpha=-1)
        gaps.diagonal(first).fill_(math.inf)
        # Points that coincide have no direction to part; rounding may even make the gap negative.
        yield first, gaps.clamp_(min=1e-300)


def extreme_cosines(unit: Tensor) -> tuple[float, float, tuple[int, int]]:
    """Lowest and highest cosine of two different unit vectors (K, d), and the closest pair."""
    lowest, highest, closest = math.inf, -math.inf, (0, 0)
    rows = max(_CHUNK_NUMBERS // len(unit), 1)
    for first in range(0, len(unit), rows):
        cosines = unit[first : first + rows] @ unit.T
        cosines.diagonal(first).fill_(-math.inf)
        if cosines.max() > highest:
            highest = cosines.max().item()
            row, column = divmod(int(cosines.argmax()), len(unit))
            closest = first + row, column
        cosines.diagonal(first).fill_(math.inf)
        lowest = min(lowest, cosines.min().item())
    return lowest, highest, closest
