"""What the code runs on: device, precision, versions, and how much of the book to compute."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import csae
from csae import checks

ACCELERATORS = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "fp32", "bf16")
TIERS = ("quick", "full")
_PACKAGES = ("torchvision", "numpy", "safetensors")
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
_PROBE_SECONDS = 0.15  # long enough for a busy machine's scheduler to show itself

_untouched = torch.get_num_threads()  # what PyTorch, or the program that imports us, began with
_settled: int | None = None  # what `settle_threads` chose for this process


class MissingExtraError(ImportError):
    """Packages of an optional extra are not installed."""


def tier() -> str:
    """Return how much a chapter computes: ``"quick"`` or ``"full"``.

    Quick uses the shipped sample and takes minutes on a laptop; full uses the complete data sets.
    The environment variable ``CSAE_TIER`` decides; without it, full where CUDA is present.

    Raises:
        ValueError: ``CSAE_TIER`` is set to something else.
    """
    chosen = os.environ.get("CSAE_TIER") or ("full" if torch.cuda.is_available() else "quick")
    if chosen not in TIERS:
        raise ValueError(f"CSAE_TIER must be one of {TIERS}, got {chosen!r}")
    return chosen


def describe() -> str:
    """Return a few lines that say which versions run, where, and in which tier."""
    device = resolve_device("auto")
    here = environment(device)
    threads = counted(here["threads"], "thread")
    versions = ", ".join(f"{name} {version}" for name, version in here["packages"].items())
    return (
        f"csae {here['csae']}, Python {here['python']}\n{versions}\n"
        f"device: {here['device']} ({here['device_name']}, {threads}), "
        f"{resolve_precision('auto', device)}\ntier: {tier()}"
    )


def counted(count: int, what: str) -> str:
    """Say how many, as in "1 thread" and "2 threads"."""
    return f"{count} {what}" + "s" * (count != 1)


def resolve_device(accelerator: str) -> torch.device:
    """Return the device a name stands for; ``"auto"`` is CUDA, else MPS, else the CPU.

    Raises:
        ValueError: The accelerator is unknown or not present. Which of several GPUs is used is
            not said here, but by ``CUDA_VISIBLE_DEVICES``.
    """
    checks.choice("accelerator", accelerator, ACCELERATORS)
    present = {"cpu": True, "cuda": torch.cuda.is_available()}
    present["mps"] = torch.backends.mps.is_available()
    if accelerator == "auto":
        accelerator = next(name for name in ("cuda", "mps", "cpu") if present[name])
    if not present[accelerator]:
        here = ", ".join(name for name, is_present in present.items() if is_present)
        raise ValueError(f"accelerator must be one that is present ({here}), got {accelerator!r}")
    return torch.device(accelerator)


def resolve_precision(precision: str, device: torch.device) -> str:
    """Return ``"fp32"`` or ``"bf16"``; ``"auto"`` is bf16 where the device computes with it.

    Raises:
        ValueError: ``precision`` is unknown, or ``device`` is no device.
    """
    checks.choice("precision", precision, PRECISIONS)
    checks.instance("device", device, torch.device, "resolve_device returns one")
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device.type == "cpu" and hasattr(torch.cpu, "get_capabilities"):  # since PyTorch 2.11
        able = torch.cpu.get_capabilities()
        return "bf16" if able.get("avx512_bf16") or able.get("amx_bf16") else "fp32"
    return "fp32"


def threads_are_chosen() -> bool:
    """Whether somebody has said how many threads PyTorch uses, so that nobody else should.

    It is said by ``OMP_NUM_THREADS`` or ``MKL_NUM_THREADS`` in the environment, or by
    `torch.set_num_threads`.
    """
    if any(os.environ.get(name) for name in _THREAD_VARIABLES):
        return True
    cores = _available_cores()
    began_with_all = _untouched in (cores, max(1, cores // 2))  # two hardware threads may share one
    return not began_with_all or torch.get_num_threads() not in (_untouched, _settled)


def free_threads() -> int:
    """Measure how many threads are fastest on this machine as it is just now.

    The threads of an operation wait for each other at its end. Where another program holds a core,
    they all wait for the one whose turn has not come, so fewer threads do more. All of them are
    tried, then half as many, and so on as long as that is faster; each trial takes a fraction of a
    second. Nothing is changed, random numbers included.

    Returns:
        From 1 to what `torch.get_num_threads` says.
    """
    before = torch.get_num_threads()
    try:
        count, speed = before, _probe(before)
        while count > 1 and (half := _probe(count // 2)) > speed:
            count, speed = count // 2, half
    finally:
        torch.set_num_threads(before)
    return count


def settle_threads() -> int:
    """Let PyTorch use in this process as many threads as `free_threads` finds.

    Measured once a process, so that all that it computes has the same rounding. A number that
    somebody chose (see `threads_are_chosen`) is left alone.

    Returns:
        The number of threads from here on.
    """
    global _settled
    if _settled is None and not threads_are_chosen():
        _settled = free_threads()
        torch.set_num_threads(_settled)
    return torch.get_num_threads()


def threads_are_settled() -> bool:
    """Whether `settle_threads` has chosen the number of threads of this process."""
    return _settled is not None


def _available_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _probe(threads: int) -> float:
    """Return how often a second a convolution runs, forward and backward."""
    torch.set_num_threads(threads)
    images = torch.ones(64, 32, 16, 16, dtype=torch.float32, device="cpu")
    kernels = torch.ones(32, 32, 3, 3, dtype=torch.float32, device="cpu", requires_grad=True)

    def work() -> None:
        with torch.enable_grad():
            torch.nn.functional.conv2d(images, kernels, padding=1).sum().backward()  # type: ignore[no-untyped-call]

    work()
    start, rounds = time.perf_counter(), 0
    while time.perf_counter() - start < _PROBE_SECONDS:
        work()
        rounds += 1
    return rounds / (time.perf_counter() - start)


def keep_freed_memory() -> None:
    """Let this process keep freed memory for its next allocation (glibc only; else nothing).

    Every training step frees and allocates the same large buffers. By default glibc hands them back
    to the kernel in between, which then clears thousands of pages anew in each step.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # other C libraries have none
        trim_threshold, mmap_max = -1, -4  # as malloc.h names them
        libc.mallopt(mmap_max, 0)  # no buffer, however large, gets pages of its own
        libc.mallopt(trim_threshold, 2**31 - 1)


