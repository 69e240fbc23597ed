"""How the benchmarks measure time."""

import statistics
import time
from collections.abc import Callable, Mapping


def side_by_side(calls: Mapping[str, Callable[[], object]], runs: int) -> dict[str, float]:
    """Median wall times of some calls in seconds, taken in turns: all meet the same disturbances.

    Each is called once before, to warm up, if there are several runs.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for run in range(-(runs > 1), runs):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if run >= 0:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(measured) for name, measured in times.items()}


def seconds(call: Callable[[], object], runs: int) -> float:
    """Median wall time of a call over some runs, after one run to warm up if there are several."""
    return side_by_side({"call": call}, runs)["call"]
