"""Time `csae.train` beside an ordinary PyTorch loop, pythae and the published settings.

    python -m benchmarks.training                     about eight minutes on two cores
    python -m benchmarks.training --time-to-accuracy  whole runs of the quick recipe instead

`make bench` installs pythae. Full data sets come from --root or CSAE_DATA; where Fashion-MNIST is
not there, the sample inside the package takes its place, and the record says so. Prints tables and
writes them, with all single times, versions and hardware, to results/benchmarks/training.json, or
results/benchmarks/time-to-accuracy.json.

All train the published network of 282,185 parameters on a CPU, each in a process of its own, in
turns over several rounds. Every loop is given the same images, the same loss and the same batches;
pythae has no labels and minimises the squared error alone. The times of `csae.train` contain its
setting up, those of the others do not.
"""

import argparse
import importlib.util
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import torch

import csae
from benchmarks import contenders, costs, time_to_accuracy
from benchmarks.contenders import DATASET, Epoch, Task
from benchmarks.processes import Timed, in_turns, once
from csae.data import ImageDataset
from csae.records import write_json
from csae.runtime import environment, resolve_precision

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"
OURS = "csae"


def prepare_pythae(dataset: ImageDataset, task: Task) -> Epoch:
    """The trainer of pythae, see `benchmarks.pythae_trainer`."""
    from benchmarks.pythae_trainer import PythaeEpoch  # here, since it takes seconds to import

    return PythaeEpoch(dataset, task)


# For each batch size: the recipe, and for each contender what it is, how it is prepared, and its
# arithmetic; "auto" is bf16 where the processor has it.
GROUPS = {
    256: (
        "quick",
        {
            OURS: ("csae.train", contenders.prepare_csae, "auto"),
            "csae_fp32": ("csae.train", contenders.prepare_csae, "fp32"),
            "in_memory": ("loop, images in memory", contenders.prepare_in_memory, "fp32"),
            "loader": ("loop, torchvision and loader", contenders.prepare_loader, "fp32"),
            "pythae": ("pythae's trainer, no labels", prepare_pythae, "fp32"),
        },
    ),
    4096: (
        "published-code",
        {
            OURS: ("csae.train", contenders.prepare_csae, "auto"),
            "in_memory": ("loop, images in memory, two SGDs", contenders.prepare_in_memory, "fp32"),
        },
    ),
}
# The phases of a step are looked at when the first steps are over.
LEAST_IMAGES = 256 * (contenders.WARM_UP_STEPS + 2)


def tasks(options: argparse.Namespace, sample: bool) -> dict[int, Task]:
    """Return what to train for each batch size: as many images as asked for, in whole batches."""
    found = {}
    for batch_size, (recipe, _) in GROUPS.items():
        task = Task(recipe, batch_size, None, options.root, sample)
        batches = min(options.images, len(task.dataset())) // batch_size
        found[batch_size] = replace(task, images=max(batches, 1) * batch_size)
    return found


def machine(rounds: int) -> dict[str, Any]:
    """Measure, print and return how fast the machine multiplies matrices and copies memory."""
    builds = {precision: (costs.matrix_product, precision) for precision in costs.DTYPES}
    found = in_turns({**builds, "copy": (costs.copying,)}, rounds)
    flops, moved = 2 * costs.MATRIX**3, 2 * 4 * costs.COPIED_NUMBERS
    result: dict[str, Any] = {"matrix": costs.MATRIX, "matmul": {}}
    for precision in costs.DTYPES:
        seconds = median_seconds(found[precision])
        result["matmul"][precision] = {
            "flops_per_second": flops / seconds,
            "seconds": [timed.seconds for timed in found[precision]],
        }
        print(f"matrix product, {precision}: {flops / seconds / 1e9:,.0f} GFLOP/s", flush=True)
    result["copy"] = {
        "bytes_per_second": moved / median_seconds(found["copy"]),
        "seconds": [timed.seconds for timed in found["copy"]],
    }
    print(f"copying: {result['copy']['bytes_per_second'] / 1e9:.1f} GB/s, read and written")
    return result


def median_seconds(times: list[Timed]) -> float:
    """Return the median of some times."""
    return median(timed.seconds for timed in times)


def compare(task: Task, rounds: int, peak: dict[str, Any]) -> list[dict[str, Any]]:
    """Time all contenders at one batch size; print and return a row for each."""
    group = GROUPS[task.batch_size][1]
    builds = {}
    for name, (_, prepare, precision) in group.items():
        arguments = (precision,) if prepare is contenders.prepare_csae else ()
        builds[name] = (contenders.warmed_up, prepare, task, *arguments)
    found = in_turns(builds, rounds)
    flops = costs.flops_per_image(task)
    ours = median_seconds(found[OURS])
    print(f"\nbatches of {task.batch_size}, {task.images:,} images, recipe {task.recipe}")
    print(f"{'':38s}images/s   ms/step  to ours  GFLOP/s  of matmul")
    rows = []
    for name, (what, _, asked) in group.items():
        precision = resolve_precision(asked, torch.device("cpu"))
        seconds = median_seconds(found[name])
        rate = task.images * flops / seconds
        row = {
            "name": name,
            "what": what,
            "precision": precision,
            "batch_size": task.batch_size,
            "images": task.images,
            "seconds": seconds,
            "all_seconds": [timed.seconds for timed in found[name]],
            "images_per_second": task.images / seconds,
            "ratio": seconds / ours,
            "flops_per_second": rate,
            "share_of_matmul": rate / peak[precision]["flops_per_second"],
        }
        rows.append(row)
        print(
            f"{what + ', ' + precision:38s}{row['images_per_second']:8,.0f} "
            f"{1000 * seconds * task.batch_size / task.images:9.1f} {row['ratio']:8.2f} "
            f"{rate / 1e9:8.0f} {row['share_of_matmul']:9.0%} of {precision}",
            flush=True,
        )
    return rows


