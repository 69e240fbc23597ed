"""Entry point of ``csae`` and of ``python -m csae``.

It imports nothing large, so that it can answer Ctrl-C while PyTorch is being loaded: `import csae`
loads its modules when their names are first used.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import NoReturn

_PATIENCE = 2.0  # seconds in which a command should have ended that was interrupted


def main() -> int:
    """Run the command line with the arguments of this process.

    Returns:
        The exit status.
    """
    # A program begun in the background by a script may be deaf to Ctrl-C, and stays so.
    guarded = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if guarded:
        signal.signal(signal.SIGINT, _leave)
    from csae import cli  # seconds, on a machine that has not read it yet

    if guarded:
        signal.signal(signal.SIGINT, _interrupt)
    try:
        return cli.main()
    except KeyboardInterrupt:  # between the guard and the command line's own
        _leave()
    finally:
        if guarded:  # all is done: Python's own clearing up is not worth a word
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            _come_again(0)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """Raise a KeyboardInterrupt, and come again if a library that is loaded late swallows it."""
    _come_again(_PATIENCE)
    raise KeyboardInterrupt


def _come_again(seconds: float) -> None:
    """Let the interrupt come again after some seconds; 0 for never. Windows has no such clock."""
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _leave(number: int = signal.SIGINT, frame: FrameType | None = None) -> NoReturn:
    """End at once; nothing has begun that could be left half done.

    An exception would have to pass through the libraries being imported, and some swallow it.
    """
    if os.environ.get("LOCAL_RANK", "0") == "0":  # the first of several processes speaks for all
        with suppress(OSError):  # there may be no standard error
            os.write(2, b"csae: interrupted\n")
    os._exit(130)


if __name__ == "__main__":
    sys.exit(main())
