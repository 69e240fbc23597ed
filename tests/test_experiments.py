"""Experiments: lists of runs, and the one way in which each of them is made."""

import dataclasses
import os
import signal

import pytest
import torch

from csae import cli, data, experiments, measures, records, runs, weights
from csae.experiments import Experiment, Task
from csae.kinds import defaults
from csae.losses import CentroidCrossEntropy
from csae.networks import NetworkConfig
from csae.recipes import Recipe
from csae.training import Machine

BOOK = experiments.book_experiments()
CPU = Machine(accelerator="cpu", precision="fp32", threads=1)
TINY = {"widths": (8, 8), "image_size": 28, "latent_dim": 9, "batch_size": 64}
SETTINGS = {"plain": {}, "noisy": {"noise": 0.2}, "fixed": {"precision": "fp32"}}
SETTINGS |= {"unlabelled": {"kind": "autoencoder", "classification_weight": 0.0}}


def tiny(**changes):
    base = Recipe().change(epochs=1, images_per_epoch=128, **TINY)
    usual = {"base": base, "settings": SETTINGS, "datasets": ("mnist-sample",), "seeds": (0, 1)}
    return Experiment("tiny", "Does it run?", **usual | changes)


@pytest.fixture(scope="module")
def parts():
    """A few images of each part."""
    loaded = experiments.load_parts("mnist-sample", tested=True)
    return {name: part.first(200) for name, part in loaded.items()}


@pytest.fixture
def few(monkeypatch):
    """Let experiments and the command line load a few images, those of `parts`."""
    whole = data.load_dataset

    def part(*arguments, **options):
        return whole(*arguments, **options).first(200)

    monkeypatch.setattr(data, "load_dataset", part)
    monkeypatch.setattr(experiments, "load_dataset", part)


@pytest.fixture
def book(monkeypatch):
    """A book of one tiny experiment, run on one processor core."""
    experiment = tiny()
    monkeypatch.setattr(experiments, "book_experiments", lambda: {"tiny": experiment})
    return experiment


# The book's lists and its records


@pytest.mark.parametrize("name", BOOK)
def test_records_are_of_the_recipes_of_their_experiment(name):
    """What the lists say today is what was run, setting by setting."""
    experiment = BOOK[name]
    assert experiment.name == name
    if name not in records.experiments():
        pytest.skip("nothing is recorded yet")
    for record in records.load_runs(name):
        task = Task(record.dataset, record.setting, record.seed)
        assert task.dataset in experiment.datasets
        assert record.recipe == experiment.recipe(task), task
        asked = experiment.settings[task.setting].get("precision", record.machine.precision)
        assert record.machine.precision == asked, task
        assert (record.test is not None) == experiment.tested, task


def test_a_part_of_an_experiment_is_some_of_its_seeds_data_sets_and_settings():
    experiment = BOOK["results"]
    part = list(experiment.tasks([7], ["fashion-mnist"]))
    assert {(task.dataset, task.seed) for task in part} == {("fashion-mnist", 7)}
    assert [task.setting for task in part] == list(experiment.settings)
    plan = experiments.describe_plan(experiment, [7], datasets=["fashion-mnist"])
    assert f"  0 recorded, {len(part)} left, about " in plan
    assert plan.endswith("one after the other, at the speed of other experiments")
    some = list(experiment.tasks([7], settings=["vae", "ours"]))
    assert [(task.dataset, task.setting) for task in some] == [
        *(("mnist", "vae"), ("mnist", "ours")),
        *(("fashion-mnist", "vae"), ("fashion-mnist", "ours")),
    ]
    with pytest.raises(ValueError, match="settings must be .*'paper'.* got 'papers'"):
        experiments.describe_plan(experiment, settings=["papers"])
    with pytest.raises(ValueError, match="datasets must be .*'mnist', 'fashion-mnist'"):
        list(experiment.tasks([7], ["emnist-letters"]))


def test_every_record_belongs_to_an_experiment():
    assert set(records.experiments()) <= set(BOOK)


@pytest.mark.parametrize("name", BOOK)
def test_every_setting_can_be_built(name):
    experiment = BOOK[name]
    seen = set()
    for task in experiment.tasks(seeds=[7]):
        recipe = experiment.recipe(task)
        assert recipe.training.seed == 7
        assert (task.dataset, recipe, experiment.machine(task)) not in seen, "two names for one run"
        seen.add((task.dataset, recipe, experiment.machine(task)))
        model, criterion = recipe.build(10)
        assert model.config == recipe.network
        assert criterion is not None
    if not set(experiment.datasets) & set(data.SAMPLES):
        return
    for task in experiment.on_sample([0]).tasks():
        assert task.dataset.endswith("-sample")
        assert experiment.recipe(task).training.seed == 0


def test_unknown_experiments_are_named():
    with pytest.raises(ValueError, match="name must be one of .*'noise'.* got 'nonsense'"):
        experiments.load_experiment("nonsense")


