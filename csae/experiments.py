"""Experiments: a question, a recipe, and what is changed of it, one setting at a time.

An experiment is a list of values; `csae.runs` makes the runs. The book's lists lie in the folder
``experiments`` of its repository, one file a chapter. A chapter runs them on the shipped sample;
what it says of complete data sets, it reads from the records of the same experiment.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import signal
import statistics
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from csae import checks, runs
from csae.data import SAMPLES, ImageDataset, load_dataset
from csae.evaluation import Measure
from csae.models import Autoencoder
from csae.recipes import Recipe
from csae.records import Record, book_runs, load_record, write_record
from csae.runs import Run
from csae.training import Machine, Metrics

_IS_INSTALLED = (Path(__file__).parent / "results").is_dir()
# In the book's repository, whatever the working folder; else in that.
RESULTS = Path("results") / "runs" if _IS_INSTALLED else book_runs()
WORK = Path("runs") / "experiments"
_SAMPLE = "-sample"
# The book's lists: in an installed package, and in the repository.
_FOLDERS = (Path(__file__).parent / "lists", Path(__file__).parents[1] / "experiments")
_MACHINE = tuple(entry.name for entry in dataclasses.fields(Machine))


@dataclass(frozen=True)
class Experiment:
    """A question, and the runs that answer it.

    Attributes:
        name: Its name, that of its folder of records.
        question: What it asks.
        base: The recipe that settings change; one for all data sets, or one for each.
        settings: For each setting its name and what it changes: fields of `csae.Recipe`, wherever
            in it they stand, or of `csae.training.Machine`.
        datasets: Names of the data sets.
        seeds: Of each setting.
        measure: Further measures of a trained model: on the test images of an experiment that is
            tested, else on the validation images.
        sample: What changes of the base where the shipped samples take the place of the complete
            data sets.
        tested: Whether the trained models are measured on test images, too: once, at the end. An
            experiment that chooses something must not be.
        needs: Called with the name of each data set before anything is trained; it raises a
            ValueError where ``measure`` would miss something.

    Raises:
        ValueError: A data set has no base, or a setting changes what is no field.
    """

    name: str
    question: str
    base: Recipe | Mapping[str, Recipe]
    settings: Mapping[str, Mapping[str, Any]]
    datasets: tuple[str, ...] = ("fashion-mnist",)
    seeds: tuple[int, ...] = (0, 1, 2)
    measure: Measure | None = None
    sample: Mapping[str, Any] = field(default_factory=dict)
    tested: bool = False
    needs: Callable[[str], object] | None = None

    def __post_init__(self) -> None:
        for name, changes in self.settings.items():
            if "seed" in changes:
                raise ValueError(f"settings must not change the seed, got one in {name!r}")
        for experiment in (self, *self._on_samples()):
            for task in experiment.tasks():
                experiment.recipe(task)
                experiment.machine(task)

    def tasks(
        self,
        seeds: Sequence[int] | None = None,
        datasets: Sequence[str] | None = None,
        settings: Sequence[str] | None = None,
    ) -> Iterator[Task]:
        """Return all runs; seeds outermost, so that what is ended early has every setting.

        Args:
            seeds: Other seeds than its own.
            datasets: Some of its data sets.
            settings: Some of its settings.

        Raises:
            ValueError: A data set or a setting is none of its own.
        """
        for dataset in datasets or ():
            checks.choice("datasets", dataset, self.datasets)
        for setting in settings or ():
            checks.choice("settings", setting, tuple(self.settings))
        for seed in self.seeds if seeds is None else seeds:
            for dataset in self.datasets if datasets is None else datasets:
                for setting in self.settings if settings is None else settings:
                    yield Task(dataset, setting, seed)

    def recipe(self, task: Task) -> Recipe:
        """Return the recipe of a run."""
        base = self.base
        if isinstance(base, Mapping):
            name = task.dataset.removesuffix(_SAMPLE)
            base = base[checks.choice("dataset", name, tuple(base))]
        changes = {k: v for k, v in self._changes(task).items() if k not in _MACHINE}
        if task.dataset.endswith(_SAMPLE):
            base = base.change(**self.sample)
            # Fewer epochs and smaller batches are for all settings: they are not compared.
            changes = {k: v for k, v in changes.items() if k not in self.sample}
        return base.change(**changes, seed=task.seed)

    def machine(self, task: Task, machine: Machine | None = None) -> Machine:
        """Return what a run is computed with, given what there is."""
        changes = {k: v for k, v in self._changes(task).items() if k in _MACHINE}
        machine = Machine() if machine is None else checks.instance("machine", machine, Machine)
        return dataclasses.replace(machine, **changes)

    def on_sample(self, seeds: Sequence[int]) -> Experiment:
        """Return the same experiment on the shipped samples, for a page."""
        datasets = tuple(f"{name}{_SAMPLE}" for name in self.datasets if name in SAMPLES)
        if not datasets:
            raise ValueError(f"{self.name} has no data set of which a sample is shipped")
        return dataclasses.replace(self, datasets=datasets, seeds=tuple(seeds))

    def _on_samples(self) -> tuple[Experiment, ...]:
        """Return the experiment on the shipped samples, where it is none of them and has some."""
        return (self.on_sample(self.seeds[:1]),) if set(self.datasets) & set(SAMPLES) else ()

    def _changes(self, task: Task) -> Mapping[str, Any]:
        return self.settings[checks.choice("setting", task.setting, tuple(self.settings))]


@dataclass(frozen=True, order=True)
class Task:
    """One run of an experiment.

    Attributes:
        dataset: Name of the data set, with ``-sample`` behind it for the shipped sample.
        setting: Name of the setting.
        seed: Seed.
    """

    dataset: str
    setting: str
    seed: int

    def __str__(self) -> str:
        return f"{self.dataset} {self.setting} seed {self.seed}"

    def file(self, experiment: Experiment, folder: Path) -> Path:
        """Return where the run's record lies in a folder of records."""
        return folder / experiment.name / self.dataset / f"{self.setting}-seed{self.seed}.json"


