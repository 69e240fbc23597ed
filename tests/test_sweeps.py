"""The runner of sweeps, on a sweep of two tiny networks and some hundred images."""

import json

import pytest
import torch

from csae.losses import ImageError, JointLoss
from csae.models import Autoencoder
from csae.networks import NetworkConfig
from csae.training import TrainingConfig, train
from experiments import sweeps


def tiny(latent_dim):
    config = NetworkConfig("fully_connected", latent_dim, widths=(8,), image_size=28)
    return lambda seed: (Autoencoder(config), JointLoss(reconstruction=(1.0, ImageError())))


@pytest.fixture
def records(tmp_path, digits, monkeypatch):
    """A sweep named "tiny", whose records and weights go to a temporary folder."""
    sweep = sweeps.Sweep(
        "?",
        {"dim-2": tiny(2), "dim-3": tiny(3)},
        lambda model, validation: {"images": len(validation), "dim": model.latent_dim},
        "mnist",
        epochs=1,
        training={"dim-3": TrainingConfig(epochs=2, learning_rate=1e-3, seed=99)},
    )
    monkeypatch.setattr(sweeps, "SWEEPS", {"tiny": sweep})
    monkeypatch.setattr(sweeps, "RECORDS", tmp_path / "records")
    monkeypatch.setattr(sweeps, "WEIGHTS", tmp_path / "weights")
    monkeypatch.setattr(sweeps, "load_dataset", lambda name, split, root: digits)
    return tmp_path / "records" / "tiny"


def run(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["sweeps", *arguments])
    sweeps.main()


def test_a_sweep_trains_what_has_no_record_and_then_measures(records, monkeypatch, capsys):
    run(monkeypatch, "train", "tiny", "--seeds", "0")
    first = (records / "dim-2-seed0.json").read_bytes()
    run(monkeypatch, "train", "tiny", "--seeds", "0", "1")
    assert (records / "dim-2-seed0.json").read_bytes() == first  # not trained again
    assert sorted(path.stem for path in records.iterdir()) == [
        "dim-2-seed0", "dim-2-seed1", "dim-3-seed0", "dim-3-seed1",
    ]  # fmt: skip
    run(monkeypatch, "measure", "tiny", "--seeds", "0", "1")
    record = json.loads((records / "dim-3-seed1.json").read_text())
    assert record["measures"] == {"images": 320, "dim": 3}
    assert record["seed"] == record["config"]["seed"] == 1
    assert record["config"]["network"]["latent_dim"] == 3
    assert record["config"]["learning_rate"] == 1e-3  # the setting's own, but for the seed
    assert len(record["history"]) == record["config"]["epochs"] == 2
    usual = json.loads((records / "dim-2-seed1.json").read_text())
    assert usual["config"]["learning_rate"] == TrainingConfig().learning_rate
    assert len(usual["history"]) == usual["config"]["epochs"] == 1
    capsys.readouterr()
    run(monkeypatch, "list", "tiny", "--seeds", "1", "2")
    assert capsys.readouterr().out.splitlines() == [
        "tiny dim-2 seed 1: recorded", "tiny dim-3 seed 1: recorded",
        "tiny dim-2 seed 2: not run yet", "tiny dim-3 seed 2: not run yet",
    ]  # fmt: skip


def test_an_interrupted_run_goes_on_and_ends_the_same(records, monkeypatch):
    run(monkeypatch, "train", "tiny", "--seeds", "0")
    path = records / "dim-3-seed0.json"
    whole = json.loads(path.read_text())
    path.unlink()

    def stop_after_an_epoch(*arguments, **options):
        def interrupt(metrics):
            raise KeyboardInterrupt

        return train(*arguments, **options, on_epoch=interrupt)

    with monkeypatch.context() as patch:
        patch.setattr(sweeps, "train", stop_after_an_epoch)
        with pytest.raises(KeyboardInterrupt):
            run(monkeypatch, "train", "tiny", "--seeds", "0")
    assert not path.exists()
    run(monkeypatch, "train", "tiny", "--seeds", "0")
    resumed = json.loads(path.read_text())
    assert (whole["timing"]["resumed"], resumed["timing"]["resumed"]) == (False, True)
    assert resumed["weights_sha256"] == whole["weights_sha256"]
    assert resumed["history"] == whole["history"]
    assert not list(sweeps.WEIGHTS.rglob("*.state"))


def test_weights_that_are_not_those_of_the_record_are_not_measured(records, monkeypatch):
    run(monkeypatch, "train", "tiny", "--seeds", "0")
    weights = sweeps.weights_path("tiny", "dim-2", 0)
    weights.write_bytes(sweeps.weights_path("tiny", "dim-3", 0).read_bytes())
    with pytest.raises(ValueError, match="does not hold the weights of"):
        run(monkeypatch, "measure", "tiny", "--seeds", "0")


def test_unknown_sweeps_are_named(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, "train", "nonsense")
    assert "no sweep is named nonsense" in capsys.readouterr().err


@pytest.mark.parametrize("name", sweeps.SWEEPS)
def test_every_setting_can_be_built_and_says_how_it_is_trained(name):
    sweep = sweeps.SWEEPS[name]
    assert set(sweep.training) <= set(sweep.settings)
    for setting, build in sweep.settings.items():
        assert sweep.config(setting, 7).seed == 7
        model, criterion = build(7)
        images = torch.zeros(2, 1, model.image_size, model.image_size)
        loss = criterion(model(images), images, torch.tensor([0, 1]))["loss"]
        assert loss.isfinite()