def test_what_an_experiment_cannot_change_is_refused():
    for settings, message in (
        ({"a": {"nonsense": 1}}, "nonsense must be among the fields of a recipe"),
        ({"a": {"noise": -1.0}}, "noise must be a finite number of at least 0"),
        ({"a": {"precision": "fp16"}}, "precision must be one of"),
        ({"a": {"kind": "autoencoder"}}, "classification_weight must be 0 for the kind"),
    ):
        with pytest.raises(ValueError, match=message):
            tiny(settings=settings)
    with pytest.raises(ValueError, match="dataset must be one of 'fashion-mnist'; got 'mnist'"):
        tiny(base={"fashion-mnist": Recipe()})
    with pytest.raises(ValueError, match="setting must be one of 'plain', .* got 'nonsense'"):
        tiny().recipe(Task("mnist-sample", "nonsense", 0))


def test_settings_change_the_recipe_and_the_machine():
    experiment = tiny(sample={"epochs": 2, "noise": 0.0})
    noisy = experiment.recipe(Task("mnist-sample", "noisy", 3))
    assert noisy.training.seed == 3
    assert (noisy.noise, noisy.training.epochs) == (0.0, 2)  # the sample's, for all settings
    complete = experiment.recipe(Task("mnist", "noisy", 3))
    assert (complete.noise, complete.training.epochs) == (0.2, 1)
    machine = Machine(accelerator="cpu", precision="bf16")
    assert experiment.machine(Task("mnist", "fixed", 0), machine).precision == "fp32"
    assert experiment.machine(Task("mnist", "plain", 0), machine) == machine
    order = [(task.seed, task.setting) for task in experiment.tasks()]
    assert order == [(seed, setting) for seed in (0, 1) for setting in SETTINGS]


# One way to make a run


def test_a_run_has_the_same_bits_whoever_asks_for_it(few, parts, tmp_path, capsys):
    """An experiment, the function beneath it and the command line."""
    experiment, task = tiny(tested=True), Task("mnist-sample", "noisy", 5)
    asked = experiments.run_task(experiment, task, machine=CPU, progress=False)
    settings = runs.settle(experiment.recipe(task), task.dataset, CPU)
    made = runs.make(settings, parts, machine=CPU, folder=tmp_path, progress=False)
    options = ["--dataset", "mnist", "--sample", "--epochs", 1, "--images-per-epoch", 128]
    options += ["--batch-size", 64, "--widths", 8, 8, "--image-size", 28, "--latent-dim", 9]
    options += ["--noise", 0.2, "--seed", 5, "--optimizer", "adamw", "--shift", 0, "--no-flip"]
    machine = ["--accelerator", "cpu", "--precision", "fp32", "--threads", 1, "--quiet"]
    out = tmp_path / "typed"
    assert cli.main(["train", *map(str, options + machine), "--out", str(out)]) == 0
    typed = records.load_record(out / "record.json")
    assert typed.recipe == made.record.recipe == asked.record.recipe
    assert asked.record.weights_sha256 == made.record.weights_sha256 == typed.weights_sha256
    assert asked.record.history == made.record.history == typed.history
    assert asked.record.test == made.record.test == typed.test
    assert asked.record.test is not None
    assert (asked.record.experiment, asked.record.setting) == ("tiny", "noisy")
    assert (made.record.experiment, made.record.recipe_name) == (None, None)
    assert typed.recipe_name == "quick"
    model, header = weights.load_checkpoint(tmp_path / "checkpoint.safetensors")
    assert header.dataset == "mnist-sample"
    state = made.model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert records.load_record(tmp_path / "record.json") == made.record


def test_a_run_leaves_the_random_numbers_alone(parts):
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    experiments.run_task(tiny(), Task("mnist-sample", "plain", 0), parts, machine=CPU,
                         progress=False)  # fmt: skip
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("tested", [False, True])
def test_further_measures_go_into_the_record(parts, tested):
    """Taken on test images where an experiment looks at them, else on validation images."""
    seen = []

    def measure(trained):
        seen.append((trained.held_out.split, sorted(trained.parts)))
        scale = CentroidCrossEntropy().scale(10)
        assert trained.similarity_scale == scale
        return {"images": len(trained.held_out), "dimensions": trained.model.latent_dim}

    task = Task("mnist-sample", "unlabelled", 0)
    given = parts if tested else {name: parts[name] for name in ("train", "validation")}
    run = experiments.run_task(
        tiny(measure=measure, tested=tested), task, given, machine=CPU, progress=False
    )
    assert run.record.measures == {"images": 200, "dimensions": 9}
    assert run.record.measured("dimensions") == 9
    assert "accuracy" not in run.record.validation
    assert (run.record.test is not None) == tested
    if tested:
        assert seen == [("test", ["test", "train", "validation"])]
    else:
        assert seen == [("validation", ["train", "validation"])]


def test_a_run_can_be_watched(parts):
    seen = []
    run = experiments.run_task(
        tiny(base=tiny().base.change(epochs=2)),
        Task("mnist-sample", "plain", 0),
        parts,
        machine=CPU,
        on_epoch=lambda model, metrics: seen.append((model, metrics["loss"])),
        progress=False,
    )
    assert [loss for _, loss in seen] == [epoch["loss"] for epoch in run.record.history]
    assert all(model is run.model for model, _ in seen)


