"""Records of runs, and the questions they answer."""

import dataclasses
import json
import math
import os
import statistics

import pytest

from csae import records, schema
from csae.evaluation import accuracy_interval, mean_interval
from csae.recipes import Recipe
from csae.training import Machine


@pytest.fixture(scope="module")
def record():
    """The record of the pretrained model."""
    (found,) = records.load_runs("first-models", "fashion-mnist")
    return found


@pytest.fixture
def book(tmp_path, monkeypatch, record):
    """A book with records of one experiment, of two data sets, settings and many seeds."""
    monkeypatch.setattr(records, "_FOLDERS", (tmp_path / "missing", tmp_path))
    for dataset in ("mnist", "fashion-mnist"):
        for setting in ("b", "a-seed1"):
            for seed in (0, 2, 10) if setting == "b" else (0,):
                path = records.book_runs() / "tiny" / dataset / f"{setting}-seed{seed}.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                records.write_record(path, own(record, dataset, setting, seed))
    return tmp_path


def own(record, dataset="mnist", setting="b", seed=0, **changes):
    measured = {"accuracy": 0.5 + seed / 100, "psnr": 20.0 + seed}
    return dataclasses.replace(
        record,
        experiment="tiny",
        dataset=dataset,
        setting=setting,
        recipe=Recipe().change(seed=seed),
        **{"validation": measured, "test": None, "measures": {"silhouette": 0.25}} | changes,
    )


def test_a_record_comes_back_as_it_was(record, tmp_path):
    path = tmp_path / "record.json"
    records.write_record(path, record)
    assert records.load_record(path) == records.load_record(str(path)) == record
    first = path.read_bytes()
    records.write_record(path, records.load_record(path))
    assert path.read_bytes() == first
    assert isinstance(record.recipe, Recipe)
    assert isinstance(record.machine, Machine)
    assert record.data["train"].images == 55_000
    assert record.seed == record.recipe.training.seed == 0
    assert len(record.history) == record.recipe.training.epochs == len(record.timing["epochs"])


def test_every_record_of_the_book_is_read_where_it_lies():
    """Each lies where it says that it belongs."""
    assert "noise" in records.experiments()
    for experiment in records.experiments():
        runs = records.load_runs(experiment)
        assert runs
        for run in runs:
            assert run.experiment == experiment
            assert run.recipe.training.seed == run.seed
            folder = records.book_runs() / experiment / run.dataset
            assert (folder / f"{run.setting}-seed{run.seed}.json").is_file()
            assert len(run.history) == run.recipe.training.epochs
            assert len(run.weights_sha256) == 64


def test_runs_come_in_the_order_of_data_set_setting_and_seed(book):
    runs = [(run.dataset, run.setting, run.seed) for run in records.load_runs("tiny")]
    own = [("a-seed1", 0), ("b", 0), ("b", 2), ("b", 10)]
    assert runs == [(name, *run) for name in ("fashion-mnist", "mnist") for run in own]
    assert [run.dataset for run in records.load_runs("tiny", "mnist")] == ["mnist"] * 4
    assert records.experiments() == ("tiny",)


def test_what_there_is_none_of_is_named(book):
    with pytest.raises(ValueError, match="experiment must be one of 'tiny'; got 'nonsense'"):
        records.load_runs("nonsense")
    with pytest.raises(ValueError, match="dataset must be one of 'fashion-mnist', 'mnist'; got"):
        records.load_runs("tiny", "cifar")
    with pytest.raises(FileNotFoundError, match="none.json"):
        records.load_record(book / "none.json")


def test_records_of_an_installed_package_come_first(book, tmp_path, monkeypatch):
    inside = tmp_path / "csae" / "results"
    (inside / "runs" / "other").mkdir(parents=True)
    monkeypatch.setattr(records, "_FOLDERS", (inside, book))
    assert records.experiments() == ("other",)


def test_figures_are_found_by_name(record):
    run = own(record, test={"accuracy": 0.9, "psnr": 30.0})
    assert run.measured("validation_accuracy") == 0.5
    assert run.measured("test_psnr") == 30.0
    assert run.measured("silhouette") == 0.25
    with pytest.raises(ValueError, match="name must be one of 'silhouette', 'validation_accuracy'"):
        run.measured("test_silhouette")
    with pytest.raises(ValueError, match="name must be one of 'silhouette'; got 'test_accuracy'"):
        own(record, validation=None).measured("test_accuracy")


