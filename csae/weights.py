"""Trained models of every kind: saved, loaded, and those that travel with the package.

Weights are safetensors with a header that says what they belong to and a hash of both. Nothing is
ever unpickled.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from csae import checks, schema, tensorfile
from csae.files import write_whole
from csae.kinds import KINDS, kind_of
from csae.models import Autoencoder
from csae.networks import NetworkConfig

_FORMAT = "csae-3"
# The book's weights: in an installed package, and in the repository.
_FOLDERS = (Path(__file__).parent / "pretrained", Path(__file__).parents[1] / "weights")
_HINT = (
    "Checkpoints are written by `csae train` and csae.save_checkpoint; pickled files (.pt, .pth) "
    "are refused because unpickling runs code"
)


@dataclass(frozen=True)
class CheckpointHeader:
    """What a checkpoint says beside its weights.

    Attributes:
        format: Names the layout of the file.
        kind: Kind of model, one of ``csae.kinds.KINDS``.
        num_classes: Number of classes of the data set it was trained on.
        network: Sizes of encoder and decoder.
        settings: Further arguments of the model.
        dataset: Name of the data set it was trained on.
    """

    format: str
    kind: str
    num_classes: int
    network: NetworkConfig
    settings: dict[str, str | float]
    dataset: str

    def __post_init__(self) -> None:
        checks.choice("kind", self.kind, tuple(KINDS))
        checks.integer("num_classes", self.num_classes, 2)


@dataclass(frozen=True)
class Pretrained:
    """A model that travels with the package.

    Attributes:
        dataset: Name of the data set it was trained on.
        sha256: Of its file.
        experiment: Of the record of its run.
        setting: Likewise.
        seed: Likewise.
    """

    dataset: str
    sha256: str
    experiment: str
    setting: str
    seed: int


def save_checkpoint(
    model: Autoencoder,
    path: str | os.PathLike[str],
    *,
    dataset: str,
    num_classes: int | None = None,
) -> str:
    """Write a model's weights and all that is needed to build it again to one file.

    Args:
        model: The model to save, of any kind in ``csae.kinds.KINDS``.
        path: File to write; an existing one is replaced at once or not at all.
        dataset: Name of the data set it was trained on.
        num_classes: Number of classes of that data set; needed only for a model that names none.

    Returns:
        SHA-256 of the file, in hexadecimal.

    Raises:
        ValueError: ``model`` is of no such kind, or its weights are not float32 or not finite.
    """
    path = checks.path("path", path)
    content = pack_checkpoint(model, dataset=dataset, num_classes=num_classes)
    write_whole(path, content)
    return hashlib.sha256(content).hexdigest()


def pack_checkpoint(model: Autoencoder, *, dataset: str, num_classes: int | None = None) -> bytes:
    """Return what `save_checkpoint` writes.

    Args:
        model: The model to save, of any kind in ``csae.kinds.KINDS``.
        dataset: Name of the data set it was trained on.
        num_classes: Number of classes of that data set; needed only for a model that names none.

    Raises:
        ValueError: ``model`` is of no such kind, or its weights are not float32 or not finite.
    """
    kind = kind_of(model)
    checks.instance("dataset", dataset, str)
    for name, weights in model.state_dict().items():
        if weights.is_floating_point() and weights.dtype != torch.float32:
            raise ValueError(
                f"model must have float32 weights, got {checks.show(weights)} in {name}; "
                "model.float() makes them"
            )
        if not weights.isfinite().all():
            raise ValueError(f"model must have finite weights, got NaN or infinity in {name}")
    classes = getattr(model, "num_classes", num_classes)
    header = CheckpointHeader(
        format=_FORMAT,
        kind=kind,
        num_classes=checks.integer("num_classes", classes, 2),
        network=model.config,
        settings=model.settings,
        dataset=dataset,
    )
    return tensorfile.pack(asdict(header), model.state_dict())


def load_checkpoint(path: str | os.PathLike[str]) -> tuple[Autoencoder, CheckpointHeader]:
    """Read back what `save_checkpoint` wrote.

    Returns:
        The model on the CPU, in evaluation mode, and the header of the file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no checkpoint of this package, or is damaged.
    """
    path = checks.path("path", path)
    if path.is_dir():
        raise FileNotFoundError(f"{path} is a folder: name the .safetensors file inside it")
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    try:
        values, tensors = tensorfile.read(path, _FORMAT, "a checkpoint")
    except ValueError as error:
        raise ValueError(f"{error}. {_HINT}") from None
    header = schema.build(CheckpointHeader, values, str(path))
    try:
        with torch.device("meta"):  # shapes are compared before memory is taken for them
            model = KINDS[header.kind].restore(header.network, header.settings, tensors)
    # A setting that is out of range or unknown, or a size beyond what PyTorch can count.
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        said = str(error).partition("\n")[0]
        raise ValueError(f"{path} is damaged: {said}") from None
    tensorfile.check_tensors(path, tensors, model.state_dict())
    for name, weights in tensors.items():
        if not weights.isfinite().all():
            raise ValueError(f"{path} is damaged: NaN or infinity in {name}")
    if getattr(model, "num_classes", header.num_classes) != header.num_classes:
        raise ValueError(f"{path} is damaged: its model is not for {header.num_classes} classes")
    model.load_state_dict(tensors, assign=True)
    return model.eval(), header


def pretrained() -> dict[str, Pretrained]:
    """Return the models that travel with the package, by name."""
    path = _folder() / "manifest.json"
    values = schema.read_json(path)
    return {name: schema.build(Pretrained, entry, str(path)) for name, entry in values.items()}


def load_pretrained(name: str) -> tuple[Autoencoder, CheckpointHeader]:
    """Read a model that was trained on a complete data set; its weights travel with the package.

    What it was trained on, its figures and its limits are on its card, beside its weights.

    Args:
        name: One of the names of `pretrained`, such as ``"fashion-mnist"``.

    Returns:
        The model and the header of its file, as `load_checkpoint` returns them.

    Raises:
        ValueError: There is no such model, or its file is damaged.
    """
    checks.choice("name", name, tuple(pretrained()))
    return load_checkpoint(_folder() / f"{name}.safetensors")


def _folder() -> Path:
    return next(folder for folder in _FOLDERS if folder.is_dir())
