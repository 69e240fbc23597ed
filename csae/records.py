"""Checkpoints and run records: what a training run leaves behind.

Weights are safetensors with a json header, records are json. Nothing is ever unpickled, and every
file is written whole or not at all.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from csae import checks
from csae.files import write_whole
from csae.networks import CSAE, NetworkConfig

# The book's records: in an installed package, and in the repository.
_RESULTS = (Path(__file__).parent / "results", Path(__file__).parents[1] / "results")
# Trained on complete data sets with ``python -m csae train``: their folders among the records.
_PRETRAINED = {"fashion-mnist": "fashion-mnist-seed0"}
_FORMAT = "csae-2"  # names the layout of the header
_FIRST_FORMAT = "csae-residual-1"  # its header names no network: the published pair


def save_checkpoint(model: CSAE, path: str | os.PathLike[str], *, dataset: str) -> str:
    """Write a model's weights, centroids and settings to one safetensors file.

    Args:
        model: The model to save.
        path: File to write; an existing one is replaced at once or not at all.
        dataset: Name of the data set it was trained on.

    Returns:
        SHA-256 of the file, in hexadecimal.

    Raises:
        ValueError: ``model`` is no CSAE, or its weights are not float32.
    """
    hint = "pass the model that a wrapper holds, such as ._orig_mod of a compiled one"
    checks.instance("model", model, CSAE, hint)
    path = checks.path("path", path)
    checks.instance("dataset", dataset, str)
    for name, weights in model.state_dict().items():
        if weights.is_floating_point() and weights.dtype != torch.float32:
            raise ValueError(
                f"model must have float32 weights, got {checks.show(weights)} in {name}; "
                "model.float() makes them"
            )
    header = {
        "format": _FORMAT,
        "num_classes": model.num_classes,
        "latent_dim": model.latent_dim,
        "network": dataclasses.asdict(model.config),
        "noise": model.noise_ratio,
        "dataset": dataset,
    }
    tensors = {name: t.detach().cpu().contiguous() for name, t in model.state_dict().items()}
    # One entry only: safetensors does not keep the order of several, and the hash must repeat.
    content = safetensors.torch.save(tensors, {"csae": json.dumps(header)})
    write_whole(path, content)
    return hashlib.sha256(content).hexdigest()


def load_checkpoint(path: str | os.PathLike[str]) -> tuple[CSAE, dict[str, Any]]:
    """Read back what `save_checkpoint` wrote.

    Returns:
        The model on the CPU, in evaluation mode, and the header of the file: ``format``,
        ``num_classes``, ``latent_dim``, ``network``, ``noise`` and ``dataset``.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not safetensors, not a CSAE checkpoint, or one of another
            architecture.
    """
    path = checks.path("path", path)
    if path.is_dir():
        raise FileNotFoundError(f"{path} is a folder: name the .safetensors file inside it")
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            entries = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"{path} is not a safetensors file ({error}). Checkpoints are written by "
            "`python -m csae train`; pickled files (.pt, .pth) are refused because unpickling "
            "runs code"
        ) from error
    if "csae" not in entries:
        raise ValueError(
            f"{path} is a safetensors file of another architecture: it has no CSAE header. "
            "Checkpoints are written by `python -m csae train`"
        )
    header = json.loads(entries["csae"])
    if header.get("format") == _FIRST_FORMAT:
        header["network"] = dataclasses.asdict(NetworkConfig(latent_dim=header["latent_dim"]))
    elif header.get("format") != _FORMAT:
        raise ValueError(
            f"{path} holds architecture {header.get('format')!r}; this version of csae reads "
            f"{_FORMAT!r} and {_FIRST_FORMAT!r}"
        )
    centroids = tensors.get("centroids")
    if centroids is None or centroids.shape != (header["num_classes"], header["latent_dim"]):
        raise ValueError(f"{path} is damaged: its centroids do not match its header")
    model = CSAE(centroids, noise=header["noise"], config=NetworkConfig(**header["network"]))
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(f"{path} holds weights of another architecture: {error}") from error
    return model.eval(), header


def load_pretrained(name: str) -> tuple[CSAE, dict[str, Any]]:
    """Read a model that was trained on a complete data set; its weights travel with the package.

    Args:
        name: Name of the data set, ``"fashion-mnist"``.

    Returns:
        The model and the header of its file, as `load_checkpoint` returns them.

    Raises:
        ValueError: There is no such model.
    """
    return load_checkpoint(_pretrained(name) / "checkpoint.safetensors")


def load_record(name: str) -> dict[str, Any]:
    """Read the record of the run that made the model of `load_pretrained`.

    Args:
        name: Name of the data set, ``"fashion-mnist"``.

    Returns:
        What ``csae train`` wrote: ``config``, ``data``, ``history``, ``test``, ``environment``,
        ``timing``, and hashes of data and weights.

    Raises:
        ValueError: There is no such model.
    """
    record: dict[str, Any] = json.loads((_pretrained(name) / "record.json").read_text())
    return record


def load_runs(superseded: str | None = None) -> list[dict[str, Any]]:
    """Read the records of the book's training runs, as `load_record` returns them.

    Args:
        superseded: Read the runs of an earlier form of a recipe instead: ``"first"`` or
            ``"second"``. They are kept because they were measured on test images.

    Raises:
        ValueError: There is no such form.
    """
    folder = _results()
    if superseded is not None:
        known = sorted(form.name for form in (folder / "superseded").iterdir())
        if superseded not in known:
            raise ValueError(f"superseded must be one of {known}, got {superseded!r}")
        folder = folder / "superseded" / superseded
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*/record.json"))]


def describe_machine(environment: dict[str, Any]) -> str:
    """Say in a few words where a run was made, from the ``environment`` of its record."""
    words = [environment["device_name"]]
    counted = {"process": environment.get("processes", 1)}
    if environment["device"] == "cpu":
        counted = {"thread": environment["threads"], **counted}
    for what, count in counted.items():
        if count > 1 or what == "thread":
            plural = "" if count == 1 else "es" if what == "process" else "s"
            words.append(f"{count} {what}{plural}")
    return ", ".join(words)


def describe_run(record: dict[str, Any]) -> dict[str, str]:
    """Say in a few words what a record of `load_runs` holds, for a line of a table.

    Returns:
        ``data set``, ``recipe`` with its length and precision, ``where``, ``images/s`` (of the
        median epoch), ``test accuracy`` (``"no labels"`` where none were learned) and ``commit``.
    """
    config, here = record["config"], record["environment"]
    speeds = sorted(epoch["images_per_second"] for epoch in record["timing"]["epochs"])
    named = f"{record['test']['accuracy']:.2%}"
    return {
        "data set": config["dataset"],
        "recipe": f"{config.get('recipe', 'no recipe')}, {_length(config)}, {config['precision']}",
        "where": describe_machine(here),
        "images/s": f"{speeds[len(speeds) // 2]:,.0f}",
        "test accuracy": named if config.get("classification", 1) > 0 else "no labels",
        "commit": (here["commit"] or "—")[:7],
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
        "commit": (environment["commit"] or "—")[:7],
    }


def _length(config: dict[str, Any]) -> str:
    count: int = config["epochs"]
    if (taken := config.get("images_per_epoch")) is not None:
        return f"{count * taken:,} images"
    return f"{count} epoch" + "s" * (count != 1)


def load_benchmark(name: str) -> dict[str, Any]:
    """Read what a benchmark of the book recorded, such as ``"training"``.

    Raises:
        ValueError: There is no such benchmark.
    """
    path = _results() / "benchmarks" / f"{name}.json"
    if not path.is_file():
        known = ", ".join(sorted(entry.stem for entry in path.parent.iterdir()))
        raise ValueError(f"name must be a benchmark that has a record ({known}), got {name!r}")
    record: dict[str, Any] = json.loads(path.read_text())
    return record


def _results() -> Path:
    return next(folder for folder in _RESULTS if folder.is_dir())


def _pretrained(name: str) -> Path:
    if name not in _PRETRAINED:
        raise ValueError(f"name must be one of {tuple(_PRETRAINED)}, got {name!r}")
    return _results() / _PRETRAINED[name]


def load_sweep(name: str) -> list[dict[str, Any]]:
    """Read the records of a sweep: runs that differ in one setting, over several seeds.

    Sweeps are trained on complete data sets with ``python -m experiments.sweeps`` in the book's
    repository. Their records travel with the package.

    Args:
        name: Name of the sweep, such as ``"noise"``.

    Returns:
        One dictionary a run, by setting and seed: ``setting``, ``seed``, ``config``, ``data``,
        ``history`` (metrics of each epoch), ``validation`` (metrics of the trained model on the
        validation images), ``environment``, ``timing``, and ``measures`` where the sweep has any.

    Raises:
        ValueError: There is no such sweep.
    """
    folder = _results() / "sweeps" / name
    paths = sorted(folder.glob("*.json"))
    if not paths:
        known = ", ".join(sorted(entry.name for entry in folder.parent.iterdir()))
        raise ValueError(f"name must be a sweep that has records ({known}), got {name!r}")
    return [json.loads(path.read_text()) for path in paths]


def check_new_folder(argument: str, folder: Path) -> None:
    """Refuse a folder that holds something.

    Raises:
        ValueError: It does; the error calls it by the name of the argument.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(
            f"{argument} must be a new or empty folder, got {folder}, which holds something"
        )


def write_json(path: str | os.PathLike[str], record: dict[str, Any]) -> None:
    """Write a record as readable json, whole or not at all."""
    write_whole(Path(path), (json.dumps(record, indent=2) + "\n").encode())
