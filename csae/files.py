"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

# What a file system answers that has no such operation; the other errors mean a loss.
_REFUSALS = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


def write_whole(path: Path, content: bytes) -> None:
    """Write a file beside its destination first, then move it there in one step.

    Whatever happens in between, power cut included, ``path`` holds the old content or the new one.
    Who may read it follows the umask.

    Raises:
        OSError: It cannot be written, on a full disk for example; the error names ``path``, which
            is as it was.
    """
    temporary = path.parent / f".{path.name}-{secrets.token_hex(4)}"
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            _flush(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.errno is not None:
            # Not the temporary file, of which nobody knows.
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    _flush_folder(path.parent)


def write_all(contents: dict[Path, bytes]) -> None:
    """Write several new files, in this order, and the folders they lie in: all of them or none.

    Raises:
        OSError: One of them cannot be written; nothing is left of the others, nor of new folders.
    """
    made: list[Path] = []
    written: list[Path] = []
    try:
        for path, content in contents.items():
            missing = [folder for folder in path.parents if not folder.exists()]
            path.parent.mkdir(parents=True, exist_ok=True)
            made += reversed(missing)
            written.append(path)
            write_whole(path, content)
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        for folder in reversed(made):
            with suppress(OSError):  # somebody else has put something there
                folder.rmdir()
        raise


def check_new_folder(argument: str, folder: Path) -> None:
    """Refuse a folder that holds something.

    Raises:
        ValueError: It does; the error calls it by the name of the argument.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(
            f"{argument} must be a new or empty folder, got {folder}, which holds something"
        )


def check_can_write(argument: str, folder: Path) -> None:
    """Refuse a folder that cannot be made or written into, without making it.

    Raises:
        ValueError: It is such a folder; the error calls it by the name of the argument.
    """
    nearest = folder
    while not os.path.lexists(nearest):
        nearest = nearest.parent
    if not nearest.is_dir():
        raise ValueError(
            f"{argument} must lie in a folder, got {folder}, but {nearest} is no folder"
        )
    try:
        with tempfile.TemporaryFile(dir=nearest):  # who may write is not known otherwise
            pass
    except OSError as error:
        raise ValueError(
            f"{argument} must lie where files can be written, got {folder}, but {nearest} takes "
            f"none ({error.strerror}): name another place, or make room or change who may write"
        ) from None


def remove_leftovers(path: Path) -> None:
    """Remove what `write_whole` left beside ``path`` when its process was killed."""
    for leftover in path.parent.glob(f".{path.name}-*"):
        leftover.unlink(missing_ok=True)  # several processes may resume at once


def _flush(handle: int) -> None:
    """Make the system write a file down, if its file system can be asked to."""
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise


def _flush_folder(folder: Path) -> None:
    """Make the system write down that a file has been renamed, where it can be asked to.

    Windows and some network file systems cannot; the file is in its place all the same.
    """
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
