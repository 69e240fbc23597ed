"""Time `csae.train` on a CUDA GPU, batch by batch, with and without recorded kernels.

    python -m benchmarks.gpu          about a minute on an H100

Prints tables and writes them, with all single times, versions and hardware, to
results/benchmarks/gpu.json. Everything runs in one process, on Fashion-MNIST, from --root or
CSAE_DATA. Beside `csae.train` stand two ordinary loops, as in `benchmarks.training`. The times of
`csae.train` contain its setting up and the recording of kernels, once for all training images;
where nothing is recorded, a hundred steps are timed.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks import contenders, costs
from benchmarks.contenders import Epoch, Task
from csae.records import write_json
from csae.runtime import environment

OUT = Path(__file__).parents[1] / "results" / "benchmarks" / "gpu.json"
BATCHES = (64, 256, 1024, 4096)
COMPARED = 256  # the batch at which the other loops run and a step is taken apart
ROUNDS = 3
STEPS = 100  # of the loops that start each kernel from Python: they take the same time throughout


def timings(task: Task) -> Iterator[dict[str, Any]]:
    """Time all loops at all batch sizes; print and yield a row for each."""
    for batch_size in BATCHES:
        for precision in ("fp32", "bf16"):
            for graphs in (True, False):
                what = "csae.train" if graphs else "csae.train, nothing recorded"
                here = shortened(task, batch_size, None if graphs else STEPS)
                epoch = contenders.warmed_up(contenders.prepare_csae, here, precision, graphs)
                yield row(what, here, precision, graphs, epoch)
    here = shortened(task, COMPARED, STEPS)
    for what, prepare in (
        ("loop, images in memory", contenders.prepare_in_memory),
        ("loop, torchvision and loader", contenders.prepare_loader),
    ):
        yield row(what, here, "fp32", False, contenders.warmed_up(prepare, here))


def shortened(task: Task, batch_size: int, steps: int | None) -> Task:
    """Return a task of whole batches: so many, or as many as there are."""
    there = len(task.dataset()) // batch_size
    images = batch_size * min(there, steps or there)
    return replace(task, batch_size=batch_size, images=images)


def row(what: str, task: Task, precision: str, graphs: bool, epoch: Epoch) -> dict[str, Any]:
    """Time some epochs; print and return what they took."""
    seconds = [timed(epoch) for _ in range(ROUNDS)]
    speed = task.images / median(seconds)
    print(f"{what:30s} {precision} {task.batch_size:5d} {speed:10,.0f} images/s", flush=True)
    return {
        "what": what,
        "batch_size": task.batch_size,
        "precision": precision,
        "cuda_graphs": graphs,
        "images": task.images,
        "all_seconds": seconds,
        "images_per_second": speed,
    }


def timed(work: Epoch) -> float:
    """Return the seconds a call takes; each ends by reading a result, so the device is through."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(root: Path | None, out: Path) -> None:
    """Run the benchmark; write its record, and write it anew with each row."""
    here = environment(torch.device("cuda"))  # now: the source may change while this runs
    task = Task("quick", COMPARED, root=root, accelerator="cuda")
    data = task.dataset()
    print(f"{data}, {here['device_name']}", flush=True)
    rates = {}
    for precision in costs.DTYPES:
        multiply = costs.matrix_product(precision, "cuda")
        rates[precision] = 2 * costs.MATRIX**3 / median(timed(multiply) for _ in range(20))
        print(f"matrix product, {precision}: {rates[precision] / 1e12:.0f} TFLOP/s")
    few = replace(task, images=40 * COMPARED)
    phases = {p: {k: median(v) for k, v in costs.phases(few, p)().items()} for p in costs.DTYPES}
    for precision, laps in phases.items():
        print(precision, ", ".join(f"{k} {1000 * v:.2f} ms" for k, v in laps.items()))
    record: dict[str, Any] = {
        "timings": [],
        "phases": phases,
        "matmul_flops_per_second": rates,
        "flops_per_image": costs.flops_per_image(few),
        "compared_batch": COMPARED,
        "data": {"name": data.name, "images": len(data), "sha256": data.fingerprint},
        "environment": here,
    }
    for found in timings(task):
        record["timings"].append(found)
        write_json(out, record)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, help="folder of the full data sets")
    parser.add_argument("--out", type=Path, default=OUT, help="file to write")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("there is no CUDA device here; benchmarks.training times a CPU")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    measure(options.root, options.out)
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
