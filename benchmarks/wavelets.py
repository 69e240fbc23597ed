"""Time the wavelet transform beside ptwt and pytorch_wavelets, in one run.

    python -m benchmarks.wavelets             about a minute on two cores

`make bench` installs the two. All compute the same coefficients (the script checks it), three
levels deep, forward alone and forward with backward. Prints a table and writes it, with versions
and hardware, to results/benchmarks/wavelets.json.
"""

import argparse
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import ptwt
import torch
from torch import Tensor

from benchmarks.timing import side_by_side
from csae.records import write_json
from csae.runtime import environment
from csae.wavelets import wavedec2

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it imports pkg_resources, which setuptools warns of
    import pytorch_wavelets

ROOT = Path(__file__).parents[1]
LEVELS, MODE = 3, "symmetric"
# The last is no target: it shows where the matrices of csae lose to convolutions.
SHAPES = ((256, 1, 32, 32), (64, 3, 128, 128), (4, 3, 512, 512))
Transform = Callable[[Tensor], list[Tensor]]


def flat(coefficients: list) -> list[Tensor]:
    """Return [cA_n, (cH_n, cV_n, cD_n), ...] as one list of tensors."""
    return [coefficients[0], *(band for details in coefficients[1:] for band in details)]


def transforms(wavelet: str) -> dict[str, Transform]:
    """Return the transform of each library, coefficients as they come out of it."""
    module = pytorch_wavelets.DWTForward(J=LEVELS, wave=wavelet, mode=MODE)

    def by_module(x: Tensor) -> list[Tensor]:
        approximation, details = module(x)
        return [approximation, *reversed(details)]

    return {
        "csae": lambda x: flat(wavedec2(x, wavelet, MODE, LEVELS)),
        "ptwt": lambda x: flat(ptwt.wavedec2(x, wavelet, mode=MODE, level=LEVELS)),
        "pytorch_wavelets": by_module,
    }


def worst_difference(x: Tensor, wavelet: str) -> float:
    """Largest difference between any two libraries' coefficients of x."""
    results = [transform(x) for transform in transforms(wavelet).values()]
    for stacked in results:  # pytorch_wavelets keeps the three bands of a level in one tensor
        if len(stacked) == LEVELS + 1:
            stacked[1:] = [band for level in stacked[1:] for band in level.unbind(2)]
    ours = results[0]
    return max(
        (a - b).abs().max().item()
        for other in results[1:]
        for a, b in zip(ours, other, strict=True)
    )


def compare(shape: tuple[int, ...], wavelet: str, runs: int) -> list[dict]:
    """Time all libraries on images of one shape; print and return a row for each direction."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    difference = worst_difference(x, wavelet)
    if difference > 1e-4:
        raise RuntimeError(f"{wavelet} on {shape}: libraries differ by {difference:.1e}")
    x.requires_grad_()
    forward, both = {}, {}
    for name, transform in transforms(wavelet).items():
        ones = [torch.ones_like(band) for band in transform(x)]
        forward[name] = lambda t=transform: t(x)
        both[name] = lambda t=transform, g=ones: torch.autograd.grad(t(x), x, g)
    rows = []
    for what, calls in (("forward", forward), ("forward + backward", both)):
        seconds = side_by_side(calls, runs)
        ratios = {name: time / seconds["csae"] for name, time in seconds.items() if name != "csae"}
        rows.append(
            {
                "shape": shape,
                "wavelet": wavelet,
                "levels": LEVELS,
                "mode": MODE,
                "what": what,
                "runs": runs,
                "seconds": seconds,
                "ratios": ratios,
            }
        )
        print(
            f"{shape!s:18s} {wavelet:4s} {what:18s}",
            *(f"{name} {1000 * time:7.2f} ms" for name, time in seconds.items()),
            "ratios",
            *(f"{ratio:.2f}" for ratio in ratios.values()),
            flush=True,
        )
    return rows


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=31, help="runs of each call")
    parser.add_argument("--out", type=Path, default=ROOT / "results/benchmarks/wavelets.json")
    options = parser.parse_args()

    here = environment(torch.device("cpu"))  # now: the source may change while this runs
    here["packages"] |= {name: version(name) for name in ("ptwt", "pytorch_wavelets", "pywavelets")}
    rows = [
        row
        for shape in SHAPES
        for wavelet in ("haar", "db4")
        for row in compare(shape, wavelet, options.runs)
    ]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(options.out, {"timings": rows, "environment": here})
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
