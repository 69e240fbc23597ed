"""Processes of their own for things to be timed side by side.

Whoever trains may change its process: how freed memory is kept, which kernels are compiled, where
the random numbers stand. In one process the others would gain or lose by it.
"""

import multiprocessing
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, NamedTuple

Call = Callable[[], Any]


class Timed(NamedTuple):
    """What one call took, and what it returned."""

    seconds: float
    result: Any


class Process:
    """A process that builds a call and runs it on demand; between the runs it sleeps.

    Args:
        build: Makes the call, in the new process; a function of a module.
        arguments: What it is given.
    """

    def __init__(self, build: Callable[..., Call], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would inherit the parent's state
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, build, arguments))
        self._process.start()
        theirs.close()  # so that this process notices when the other one dies

    def __enter__(self) -> "Process":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pipe.close()  # ends the loop in `_serve`
        if kind is not None:
            self._process.terminate()
        self._process.join()

    def wait(self) -> None:
        """Wait until the call is built."""
        self._receive()

    def run(self) -> Timed:
        """Run the call once."""
        self._pipe.send("run")
        return self._receive()

    def _receive(self) -> Timed:
        try:
            answer = self._pipe.recv()
        except EOFError:
            raise RuntimeError(
                "a process of the benchmark died; was there enough memory?"
            ) from None
        if isinstance(answer, BaseException):
            raise answer
        return answer


def _serve(pipe: Connection, build: Callable[..., Call], arguments: tuple[Any, ...]) -> None:
    try:
        call = build(*arguments)
        pipe.send(Timed(0.0, None))
        while True:
            pipe.recv()
            start = time.perf_counter()
            result = call()
            pipe.send(Timed(time.perf_counter() - start, result))
    except EOFError:  # the parent needs no more
        return
    except Exception as error:
        pipe.send(error)


def once(build: Callable[..., Call], *arguments: Any) -> Timed:
    """Run a call once, in a fresh process; building it is not timed."""
    with Process(build, *arguments) as process:
        process.wait()
        return process.run()


def in_turns(builds: Mapping[str, tuple[Any, ...]], rounds: int) -> dict[str, list[Timed]]:
    """Run each call once in each round, in processes that live through all rounds.

    Args:
        builds: For each name the function that makes the call, followed by its arguments.
        rounds: Number of rounds.
    """
    found: dict[str, list[Timed]] = {name: [] for name in builds}
    with ExitStack() as stack:
        processes = {name: stack.enter_context(Process(*build)) for name, build in builds.items()}
        for process in processes.values():  # all are built before anything is timed
            process.wait()
        for _ in range(rounds):
            for name, process in processes.items():
                found[name].append(process.run())
    return found