def test_the_spread_is_over_the_seeds_of_each_setting(book):
    runs = records.load_runs("tiny", "mnist")
    found = records.spread(runs[::-1], "validation_psnr")  # whatever their order
    assert set(found) == {"a-seed1", "b"}
    assert found["b"].values == (20.0, 22.0, 30.0)
    assert found["b"].mean == pytest.approx(24.0)
    assert found["b"] == ((20.0, 22.0, 30.0), *mean_interval([20.0, 22.0, 30.0]))
    half = 4.302653 * statistics.stdev([20.0, 22.0, 30.0]) / math.sqrt(3)  # t of two degrees
    assert (found["b"].low, found["b"].high) == pytest.approx((24 - half, 24 + half))
    alone = found["a-seed1"]
    assert (alone.values, alone.mean) == ((20.0,), 20.0)
    assert math.isnan(alone.low)
    assert math.isnan(alone.high)
    with pytest.raises(ValueError, match="name must be one of .* got 'test_psnr'"):
        records.spread(runs, "test_psnr")


def test_what_is_no_number_of_json_is_not_written(record, tmp_path):
    path = tmp_path / "record.json"
    for value in (math.nan, math.inf):
        with pytest.raises(ValueError, match="not JSON compliant"):
            records.write_record(path, own(record, measures={"silhouette": value}))
    assert not list(tmp_path.iterdir())


def changed(values, *keys, to=None):
    """Change an entry, or remove it."""
    inner = values
    for key in keys[:-1]:
        inner = inner[key]
    if to is None:
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = to
    return values


@pytest.mark.parametrize(
    ("keys", "to", "message"),
    [
        (["format"], 2, "format must be printable text, got 2"),
        (["format"], "csae-record-2", "format must be one of 'csae-record-3'; got 'csae-record-2'"),
        (["seed"], 1, "it has no entries but format, experiment, .* got 'seed'"),
        (["recipe"], None, "recipe is missing"),
        (["recipe", "kind"], None, "recipe.kind is missing"),
        (["recipe", "kind"], "gan", "recipe.kind must be one of 'csae', .* got 'gan'"),
        (["recipe", "training", "epochs"], "3", "recipe.training.epochs must be an integer, got"),
        (["recipe", "training", "epochs"], 3.0, "recipe.training.epochs must be an integer, got"),
        (["recipe", "training", "epochs"], 0, "recipe.training.epochs must be an integer of at"),
        (["recipe", "training", "augmentation", "flip"], 1, "augmentation.flip must be a flag"),
        (["recipe", "network", "widths"], [16, "x"], r"recipe.network.widths\[1\] must be an int"),
        (["recipe", "noise"], 10**400, "recipe.noise must be a finite number, got 1000"),
        (["machine", "devices"], True, "machine.devices must be an integer, got True"),
        (["data", "train", "images"], None, "data.train.images is missing"),
        (["data"], [], "data must be dict"),
        (["history", 0, "loss"], "low", r"history\[0\].loss must be a finite number, got 'low'"),
        (["history"], {}, "history must be list"),
        (["validation"], 0.9, "validation must be dict"),
        (["dataset"], "\x1b[2J", "dataset must be printable text"),
        (["measures", "\x1b[2J"], 1.0, "a name in measures must be printable text"),
        (["weights_sha256"], ["a"], "weights_sha256 must be printable text"),
    ],
)
def test_damaged_records_are_named_with_their_entry(record, tmp_path, keys, to, message):
    path = tmp_path / "record.json"
    values = json.loads(schema.to_json(record))
    path.write_text(json.dumps(changed(values, *keys, to=to)))
    with pytest.raises(ValueError, match=f"{path} is damaged: .*{message}") as caught:
        records.load_record(path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it holds no json"),
        (b"\xff\xfe", "it holds no json"),
        (b'{"a": NaN}', "it holds no json .NaN is no number of json"),
        (b'{"a": -Infinity}', "it holds no json"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b"[" * 30 + b"]" * 30, "it is nested too deeply"),
        (b"[]", "it must be an object with names, got"),
        (b"null", "it must be an object with names, got None"),
    ],
)
def test_what_is_no_record_is_named(tmp_path, content, message):
    path = tmp_path / "record.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path} is damaged: {message}"):
        records.load_record(path)


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "record.json"
    records.write_json(path, {"run": 1})

    def disk_full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", disk_full)
    with pytest.raises(OSError, match="No space left"):
        records.write_json(path, {"run": 2})
    assert json.loads(path.read_text()) == {"run": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_benchmarks_are_read_by_name():
    assert records.load_benchmark("centroids")["environment"]["commit"]
    with pytest.raises(ValueError, match="must be a benchmark .*training.* got 'nonsense'"):
        records.load_benchmark("nonsense")


def test_runs_are_described_in_a_few_words(record):
    tested = ("best", "paper", "first-models")
    lines = [records.describe_run(run) for name in tested for run in records.load_runs(name)]
    timed = records.load_benchmark("time-to-accuracy")
    lines += [records.describe_timed(row, timed["environment"]) for row in timed["runs"]]
    assert lines[-2]["recipe"] == "quick, 28,800 images, fp32, median of 3 seeds"
    assert lines[-1]["recipe"] == "quick, 48,000 images, fp32, median of 3 seeds"
    assert len({tuple(line) for line in lines}) == 1  # the same columns everywhere
    recipe = record.recipe.change(epochs=2, images_per_epoch=1500)
    assert (
        "3,000 images" in records.describe_run(dataclasses.replace(record, recipe=recipe))["recipe"]
    )
    assert "no labels" in {line["test accuracy"] for line in lines}
    assert {len(line["commit"]) for line in lines} == {7}


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"device": "cpu", "threads": 1}, "a machine, 1 thread"),
        ({"device": "cpu", "threads": 2, "processes": 4}, "a machine, 2 threads, 4 processes"),
        ({"device": "cuda", "threads": 8, "processes": 1}, "a machine"),
        ({"device": "cuda", "threads": 8, "processes": 8}, "a machine, 8 processes"),
    ],
)
def test_machines_are_described_in_a_few_words(environment, words):
    assert records.describe_machine({"device_name": "a machine"} | environment) == words


