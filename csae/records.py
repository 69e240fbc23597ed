"""Records: what every run of the book leaves behind, and the questions they answer.

A record is json. It names everything that made its run, so that nobody has to look at a file's
name, or at the code of that day, to know what was trained.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from csae import checks, schema
from csae.evaluation import accuracy_interval, mean_interval
from csae.files import write_whole
from csae.recipes import Recipe
from csae.runtime import counted
from csae.training import Machine

FORMAT = "csae-record-3"
# The book's records: in an installed package, and in the repository.
_FOLDERS = (Path(__file__).parent / "results", Path(__file__).parents[1] / "results")
_NO_COMMIT = "—"


@dataclass(frozen=True)
class Part:
    """A part of a data set, as a run used it.

    Attributes:
        images: How many.
        sha256: Of images and labels.
        source: Where they come from.
    """

    images: int
    sha256: str
    source: str


@dataclass(frozen=True)
class Record:
    """A run: everything that made it, and what was measured.

    Attributes:
        format: Names the layout of the file.
        experiment: Name of the experiment it belongs to, or None.
        setting: Which of the experiment's settings it is, or None.
        recipe_name: Name of the recipe it began with, or None.
        dataset: Name of the data set.
        num_classes: Its number of classes.
        recipe: Kind of model, loss terms with weights, training.
        machine: What it was computed with, as it was settled.
        data: The parts of the data set, by name.
        parameters: How many values training changed.
        history: Metrics of each epoch.
        validation: Metrics of the trained model on the validation images, if measured.
        test: The same on the test images, measured once, if at all.
        measures: Further measures of the experiment, on the test images where they were measured,
            else on the validation images.
        measured_by: Commit whose code measured them.
        weights_sha256: Of the file of its weights.
        environment: Versions, device, platform and commit.
        timing: When it was made and how long it took; all that differs from run to run.
        filled_in: Names of entries that the run itself did not write, but that were added later
            from the code of its commit.
    """

    format: str
    experiment: str | None
    setting: str | None
    recipe_name: str | None
    dataset: str
    num_classes: int
    recipe: Recipe
    machine: Machine
    data: dict[str, Part]
    parameters: int
    history: list[dict[str, float]]
    validation: dict[str, float] | None
    test: dict[str, float] | None
    measures: dict[str, float]
    measured_by: str | None
    weights_sha256: str
    environment: dict[str, Any]
    timing: dict[str, Any]
    filled_in: list[str]

    def __post_init__(self) -> None:
        checks.choice("format", self.format, (FORMAT,))

    @property
    def seed(self) -> int:
        """Seed of the run."""
        return self.recipe.training.seed

    def measured(self, name: str) -> float:
        """Return a figure by its name.

        Args:
            name: Such as ``"validation_accuracy"``, ``"test_psnr"`` or ``"silhouette"``.

        Raises:
            ValueError: It was not measured.
        """
        found = dict(self.measures)
        for part, metrics in (("validation", self.validation), ("test", self.test)):
            found |= {f"{part}_{key}": value for key, value in (metrics or {}).items()}
        return found[checks.choice("name", name, tuple(found))]


class Spread(NamedTuple):
    """A figure over the seeds of one setting.

    Attributes:
        values: One a seed, in the order of the seeds.
        mean: Their mean.
        low: Lower end of its 95 % confidence interval; NaN for a single seed.
        high: Upper end.
    """

    values: tuple[float, ...]
    mean: float
    low: float
    high: float


def write_record(path: Path, record: Record) -> None:
    """Write a record, whole or not at all.

    Raises:
        ValueError: It holds a number that is infinite or NaN.
    """
    write_json(path, asdict(record))


def load_record(path: str | os.PathLike[str]) -> Record:
    """Read a record back.

    Raises:
        FileNotFoundError: There is none.
        ValueError: The file is no record, or a damaged one.
    """
    path = checks.path("path", path)
    return schema.build(Record, schema.read_json(path), str(path))


def load_runs(experiment: str, dataset: str | None = None) -> list[Record]:
    """Read the book's records of an experiment.

    Args:
        experiment: Its name, such as ``"noise"``: see `experiments`.
        dataset: Of one data set only.

    Returns:
        In the order of data set, setting and seed.

    Raises:
        ValueError: There is no such experiment, or nothing of that data set.
    """
    checks.choice("experiment", experiment, experiments())
    folder = book_runs() / experiment
    if dataset is not None:
        checks.choice("dataset", dataset, tuple(sorted(part.name for part in folder.iterdir())))
    paths = folder.glob(f"{dataset or '*'}/*.json")
    return [load_record(path) for path in sorted(paths, key=_order)]


def experiments() -> tuple[str, ...]:
    """Return the names of the experiments of which the book has records."""
    if not book_runs().is_dir():
        return ()
    return tuple(sorted(folder.name for folder in book_runs().iterdir()))


def spread(runs: Sequence[Record], name: str) -> dict[str, Spread]:
    """Return a figure of each setting over its seeds, with the interval of its mean.

    Args:
        runs: Of one experiment and data set.
        name: As `Record.measured` takes it.

    Raises:
        ValueError: It was not measured in each run.
    """
    found: dict[str, list[float]] = {}
    for run in sorted(runs, key=lambda run: run.seed):
        found.setdefault(str(run.setting), []).append(run.measured(name))
    return {setting: over_seeds(values) for setting, values in found.items()}


def over_images(run: Record, part: str = "validation") -> Spread:
    """Return the accuracy of one run, with its 95 % interval over the choice of the images.

    Args:
        run: Its record.
        part: Which images: ``"validation"`` or ``"test"``.

    Returns:
        Without a value, and NaN, where the run learned no classes.

    Raises:
        ValueError: There is no such part, or it was not measured.
    """
    checks.choice("part", part, ("validation", "test"))
    if not _learned_classes(run.recipe):
        return Spread((), *[float("nan")] * 3)
    accuracy = run.measured(f"{part}_accuracy")
    return Spread((accuracy,), accuracy, *accuracy_interval(accuracy, run.data[part].images))


def gains(runs: Sequence[Record], new: str, old: str, name: str) -> tuple[float, ...]:
    """Return what one setting gains over another, seed by seed.

    Args:
        runs: Of one experiment and data set.
        new: The one setting.
        old: The other.
        name: As `Record.measured` takes it.

    Returns:
        One difference for each seed that both have, in the order of the seeds.

    Raises:
        ValueError: There is no such setting, or it was not measured.
    """
    known = tuple(sorted({str(run.setting) for run in runs}))
    found: list[dict[int, float]] = []
    for which, setting in (("new", new), ("old", old)):
        checks.choice(which, setting, known)
        found.append({run.seed: run.measured(name) for run in runs if run.setting == setting})
    after, before = found
    return tuple(after[seed] - before[seed] for seed in sorted(after.keys() & before.keys()))


def over_seeds(values: Sequence[float]) -> Spread:
    """Return the mean of values, one a seed, and its 95 % interval.

    Args:
        values: Any number of them; there is no mean of none, and no interval of a single one.
    """
    if len(values) < 2:
        nan = float("nan")
        return Spread(tuple(values), values[0] if values else nan, nan, nan)
    return Spread(tuple(values), *map(float, mean_interval(values)))


def describe_machine(environment: dict[str, Any]) -> str:
    """Say in a few words where a run was made, from the ``environment`` of its record."""
    words = [environment["device_name"]]
    if environment["device"] == "cpu":
        words.append(counted(environment["threads"], "thread"))
    if (processes := environment.get("processes", 1)) > 1:
        words.append(f"{processes} processes")
    return ", ".join(words)


def describe_run(record: Record) -> dict[str, str]:
    """Say in a few words what a record of a run with test images holds, for a line of a table.

    Returns:
        ``data set``, ``recipe`` with its length and precision, ``where``, ``images/s`` (of the
        median epoch), ``test accuracy`` (``"no labels"`` where none were learned) and ``commit``.
    """
    speeds = sorted(epoch["images_per_second"] for epoch in record.timing["epochs"])
    recipe, here = record.recipe, record.environment
    accuracy = (record.test or {}).get("accuracy")
    named = "no labels" if accuracy is None or not _learned_classes(recipe) else f"{accuracy:.2%}"
    return {
        "data set": record.dataset,
        "recipe": f"{record.recipe_name or 'no recipe'}, {_length(recipe)}, "
        f"{record.machine.precision}",
        "where": describe_machine(here),
        "images/s": f"{speeds[len(speeds) // 2]:,.0f}",
        "test accuracy": named,
        "commit": (here["commit"] or _NO_COMMIT)[:7],
    }


def describe_tested(record: Record, twin: Record | None = None) -> dict[str, str]:
    """Say in a few words what a run reached on test images, for a line of a table.

    Args:
        record: Of the run.
        twin: Of the same run without labels, if there is one.

    Returns:
        ``seed``, ``test accuracy (95 % interval)``, ``validation`` (the accuracy after the last
        epoch), ``test PSNR`` and ``its twin`` (PSNR, and by how much it is ahead).
    """
    _, accuracy, low, high = over_images(record, "test")
    psnr = record.measured("test_psnr")
    other = "not run"
    if twin is not None:
        reached = twin.measured("test_psnr")
        other = f"{reached:.2f} dB, {reached - psnr:+.2f}"
    return {
        "seed": str(record.seed),
        "test accuracy (95 % interval)": f"{accuracy:.2%} ({low:.2%} to {high:.2%})",
        "validation": f"{record.history[-1]['validation_accuracy']:.2%}",
        "test PSNR": f"{psnr:.2f} dB",
        "its twin": other,
    }


def describe_timed(row: dict[str, Any], environment: dict[str, Any]) -> dict[str, str]:
    """Say the same of a row of the benchmark ``"time-to-accuracy"``, which is several runs.

    Args:
        row: Of its ``runs``.
        environment: Of the whole benchmark.

    Returns:
        As `describe_run`; accuracy is the median, images a second those of the first run.
    """
    first = row["runs"][0]
    return {
        "data set": row["dataset"],
        "recipe": f"{row['recipe']}, {first['images']:,} images, {first['precision']}, "
        f"median of {len(row['runs'])} seeds",
        "where": describe_machine(environment),
        "images/s": f"{first['images'] / first['training_seconds']:,.0f}",
        "test accuracy": f"{row['accuracy']:.2%}",
        "commit": (environment["commit"] or _NO_COMMIT)[:7],
    }


def load_benchmark(name: str) -> dict[str, Any]:
    """Read what a benchmark of the book recorded, such as ``"training"``.

    Raises:
        ValueError: There is no such benchmark.
    """
    path = _results() / "benchmarks" / f"{name}.json"
    if not path.is_file():
        known = ", ".join(sorted(entry.stem for entry in path.parent.iterdir()))
        raise ValueError(f"name must be a benchmark that has a record ({known}), got {name!r}")
    record: dict[str, Any] = schema.read_json(path)
    return record


def write_json(path: str | os.PathLike[str], record: dict[str, Any]) -> None:
    """Write a record as readable json, whole or not at all."""
    write_whole(Path(path), schema.to_json(record))


def _learned_classes(recipe: Recipe) -> bool:
    return recipe.classification_weight > 0 or recipe.centroid_weight > 0


def _length(recipe: Recipe) -> str:
    epochs, taken = recipe.training.epochs, recipe.training.images_per_epoch
    return counted(epochs, "epoch") if taken is None else f"{epochs * taken:,} images"


def _order(path: Path) -> tuple[str, str, int]:
    """Sort by data set, setting and seed: as text, seed 10 would come before seed 2."""
    setting, _, seed = path.stem.rpartition("-seed")
    return path.parent.name, setting, int(seed)


def _results() -> Path:
    return next(folder for folder in _FOLDERS if folder.is_dir())


def book_runs() -> Path:
    """Return the folder of the book's records of runs."""
    return _results() / "runs"