def load_experiment(name: str) -> Experiment:
    """Return one of the book's experiments.

    Raises:
        ValueError: There is none of that name.
    """
    known = book_experiments()
    return known[checks.choice("name", name, tuple(known))]


def book_experiments() -> dict[str, Experiment]:
    """Return the book's experiments by name, those of a chapter after each other."""
    found: dict[str, Experiment] = {}
    for path in sorted(next(folder for folder in _FOLDERS if folder.is_dir()).glob("[a-z]*.py")):
        spec = importlib.util.spec_from_file_location(f"csae_experiments_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for experiment in module.EXPERIMENTS:
            found[experiment.name] = experiment
    return found


def run_task(
    experiment: Experiment,
    task: Task,
    parts: Mapping[str, ImageDataset] | None = None,
    *,
    machine: Machine | None = None,
    folder: Path | None = None,
    on_epoch: Callable[[Autoencoder, Metrics], None] | None = None,
    progress: bool = True,
) -> Run:
    """Make one run of an experiment.

    Args:
        experiment: The experiment.
        task: Which of its runs.
        parts: The parts of its data set; loaded where they are not given.
        machine: What to compute with; this one's fastest device by default.
        folder: Where settings, state, weights and record are kept; None to keep nothing.
        on_epoch: Called with the model and an epoch's metrics, in the first process only.
        progress: Whether to show a progress bar.
    """
    recipe = experiment.recipe(task)
    machine = experiment.machine(task, machine)
    if folder is not None and (folder / runs.SETTINGS).exists():
        settings = runs.read_settings(folder)  # it goes on in the precision that it began with
    else:
        settings = runs.settle(
            recipe, task.dataset, machine, experiment=experiment.name, setting=task.setting
        )
    if parts is None:
        parts = load_parts(task.dataset, tested=experiment.tested)
    return runs.make(
        settings,
        parts,
        machine=machine,
        folder=folder,
        measure=experiment.measure,
        on_epoch=on_epoch,
        progress=progress,
    )


def load_parts(
    dataset: str, root: Path | None = None, *, tested: bool = False
) -> dict[str, ImageDataset]:
    """Load the parts of a data set, or of its shipped sample, that an experiment uses."""
    names = ("train", "validation", "test") if tested else ("train", "validation")
    name, sample = dataset.removesuffix(_SAMPLE), dataset.endswith(_SAMPLE)
    return {part: load_dataset(name, part, root=root, sample=sample) for part in names}


def run_experiment(
    name: str,
    *,
    seeds: Sequence[int] | None = None,
    datasets: Sequence[str] | None = None,
    settings: Sequence[str] | None = None,
    root: Path | None = None,
    results: Path = RESULTS,
    work: Path = WORK,
    side_by_side: int = 1,
    on_done: Callable[[Task, int, int], None] = lambda *_: None,
) -> None:
    """Make the runs of an experiment that have no record yet.

    It can be ended at any time and started again: what is complete is not repeated, and what was
    interrupted goes on.

    Args:
        name: Name of one of the book's experiments.
        seeds: Other seeds than its own.
        datasets: Some of its data sets; all by default.
        settings: Some of its settings; all by default.
        root: Where the data sets lie.
        results: Folder of records.
        work: Folder of states and weights.
        side_by_side: How many runs at once, each in a process of its own with an equal share of the
            cores. On two cores, two of them take less time than one after the other.
        on_done: Called with each run that is complete, how many are, and of how many.

    Raises:
        ValueError: An argument is out of range, something is missing that the measures need, or
            another process makes one of the runs.
    """
    side_by_side = checks.integer("side_by_side", side_by_side, 1)
    experiment = load_experiment(name)
    tasks = experiment.tasks(seeds, datasets, settings)
    left = [t for t in tasks if recorded(experiment, t, results) is None]
    if experiment.needs is not None:
        for dataset in dict.fromkeys(task.dataset for task in left):
            experiment.needs(dataset)
    jobs = [(name, task, root, results, work) for task in left]
    if side_by_side == 1:
        for count, job in enumerate(jobs, start=1):
            _run_job(*job)
            on_done(job[1], count, len(jobs))
        return
    share = max(1, torch.get_num_threads() // side_by_side)
    with ProcessPoolExecutor(side_by_side, get_context("spawn"), _begin_worker, (share,)) as pool:
        futures = {pool.submit(_run_job, *job, progress=False): job[1] for job in jobs}
        try:
            for count, future in enumerate(as_completed(futures), start=1):
                future.result()
                on_done(futures[future], count, len(jobs))
        except BaseException:  # one has failed, or somebody wants an end: begin no other
            pool.shutdown(wait=False, cancel_futures=True)
            raise


_ended = threading.Event()  # in a worker: somebody has asked for an end


def _begin_worker(threads: int) -> None:
    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, lambda *_: _ended.set())  # a training has its own handler


def _run_job(
    name: str, task: Task, root: Path | None, results: Path, work: Path, progress: bool = True
) -> None:
    """Make one run, in a folder of its own, and file its record."""
    if _ended.is_set():
        raise KeyboardInterrupt
    experiment = load_experiment(name)
    folder = work / name / task.dataset / f"{task.setting}-seed{task.seed}"
    try:
        with runs.locked(folder):
            record = runs.finished(folder)
            if record is None:
                parts = load_parts(task.dataset, root, tested=experiment.tested)
                record = run_task(experiment, task, parts, folder=folder, progress=progress).record
            _check_recipe(experiment, task, record, folder)
            path = task.file(experiment, results)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_record(path, record)
    except KeyboardInterrupt:
        _ended.set()
        raise


def recorded(experiment: Experiment, task: Task, results: Path) -> Record | None:
    """Return the record of a run, if it is complete.

    Raises:
        ValueError: The record is of another recipe than the experiment's list says.
    """
    path = task.file(experiment, results)
    if not path.exists():
        return None
    record = load_record(path)
    _check_recipe(experiment, task, record, path)
    return record


def _check_recipe(experiment: Experiment, task: Task, record: Record, where: Path) -> None:
    if record.recipe != experiment.recipe(task):
        raise ValueError(
            f"{where} holds a run of another recipe than {experiment.name} says for {task}: give "
            "the setting another name, or remove what is there"
        )


def describe_plan(
    experiment: Experiment,
    seeds: Sequence[int] | None = None,
    results: Path = RESULTS,
    datasets: Sequence[str] | None = None,
    settings: Sequence[str] | None = None,
) -> str:
    """Say what of an experiment is recorded, what is left, and how long that will take.

    The time is that of the recorded runs, image by image; of all experiments' where it has none.
    """
    tasks = list(experiment.tasks(seeds, datasets, settings))
    done = {task: record for task in tasks if (record := recorded(experiment, task, results))}
    lines = [f"{experiment.name}: {experiment.question}"]
    lines += [f"  {'recorded' if task in done else 'left    '}  {task}" for task in tasks]
    left = [task for task in tasks if task not in done]
    whose, seconds = "those recorded", _all_seconds(done.values())
    if left and not seconds:
        everything = (load_record(path) for path in sorted(results.rglob("*.json")))
        whose, seconds = "other experiments", _all_seconds(everything)
    total = ""
    if left and seconds:
        images = sum(_images(experiment.recipe(task), 60_000) for task in left)
        hours = statistics.median(seconds) * images / 3600
        total = f", about {hours:.1f} hours one after the other, at the speed of {whose}"
    return "\n".join([*lines, f"  {len(done)} recorded, {len(left)} left{total}"])


def _all_seconds(records: Iterable[Record]) -> list[float]:
    return [value for record in records if (value := _seconds_per_image(record))]


def _seconds_per_image(record: Record) -> float | None:
    if record.timing["resumed"]:
        return None  # its time is that of its last part
    return float(record.timing["seconds"]) / _images(record.recipe, record.data["train"].images)


def _images(recipe: Recipe, count: int) -> int:
    training = recipe.training
    return training.epochs * min(count, training.images_per_epoch or count)
