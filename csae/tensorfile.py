"""Files of tensors with a json header and a hash of both: safetensors, written whole.

Nothing is unpickled. A file that is damaged, or was changed by another program, is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from csae import checks, schema

_ENTRY = "csae"  # one only: safetensors does not keep the order of several, and hashes must repeat


def pack(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> bytes:
    """Return the content of a file of tensors and a header.

    Tensors that share their memory, as tied weights do, are stored once.

    Args:
        header: Plain values, with a ``format`` that names what the file is.
        tensors: On any device.

    Raises:
        ValueError: The header holds a number that is infinite or NaN.
    """
    stored, shared = _stored_once(tensors)
    complete = {**header, "shared": shared}
    complete["sha256"] = _content_hash(complete, stored)
    text = schema.to_json(complete, indent=None).decode()
    return safetensors.torch.save(stored, {_ENTRY: text})


def read(path: Path, form: str, what: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a file of what `pack` returned.

    Args:
        path: The file.
        form: The ``format`` that its header must name.
        what: What such a file is called, for errors: "a checkpoint".

    Returns:
        The header without ``shared`` and ``sha256``, not yet checked further, and the tensors on
        the CPU.

    Raises:
        ValueError: It is another file or a damaged one.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            entries = file.metadata() or {}
            # Copied: they lie in the file itself, and would change with it.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not a safetensors file ({error})") from error
    if _ENTRY not in entries:
        raise ValueError(f"{path} is a safetensors file of something else: it has no csae header")
    header = schema.from_json(entries[_ENTRY], str(path))
    found = header.get("format") if isinstance(header, dict) else None
    if found != form:
        raise ValueError(
            f"{path} is not {what} of this version of csae: its format is {checks.show(found)}, "
            f"not {form!r}"
        )
    # Its very letters, too: json can spell one number in several ways.
    spelled = json.dumps(header) == entries[_ENTRY]
    said = header.pop("sha256", None)
    if not spelled or said != _content_hash(header, tensors):
        raise ValueError(
            f"{path} is damaged: its content is not what was written. Take another copy of it"
        )
    shared = header.pop("shared", None)
    if not isinstance(shared, dict) or not all(
        isinstance(other, str) and other in tensors for other in shared.values()
    ):
        raise ValueError(f"{path} is damaged: its shared tensors are missing")
    for name in (*tensors, *shared):
        if not name.isprintable():  # errors name them, and must not steer a terminal
            raise ValueError(f"{path} is damaged: a tensor is named {checks.show(name)}")
    return header, tensors | {name: tensors[other] for name, other in shared.items()}


def check_tensors(path: Path, tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Compare names, shapes and types of tensors that were read with those of a model.

    Raises:
        ValueError: They differ; the error names the file and the first that does.
    """
    for name in {**wanted, **tensors}:
        own, read = wanted.get(name), tensors.get(name)
        if own is None or read is None:
            which = "is missing" if read is None else "belongs to another network"
            raise ValueError(f"{path} does not hold this model's weights: {name} {which}")
        if own.shape != read.shape or own.dtype != read.dtype:
            raise ValueError(
                f"{path} does not hold this model's weights: {name} is {checks.show(read)}, not "
                f"{checks.show(own)}"
            )


def _stored_once(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors to store, on the CPU, and for each that is the same as one, which."""
    seen: dict[tuple[Any, ...], str] = {}
    stored: dict[str, Tensor] = {}
    shared: dict[str, str] = {}
    for name, tensor in tensors.items():
        tensor = tensor.detach()
        place = (tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        if tensor.numel() and place in seen:
            shared[name] = seen[place]
            continue
        seen[place] = name
        # Copied: parts of one tensor lie in the same memory, which safetensors refuses.
        stored[name] = tensor.cpu().contiguous().clone(memory_format=torch.contiguous_format)
    return stored, shared


def _content_hash(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
