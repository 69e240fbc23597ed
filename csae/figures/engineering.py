"""What training costs and reaches: queues, rooflines, growing costs, speeds and runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from csae.evaluation import accuracy_interval
from csae.figures.style import INK, PALETTE
from csae.records import Record


def queue_sketch(axis: Axes, *, reads: bool) -> None:
    """Sketch four training steps that Python queues and a device computes.

    Args:
        axis: Where to draw.
        reads: Whether Python reads a result after each step, and so waits for the device.
    """
    queueing, computing, delay = 0.7, 1.0, 0.15
    python = done = 0.0
    for step in range(1, 5):
        start = max(python + delay, done)
        done = start + computing
        for left, width, low, colour in (
            (python, queueing, 1.1, PALETTE[1]),
            (start, computing, 0.0, PALETTE[0]),
        ):
            axis.broken_barh([(left, width)], (low, 0.8), fc=colour, ec="white")
            axis.text(left + width / 2, low + 0.4, str(step), ha="center", va="center")
        python = done if reads else python + queueing
    axis.axvline(done, color=INK, linestyle=":")
    axis.set_yticks([0.4, 1.5], ["device", "Python"])


def roofline(
    axis: Axes,
    layers: Sequence[tuple[str, float, float, float]],
    *,
    peak: float,
    bandwidth: float,
) -> None:
    """Draw layers under the roof of a machine, with logarithmic axes.

    Args:
        axis: Where to draw.
        layers: Kind, operations, bytes and seconds of each layer; five kinds at most.
        peak: Operations a second of the processor.
        bandwidth: Bytes a second of its memory.
    """
    bend = peak / bandwidth
    places = [layer[1] / layer[2] for layer in layers]  # operations a byte
    ends = [min(places) / 2, bend, max([*places, bend]) * 2]
    axis.loglog(ends, [min(peak, bandwidth * end) for end in ends], color=INK)
    kinds = dict.fromkeys(layer[0] for layer in layers)
    for kind, marker, colour in zip(kinds, "^soDP", (2, 1, 0, 4, 3), strict=False):
        of_kind = [layer for layer in layers if layer[0] == kind]
        axis.plot(
            [operations / moved for _, operations, moved, _ in of_kind],
            [operations / seconds for _, operations, _, seconds in of_kind],
            marker,
            color=PALETTE[colour],
            markeredgecolor=INK,
            label=kind,
        )
    axis.legend(fontsize=9, loc="lower right")


def growing_cost(
    axis: Axes, sizes: Sequence[int], seconds: Sequence[float], guide: Sequence[float]
) -> None:
    """Draw times over sizes with logarithmic axes, beside a dotted guide.

    Args:
        axis: Where to draw.
        sizes: What grows.
        seconds: The time for each size.
        guide: The times to compare with. Where they are all equal, the vertical axis is widened, so
            that small changes look small.
    """
    axis.loglog(sizes, seconds, "o-")
    axis.plot(sizes, guide, ":", color=INK)
    flat = min(guide) == max(guide)
    if flat:
        axis.set_ylim(min(seconds) / 4, max(seconds) * 4)
    axis.set_xticks(sizes, [f"{v:,}" if v < 1e4 else f"{v // 1000}k" for v in sizes])
    ends = seconds[:1] if flat else (seconds[0], seconds[-1])
    axis.set_yticks(ends, [f"{v:.2g} s" for v in ends])
    axis.tick_params(labelsize=8)
    axis.minorticks_off()


def speed_curves(axis: Axes, curves: Mapping[tuple[str, bool], Mapping[int, float]]) -> None:
    """Draw speeds over the batch size, with logarithmic axes.

    Args:
        axis: Where to draw.
        curves: For each precision, ``"fp32"`` or ``"bf16"``, and whether kernels were recorded: the
            images a second of each batch size.
    """
    for (precision, recorded), curve in curves.items():
        axis.loglog(
            list(curve),
            list(curve.values()),
            ("s" if precision == "bf16" else "o") + ("-" if recorded else "--"),
            color=PALETTE[0 if recorded else 6],
            fillstyle="none" if precision == "bf16" else "full",
            label=f"{precision}, {'recorded' if recorded else 'one by one'}",
        )
    axis.set_xticks(list(curve), [f"{size:,}" for size in curve])
    axis.minorticks_off()
    axis.legend(fontsize=8)


def runs_and_twins(
    left: Axes,
    right: Axes,
    runs: Mapping[int, Record],
    twins: Mapping[int, Record],
) -> None:
    """Draw the test results of a recipe, a row for each seed: accuracy left, PSNR right.

    Args:
        left: Where to draw accuracies in per cent, with their 95 % intervals and the validation
            accuracy of the last epoch.
        right: Where to draw PSNRs in dB.
        runs: For each seed the record of its run, as `csae.records.load_runs` reads it.
        twins: The same for runs without labels; seeds may be missing.
    """
    for seed, record in runs.items():
        accuracy, psnr = record.measured("test_accuracy"), record.measured("test_psnr")
        ends = accuracy_interval(accuracy, record.data["test"].images)
        left.plot([100 * end for end in ends], [seed, seed], color=INK)
        left.plot(100 * accuracy, seed, "o", color=PALETTE[0], label="test")
        seen = record.history[-1]["validation_accuracy"]
        left.plot(100 * seen, seed, "x", color=INK, label="validation")
        right.plot(psnr, seed, "D", color=PALETTE[6], label="with labels")
        if seed in twins:
            other = twins[seed].measured("test_psnr")
            right.plot([psnr, other], [seed, seed], ":", color=INK)
            right.plot(other, seed, "s", color=PALETTE[4], label="its twin")
    for axis in (left, right):
        axis.set(yticks=list(runs), ylim=(max(runs) + 0.5, min(runs) - 0.5))