def whole_epochs(task: Task) -> dict[str, Any]:
    """Time a whole epoch with all that belongs to it, once each: ours and the ordinary loop."""
    seconds = {
        OURS: once(contenders.whole_run, contenders.prepare_csae, task, "auto").seconds,
        "loader": once(contenders.whole_run, contenders.prepare_loader, task).seconds,
    }
    images = len(task.dataset())
    ratio = seconds["loader"] / seconds[OURS]
    print(
        f"\none epoch of {images:,} images from the files on: csae {seconds[OURS]:.1f} s, "
        f"loop with loader {seconds['loader']:.1f} s, {ratio:.2f} times as long",
        flush=True,
    )
    return {
        "images": images,
        "batch_size": task.batch_size,
        "seconds": seconds,
        "ratio": ratio,
        "includes": "reading and checking the files, building network and optimiser, one epoch; "
        "not Python's start and imports",
    }


def anatomy(task: Task) -> dict[str, Any]:
    """Take a step of `csae.train` apart: print and return its phases."""
    laps = once(costs.phases, task, "auto").result
    seconds = {phase: median(times) for phase, times in laps.items()}
    step = sum(seconds.values())
    print(f"\na step of csae.train, batch {task.batch_size}: {1000 * step:.1f} ms")
    for phase, time in seconds.items():
        print(f"  {phase:10s} {1000 * time:8.2f} ms {time / step:7.1%}")
    return {
        "batch_size": task.batch_size,
        "precision": resolve_precision("auto", torch.device("cpu")),
        "step_seconds": step,
        "phases": {"seconds": seconds, "all_seconds": laps},
    }


def compare_all(options: argparse.Namespace) -> dict[str, Any]:
    """Run the benchmark; return its record."""
    if importlib.util.find_spec("pythae") is None:
        raise SystemExit("pythae is missing: pip install --editable '.[bench]', as make bench does")
    here = environment(torch.device("cpu"))  # now: the source may change while this runs
    here["packages"] |= {name: version(name) for name in ("lightning-fabric", "pythae")}
    sample = options.sample or not has_files(options.root)
    todo = tasks(options, sample)
    small = todo[256]
    everything = replace(small, images=None)
    data = everything.dataset()
    print(f"{data}, {here['device_name']}, {here['threads']} threads", flush=True)
    difference = contenders.check_networks(small)
    peak = machine(options.rounds)
    return {
        "timings": [
            row for task in todo.values() for row in compare(task, options.rounds, peak["matmul"])
        ],
        "whole_epoch": whole_epochs(everything),
        "step": anatomy(small),
        "machine": peak,
        "flops_per_image": costs.flops_per_image(small),
        "parameters": sum(p.numel() for p in small.build()[0].parameters()),
        "largest_difference_of_networks": difference,
        "rounds": options.rounds,
        "data": {"name": data.name, "images": len(data), "sha256": data.fingerprint},
        "environment": here,
    }


def whole_runs(options: argparse.Namespace) -> dict[str, Any]:
    """Time whole runs of the command line; return the record."""
    here = environment(torch.device("cpu"))
    where = ["--sample"] if options.sample else ["--no-download"]
    if options.root is not None:
        where += ["--root", str(options.root.absolute())]
    return {"runs": time_to_accuracy.measure(where), "environment": here}


def has_files(root: Path | None) -> bool:
    """Whether the complete data set is there."""
    try:
        csae.load_dataset(DATASET, "train", root, download=False)
    except csae.data.DataUnavailableError:
        return False
    return True


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, help="folder of the full data sets")
    parser.add_argument("--sample", action="store_true", help="take the sample, for a quick try")
    parser.add_argument("--images", type=int, default=8192, help="images an epoch")
    parser.add_argument("--rounds", type=int, default=5, help="epochs of each contender")
    parser.add_argument("--time-to-accuracy", action="store_true", help="time whole runs instead")
    parser.add_argument("--out", type=Path, help="file to write")
    options = parser.parse_args()
    if options.images < LEAST_IMAGES or options.rounds < 1:
        parser.error(f"--images must be at least {LEAST_IMAGES:,}, --rounds at least 1")
    name, run = "training.json", compare_all
    if options.time_to_accuracy:
        name, run = "time-to-accuracy.json", whole_runs
    out = options.out or RESULTS / name
    record = run(options)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(out, record)
    print(f"wrote {out}")


if __name__ == "__main__":
    main()
