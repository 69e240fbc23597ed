"""Progress bars, and output streams that may be missing, closed or full."""

from __future__ import annotations

import os
import sys
from typing import Any

from tqdm import tqdm


class LastingStream:
    """A text stream that goes on when nobody can read it any more: what it is given is lost.

    Attributes:
        error: Why it was lost, or None.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.error: Exception | None = None

    def write(self, text: str) -> int:
        """Write a text, if that is possible."""
        self._attempt("write", text)
        return len(text)

    def flush(self) -> None:
        """Write what waits, if that is possible."""
        self._attempt("flush")

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self.error is None and self._stream is not None and bool(self._stream.isatty())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _attempt(self, method: str, *arguments: str) -> None:
        if self._stream is None or self.error is not None:
            return
        try:
            getattr(self._stream, method)(*arguments)
        except (OSError, ValueError) as error:  # ValueError: somebody has closed it
            self.error = error
            self._divert()

    def _divert(self) -> None:
        """Let what waits in the stream's memory go nowhere, or Python complains as it ends."""
        try:
            descriptor = self._stream.fileno()
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)
        except (OSError, ValueError):  # no file lies under it
            pass


def may_show() -> bool:
    """Whether there is a standard error to show a bar on: pythonw and ``2>&-`` have none."""
    return sys.stderr is not None and not getattr(sys.stderr, "closed", False)


def bar(*, shown: bool = True, **settings: Any) -> tqdm:
    """Return a progress bar on standard error, which shows nothing where there is none.

    Args:
        shown: Whether to show it at all.
        **settings: As `tqdm` takes them.
    """
    if not (shown and may_show()):
        return tqdm(disable=True, **settings)
    stream = sys.stderr if isinstance(sys.stderr, LastingStream) else LastingStream(sys.stderr)
    return tqdm(file=stream, **settings)