def attainable(intensity: float, *, peak: float, bandwidth: float) -> float:
    """Return the most operations a second that a computation can reach: the roofline.

    Either the arithmetic is the limit, or the memory that feeds it (Williams, Waterman and
    Patterson, 2009).

    Equations: roofline.

    Args:
        intensity: Operations for each byte that the computation moves from or to memory.
        peak: Operations a second of the processor.
        bandwidth: Bytes a second of its memory.

    Raises:
        ValueError: An argument is not a positive number.
    """
    intensity = checks.number("intensity", intensity, above=0)
    peak = checks.number("peak", peak, above=0, infinite=True)
    bandwidth = checks.number("bandwidth", bandwidth, above=0, infinite=True)
    return min(peak, bandwidth * intensity)


def finish() -> None:
    """Wait until the accelerator, where there is one, has done all it was asked to do."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    elif torch.backends.mps.is_available():
        torch.mps.synchronize()


def fastest(work: Callable[[], object], repeats: int = 3) -> float:
    """Return the seconds a piece of work takes: the fastest of several times, after one to warm up.

    Whatever else a machine does can only slow it down, so the fastest is the least disturbed.

    Raises:
        ValueError: ``work`` is no function, or ``repeats`` is below 1.
    """
    checks.function("work", work)
    repeats = checks.integer("repeats", repeats, 1)
    work()
    times = []
    for _ in range(repeats):
        finish()
        start = time.perf_counter()
        work()
        finish()
        times.append(time.perf_counter() - start)
    return min(times)


def require_extra(extra: str, *packages: str) -> None:
    """Make sure that the packages of an optional extra are installed.

    Raises:
        MissingExtraError: They are not; the error says how to install them.
    """
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"this needs {', '.join(missing)}, not installed: pip install 'csae[{extra}]'"
        )


def environment(device: torch.device) -> dict[str, Any]:
    """Describe what a run ran on: versions, device, threads, platform and commit."""
    checks.instance("device", device, torch.device, "resolve_device returns one")
    if device.type == "cuda":
        device_name = torch.cuda.get_device_name(device)
    else:
        device_name = platform.processor() or platform.machine()
        if hasattr(torch.cpu, "get_capabilities"):
            device_name = torch.cpu.get_capabilities().get("cpu_name", device_name)
    return {
        "python": platform.python_version(),
        "csae": csae.__version__,
        "packages": {"torch": str(torch.__version__)}
        | {name: metadata.version(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "device": device.type,
        "device_name": device_name,
        "threads": torch.get_num_threads(),
        "commit": _commit(),
    }


def _commit() -> str | None:
    """Commit of the source tree the package runs from; None when it was installed without one."""
    folder = Path(__file__).parent
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
        tracked = subprocess.run(
            ["git", "ls-files", "--error-unmatch", Path(__file__).name],
            cwd=folder,
            capture_output=True,
        )
    except (OSError, subprocess.CalledProcessError):  # no git, or no repository
        return None
    # A virtual environment inside somebody's repository is not our source tree.
    return found.stdout.strip() if tracked.returncode == 0 else None
