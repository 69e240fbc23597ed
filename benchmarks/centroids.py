"""Time the constructions of class centroids side by side, in one run.

    python -m benchmarks.centroids            about a minute and a half on two cores
    python -m benchmarks.centroids --large    also 10,000 centroids in 128 dimensions, minutes more

Prints a table and writes it, with versions and hardware, to results/benchmarks/centroids.json.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.timing import seconds
from csae.centroids import charge_model, random_directions, separation, simplex, spherical_code
from csae.records import write_json
from csae.runtime import environment

ROOT = Path(__file__).parents[1]


def charge_model_by_loops(
    num_classes: int, latent_dim: int, *, seed: int = 0, step: float = 0.01, steps: int = 200
) -> np.ndarray:
    """Compute what `csae.centroids.charge_model` computes, one pair of charges at a time."""
    charges = random_directions(num_classes, latent_dim, seed=seed).numpy()
    velocities = np.zeros_like(charges)
    for _ in range(steps):
        moved, faster = np.empty_like(charges), np.empty_like(charges)
        for i in range(num_classes):
            force = np.zeros(latent_dim)
            for j in range(num_classes):
                if j != i:
                    away = charges[i] - charges[j]
                    force += away / np.linalg.norm(away) ** 3
            tangential = force - force.dot(charges[i]) * charges[i]
            moved[i] = charges[i] + velocities[i]
            moved[i] /= np.linalg.norm(moved[i])
            faster[i] = velocities[i] + step * tangential
        charges, velocities = moved, faster
    return charges


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--large", action="store_true", help="add (10,000, 128)")
    parser.add_argument("--out", type=Path, default=ROOT / "results/benchmarks/centroids.json")
    options = parser.parse_args()

    here = environment(torch.device("cpu"))  # now: the source may change while this runs
    rows = []

    def add(name: str, call: Callable[[], object], runs: int) -> float:
        rows.append({"what": name, "seconds": seconds(call, runs), "runs": runs})
        print(f"{name:58s} {rows[-1]['seconds']:10.4f} s  (median of {runs})", flush=True)
        return rows[-1]["seconds"]

    exact = add("simplex(100, 512)", lambda: simplex(100, 512), 21)
    fast = add("charge_model(100, 512), 200 steps", lambda: charge_model(100, 512), 7)
    loops = add("the same, one pair at a time", lambda: charge_model_by_loops(100, 512), 1)
    ratios = {"loops / simplex": loops / exact, "loops / charge_model": loops / fast}
    for name, ratio in ratios.items():
        print(f"  {name}: {ratio:,.0f} times")
    add("simplex(1000, 1024)", lambda: simplex(1000, 1024), 21)

    codes = [(24, 3), (24, 4), (240, 8), (1000, 128)] + [(10_000, 128)] * options.large
    found = []
    for num_classes, dim in codes:
        result: list[torch.Tensor] = []
        name = f"spherical_code({num_classes}, {dim})"
        add(name, lambda n=num_classes, d=dim, r=result: r.append(spherical_code(n, d)), 1)
        apart = separation(result[0])
        found.append({"what": name} | apart._asdict() | {"bound": apart.bound._asdict()})
        print(
            f"  smallest angle {apart.smallest_angle:.4f} degrees, "
            f"{apart.gap:.4f} below the bound of {apart.bound.name}"
        )
    record = {
        "timings": rows,
        "ratios": ratios,
        "codes": found,
        "environment": here,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(options.out, record)
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
