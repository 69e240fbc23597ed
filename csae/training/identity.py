"""What a model and a loss are made of, so that a run is not resumed with others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

_PLAIN = (bool, int, float, str, type(None))
_EVERY_MODULE = frozenset(
    vars(nn.Module())
)  # what PyTorch keeps in each, whether it trains among it


def content_of(part: Callable[..., Any]) -> dict[str, Any]:
    """Say what a module or function is: classes and plain settings of all its parts.

    Of a loss, what it holds counts as well: its centroids, for example. A model's weights do not,
    because they change, and a state holds them.

    Returns:
        Plain values, by the name of the part.
    """
    if not isinstance(part, nn.Module):
        return {"function": getattr(part, "__qualname__", type(part).__qualname__)}
    described: dict[str, Any] = {}
    for name, inner in part.named_modules():
        settings = {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in vars(inner).items()
            if key not in _EVERY_MODULE and _is_plain(value)
        }
        described[name or "itself"] = {"class": type(inner).__qualname__} | settings
    if not any(True for _ in part.parameters()):
        digest = hashlib.sha256()
        for name, buffer in part.named_buffers():
            content = buffer.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            digest.update(name.encode() + content.numpy().tobytes())
        described["tensors"] = digest.hexdigest()
    return described


def _is_plain(value: object) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(part) for key, part in value.items())
    return type(value) in _PLAIN