def test_an_experiment_makes_what_has_no_record(book, few, tmp_path, monkeypatch):
    """And files it as the book's records lie."""
    monkeypatch.setattr(experiments, "SAMPLES", ())
    folders = {"results": tmp_path / "results", "work": tmp_path / "work"}
    done = []

    def note(task, count, total):
        done.append((task.setting, count, total))

    plan = experiments.describe_plan(book, [0], folders["results"])
    assert plan.splitlines()[0] == "tiny: Does it run?"
    assert plan.splitlines()[1] == "  left      mnist-sample plain seed 0"
    assert plan.splitlines()[-1] == "  0 recorded, 4 left"
    experiments.run_experiment(book.name, seeds=[0], on_done=note, **folders)
    assert done == [(setting, count, 4) for count, setting in enumerate(SETTINGS, start=1)]
    paths = sorted((folders["results"] / "tiny" / "mnist-sample").iterdir())
    assert [path.stem for path in paths] == sorted(f"{name}-seed0" for name in SETTINGS)
    first = [path.read_bytes() for path in paths]
    experiments.run_experiment(book.name, seeds=[0], on_done=note, **folders)
    assert len(done) == 4
    assert [path.read_bytes() for path in paths] == first  # not made again
    record = records.load_record(paths[0])
    assert (record.experiment, record.dataset) == ("tiny", "mnist-sample")
    paths[0].unlink()
    plan = experiments.describe_plan(book, [0, 1], folders["results"])
    assert f"  left      mnist-sample {record.setting} seed 0" in plan
    assert "  recorded  mnist-sample plain seed 0" in plan
    assert "  3 recorded, 5 left, about 0.0 hours one after the other" in plan
    experiments.run_experiment(book.name, seeds=[0], **folders)  # complete, but not yet filed
    assert records.load_record(paths[0]) == record
    assert list((folders["work"] / "tiny").rglob(".*")) == []  # no locks, nothing half written


def test_an_interrupted_run_goes_on_and_ends_the_same(parts, tmp_path):
    experiment = tiny(base=tiny().base.change(epochs=2))
    settings = runs.settle(experiment.recipe(Task("mnist-sample", "noisy", 0)), "mnist-sample", CPU)
    options = {"machine": CPU, "progress": False}
    whole = runs.make(settings, parts, **options).record

    def interrupt(model, metrics):
        if metrics["epoch"] == 1:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        runs.make(settings, parts, folder=tmp_path, on_epoch=interrupt, **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == [runs.SETTINGS, runs.STATE]
    assert runs.finished(tmp_path) is None
    assert runs.read_settings(tmp_path) == settings
    run = runs.make(runs.read_settings(tmp_path), parts, folder=tmp_path, **options)
    assert (whole.timing["resumed"], run.record.timing["resumed"]) == (False, True)
    without = {"timing": {}}
    assert dataclasses.replace(run.record, **without) == dataclasses.replace(whole, **without)
    assert runs.finished(tmp_path) == run.record
    with pytest.raises(ValueError, match=f"the run in {tmp_path} is complete"):
        runs.read_settings(tmp_path)


def test_a_run_in_use_is_not_made_twice(book, few, tmp_path):
    folders = {"results": tmp_path / "results", "work": tmp_path / "work"}
    folder = tmp_path / "work" / "tiny" / "mnist-sample" / "plain-seed0"
    with runs.locked(folder), pytest.raises(ValueError, match=f"{folder} is in use"):
        experiments.run_experiment(book.name, seeds=[0], **folders)
    assert not folders["results"].exists()


def test_what_the_measures_need_is_asked_for_before_anything_is_trained(monkeypatch, tmp_path):
    monkeypatch.setattr(measures, "pretrained", tuple)
    with pytest.raises(ValueError, match="dataset must be one with a judge .*'emnist-letters'"):
        experiments.run_experiment("results-letters", work=tmp_path, results=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_tries_all_classes_names_them_at_the_end_only(parts):
    cvae = defaults("cvae") | {"noise": 0.0}
    experiment = tiny(settings={"told": cvae})
    run = experiments.run_task(
        experiment, Task("mnist-sample", "told", 0), parts, machine=CPU, progress=False
    )
    assert set(run.record.validation) == {"accuracy", "psnr"}
    (epoch,) = run.record.history
    assert epoch["validation_psnr"] == run.record.validation["psnr"]
    assert "validation_accuracy" not in epoch


def test_wrong_numbers_of_processes_are_named(book):
    with pytest.raises(ValueError, match="side_by_side must be an integer of at least 1, got 0"):
        experiments.run_experiment(book.name, side_by_side=0)


def test_tiny_networks_fit_their_images():
    """What these tests train is small, or they would be slow."""
    assert tiny().base.network == NetworkConfig("residual", 9, (8, 8), 28)
