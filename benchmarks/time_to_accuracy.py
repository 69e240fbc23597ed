"""Time whole runs of ``csae train --recipe quick``, from the start of the process to its end.

Part of `benchmarks.training`, which says how to run it.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[1]
DATASETS = ("mnist", "fashion-mnist")
SEEDS = (0, 1, 2)
RECIPE = "quick"


def measure(where: list[str]) -> list[dict[str, Any]]:
    """Train on each data set with each seed; print and return a row for each data set.

    Args:
        where: Options of ``csae train`` that say where the images are.
    """
    rows = []
    for dataset in DATASETS:
        runs = [one_run(dataset, seed, where) for seed in SEEDS]
        data = runs[0]["data"]
        if any(run.pop("data") != data for run in runs):
            raise RuntimeError(f"the images of {dataset} changed between two runs")
        row = {"dataset": dataset, "recipe": RECIPE, "data": data, "runs": runs}
        for name in ("seconds", "accuracy", "psnr"):
            row[name] = median(run[name] for run in runs)
        rows.append(row)
        print(
            f"{dataset}: {row['accuracy']:.2%} on the test images in {row['seconds']:.1f} s "
            f"(medians of {len(runs)} seeds)",
            flush=True,
        )
    return rows


def one_run(dataset: str, seed: int, where: list[str]) -> dict[str, Any]:
    """Train once; print and return what it took and reached, and what it ran with."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [sys.executable, "-m", "csae", "train", "--recipe", RECIPE, "--dataset", dataset]
        command += ["--seed", str(seed), "--out", str(out), "--quiet", "--json", *where]
        start = time.perf_counter()
        finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        seconds = time.perf_counter() - start
        if finished.returncode != 0:
            raise RuntimeError(f"csae train failed on {dataset}:\n{finished.stderr}")
        record = json.loads((out / "record.json").read_text())
    epochs = record["timing"]["epochs"]
    run = {
        "seed": seed,
        "seconds": seconds,
        "accuracy": record["test"]["accuracy"],
        "psnr": record["test"]["psnr"],
        "epochs": record["recipe"]["training"]["epochs"],
        "precision": record["machine"]["precision"],
        "images": round(sum(e["seconds"] * e["images_per_second"] for e in epochs)),
        "training_seconds": sum(epoch["seconds"] for epoch in epochs),
        "data": record["data"],
    }
    print(f"  {dataset}, seed {seed}: {run['accuracy']:.2%} in {seconds:.1f} s", flush=True)
    return run
