"""The runner of sweeps, on a sweep of two tiny networks and some hundred images."""

import json

import pytest

from csae.losses import ImageError, JointLoss
from csae.networks import Autoencoder, NetworkConfig
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
    assert len(record["history"]) == 1
    capsys.readouterr()
    run(monkeypatch, "list", "tiny", "--seeds", "1", "2")
    assert capsys.readouterr().out.splitlines() == [
        "tiny dim-2 seed 1: recorded", "tiny dim-3 seed 1: recorded",
        "tiny dim-2 seed 2: not run yet", "tiny dim-3 seed 2: not run yet",
    ]  # fmt: skip


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