def test_gains_pair_the_seeds_that_both_settings_have(record):
    runs = [own(record, seed=seed) for seed in (2, 0, 10)]
    better = {"validation": {"accuracy": 0.75, "psnr": 25.0}}
    runs += [own(record, setting="a", seed=seed, **better) for seed in (1, 2, 0)]
    assert records.gains(runs, "a", "b", "validation_psnr") == (5.0, 3.0)
    assert records.gains(runs, "b", "a", "validation_psnr") == (-5.0, -3.0)
    with pytest.raises(ValueError, match="old must be"):
        records.gains(runs, "a", "c", "validation_psnr")
    with pytest.raises(ValueError, match="name must be"):
        records.gains(runs, "a", "b", "sharpness")


def test_accuracy_over_images_has_an_interval_unless_no_classes_were_learned(record):
    found = records.over_images(record, "test")
    accuracy = record.measured("test_accuracy")
    assert found.values == (accuracy,)
    assert (found.low, found.high) == accuracy_interval(accuracy, 10_000)
    nameless = dataclasses.replace(record.recipe, classification_weight=0.0)
    without = records.over_images(dataclasses.replace(record, recipe=nameless), "test")
    assert without.values == ()
    assert math.isnan(without.mean)
    by_distance = dataclasses.replace(nameless, centroid_weight=1.0)
    by_distance = dataclasses.replace(record, recipe=by_distance)
    assert records.over_images(by_distance, "test") == found
    assert records.describe_run(by_distance)["test accuracy"] == f"{accuracy:.2%}"
    with pytest.raises(ValueError, match="part must be"):
        records.over_images(record, "train")
    with pytest.raises(ValueError, match="name must be"):
        records.over_images(dataclasses.replace(record, test=None), "test")


def test_a_tested_run_is_described_beside_its_twin(record):
    alone = records.describe_tested(record)
    assert alone["seed"] == "0"
    assert alone["its twin"] == "not run"
    assert alone["test accuracy (95 % interval)"].startswith(f"{record.test['accuracy']:.2%} (")
    test = {**record.test, "psnr": record.test["psnr"] + 1}
    twin = dataclasses.replace(record, test=test)
    beside = records.describe_tested(record, twin)
    assert beside["its twin"] == f"{test['psnr']:.2f} dB, +1.00"
