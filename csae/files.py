"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file beside its destination first, then move it there in one step.

    Whatever happens in between, power cut included, ``path`` holds the old content or the new one.

    Raises:
        OSError: It cannot be written, on a full disk for example. ``path`` is as it was.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp lets only the owner read
        os.replace(temporary, path)
        _flush_folder(path.parent)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def remove_leftovers(path: Path) -> None:
    """Remove what `write_whole` left beside ``path`` when its process was killed."""
    for leftover in path.parent.glob(f".{path.name}-*"):
        leftover.unlink(missing_ok=True)  # several processes may resume at once


def _flush_folder(folder: Path) -> None:
    """Make the system write down that a file has been renamed; Windows cannot be asked to."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
