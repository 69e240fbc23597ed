import hashlib
import json
import os

import pytest
import safetensors.torch
import torch

from csae import records
from csae.centroids import simplex
from csae.data import load_dataset
from csae.evaluation import evaluate
from csae.models import CSAE
from csae.networks import NetworkConfig


def test_checkpoint_round_trip(model, tmp_path):
    model.train()
    model(torch.randn(8, 1, 32, 32))  # moves the running statistics of batch normalisation
    path = tmp_path / "checkpoint.safetensors"
    digest = records.save_checkpoint(model, path, dataset="mnist")
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert records.save_checkpoint(model, path, dataset="mnist") == digest
    loaded, header = records.load_checkpoint(path)
    assert header["dataset"] == "mnist"
    assert not loaded.training
    assert loaded.noise.std == pytest.approx(model.noise.std, rel=1e-6)
    images = torch.randn(3, 1, 32, 32)
    expected, output = model.eval()(images), loaded(images)
    assert all(torch.equal(a, b) for a, b in zip(expected, output, strict=True))
    assert list(tmp_path.iterdir()) == [path]  # no temporary file stays


def test_any_number_of_classes_and_dimensions(tmp_path):
    path = tmp_path / "small.safetensors"
    records.save_checkpoint(CSAE(simplex(3, 5), noise=0.0), path, dataset="mine")
    loaded, _ = records.load_checkpoint(path)
    assert (loaded.num_classes, loaded.latent_dim, loaded.noise.std) == (3, 5, 0.0)


def test_other_networks_come_back(tmp_path):
    path = tmp_path / "dense.safetensors"
    config = NetworkConfig.fully_connected(latent_dim=12)
    records.save_checkpoint(CSAE(simplex(10, 12), config=config), path, dataset="mnist")
    loaded, header = records.load_checkpoint(path)
    assert loaded.config == config
    assert header["network"]["image_size"] == 28


def test_pickled_file_is_refused(model, tmp_path):
    path = tmp_path / "model.pt"
    torch.save(model.state_dict(), path)
    with pytest.raises(ValueError, match=f"{path} is not a safetensors file .* pickled files"):
        records.load_checkpoint(path)


def test_foreign_safetensors_file_is_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    safetensors.torch.save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match="another architecture: it has no CSAE header"):
        records.load_checkpoint(path)


def tampered(model, path, change):
    """Write a checkpoint whose header or tensors were changed."""
    records.save_checkpoint(model, path, dataset="mnist")
    with safetensors.safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["csae"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(header, tensors)
    safetensors.torch.save_file(tensors, path, {"csae": json.dumps(header)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h, t: h.update(format="csae-dense-1"), "holds architecture 'csae-dense-1'"),
        (lambda h, t: t.pop("decoder.0.weight"), "weights of another architecture: .*Missing"),
        (lambda h, t: t.update(more=torch.zeros(1)), "weights of another architecture: .*Unexp"),
        (
            lambda h, t: t.update({"decoder.0.weight": torch.zeros(2, 2)}),
            "weights of another architecture: .*size mismatch",
        ),
        (lambda h, t: h.update(latent_dim=7), "its centroids do not match its header"),
    ],
)
def test_other_architectures_are_refused(model, tmp_path, change, message):
    path = tmp_path / "checkpoint.safetensors"
    tampered(model, path, change)
    with pytest.raises(ValueError, match=f"(?s){message}"):
        records.load_checkpoint(path)


def test_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"no checkpoint at {tmp_path}/none"):
        records.load_checkpoint(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="is a folder: name the .safetensors file"):
        records.load_checkpoint(tmp_path)


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


def test_pretrained_model_is_that_of_its_record():
    model, header = records.load_pretrained("fashion-mnist")
    assert header["dataset"] == "fashion-mnist"
    assert header["noise"] == 0.04
    assert not model.training
    sample = load_dataset("fashion-mnist", "validation", sample=True)
    assert evaluate(model, sample)["accuracy"] > 0.88


def test_record_of_the_pretrained_model_is_that_of_its_run():
    record = records.load_record("fashion-mnist")
    assert record["config"]["dataset"] == "fashion-mnist"
    assert len(record["history"]) == record["config"]["epochs"]
    with pytest.raises(ValueError, match="name must be one of .* got 'cifar'"):
        records.load_record("cifar")


def test_all_runs_are_read_where_they_lie(monkeypatch, tmp_path):
    runs = records.load_runs()
    assert records.load_record("fashion-mnist") in runs
    first, second = (records.load_runs(form) for form in ("first", "second"))
    assert first
    assert second
    assert not any(run in runs for run in first + second)
    with pytest.raises(ValueError, match="superseded must be one of .*'second'.* got 'zeroth'"):
        records.load_runs("zeroth")
    assert records.load_benchmark("centroids")["environment"]["commit"]
    with pytest.raises(ValueError, match="must be a benchmark .*training.* got 'nonsense'"):
        records.load_benchmark("nonsense")
    inside = tmp_path / "csae" / "results"  # of an installed package
    (inside / "some-run").mkdir(parents=True)
    (inside / "some-run" / "record.json").write_text('{"format": 2}')
    monkeypatch.setattr(records, "_RESULTS", (inside, *records._RESULTS))
    assert records.load_runs() == [{"format": 2}]


def test_unknown_pretrained_model_is_refused():
    with pytest.raises(ValueError, match="name must be one of .'fashion-mnist',., got 'cifar'"):
        records.load_pretrained("cifar")


def test_runs_are_described_in_a_few_words():
    lines = [records.describe_run(record) for record in records.load_runs()]
    timed = records.load_benchmark("time-to-accuracy")
    lines += [records.describe_timed(row, timed["environment"]) for row in timed["runs"]]
    assert lines[-2]["recipe"] == "quick, 28,800 images, fp32, median of 3 seeds"
    assert lines[-1]["recipe"] == "quick, 48,000 images, fp32, median of 3 seeds"
    assert len({tuple(line) for line in lines}) == 1  # the same columns everywhere
    some = records.load_record("fashion-mnist")
    some["config"] |= {"epochs": 2, "images_per_epoch": 1500}
    assert "3,000 images" in records.describe_run(some)["recipe"]
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


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_type_are_not_saved(tmp_path, dtype):
    """Reading them back would refuse or round them."""
    model = CSAE(simplex(3, 4)).to(dtype)
    with pytest.raises(ValueError, match="model must have float32 weights, got .*model.float()"):
        records.save_checkpoint(model, tmp_path / "model.safetensors", dataset="mnist")
    assert not list(tmp_path.iterdir())
