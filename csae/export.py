"""Networks as ONNX files, which other programs run without PyTorch or this package.

The files are compared with PyTorch before they are kept. Needs the extra ``csae[export]``.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import csae
from csae.files import check_can_write, check_new_folder, write_all
from csae.models import Autoencoder, ClassifyingAutoencoder, check_decodes
from csae.runtime import require_extra

OPSET = 18  # the first one that PyTorch's exporter writes; newer runtimes read it, too
TOLERANCE = 1e-5
STAGES = ("encoder", "decoder", "check")
PACKAGES = ("onnx", "onnxruntime", "onnxscript")  # of the extra
_BATCH = 500  # images that go through both at once when they are compared


class OnnxMismatchError(Exception):
    """An exported network computes something else than PyTorch does."""


class OnnxNetworks(NamedTuple):
    """An autoencoder as two ONNX models, each the content of a file.

    Attributes:
        encoder: ``images`` (batch, C, S, S) float32 in [-1, 1] -> ``latents`` (batch, d) and, where
            the autoencoder names classes, ``similarities`` (batch, K); both float32.
        decoder: ``latents`` (batch, d) float32 -> ``images`` (batch, C, S, S) float32, nominally in
            [-1, 1].
    """

    encoder: bytes
    decoder: bytes


class Agreement(NamedTuple):
    """How far ONNX Runtime's results are from PyTorch's.

    Attributes:
        reference: Precision in which PyTorch computed, ``"float32"`` or ``"float64"``.
        largest_difference: For ``latents``, ``similarities`` (where there are any) and ``images``,
            the largest absolute difference of two numbers. The images are decoded from each
            side's own latents.
        same_class: Number of images of which both name the same class; None where the autoencoder
            names no classes.
    """

    reference: str
    largest_difference: dict[str, float]
    same_class: int | None


class _Encoder(nn.Module):
    """The half that reads images, with the outputs of `OnnxNetworks.encoder`."""

    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        latents = self.model.encode(images)
        if isinstance(self.model, ClassifyingAutoencoder):
            return latents, self.model.similarities(latents)
        return (latents,)


class _Decoder(nn.Module):
    """The half that makes images."""

    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, latents: Tensor) -> Tensor:
        return self.model.decode(latents)


def check_exports(model: Autoencoder) -> None:
    """Check that a model is an encoder of images and a decoder of codes, as the files are.

    Raises:
        ValueError: It has no decoder, or takes labels beside images and codes.
    """
    check_decodes(model)
    if model.takes_labels:
        raise ValueError(
            "model must take images and codes alone to be exported, got "
            f"{type(model).__name__}, which takes labels, too"
        )


def to_onnx(model: Autoencoder, *, on_stage: Callable[[str], None] | None = None) -> OnnxNetworks:
    """Translate an autoencoder, as it computes in evaluation mode, for any number of images.

    The same weights and versions give the same bytes.

    Args:
        model: Any mode and device; it is not changed.
        on_stage: Called with ``"encoder"`` and ``"decoder"`` before each is translated.

    Returns:
        Both halves.

    Raises:
        ValueError: See `check_exports`.
        MissingExtraError: The packages of ``csae[export]`` are not installed.
    """
    require_extra("export", *PACKAGES)
    check_exports(model)
    model = _reference(model, torch.float32)
    # Two of each: PyTorch would take a single one for a fixed size.
    images = torch.zeros(2, model.config.channels, model.image_size, model.image_size)
    latents = torch.zeros(2, model.latent_dim)
    _report(on_stage, "encoder")
    encoder = _translate(_Encoder(model), images, "images", _encoder_outputs(model))
    _report(on_stage, "decoder")
    decoder = _translate(_Decoder(model), latents, "latents", ("images",))
    return OnnxNetworks(encoder, decoder)


def agreement(
    model: Autoencoder,
    networks: OnnxNetworks,
    images: Tensor,
    *,
    dtype: torch.dtype = torch.float32,
) -> Agreement:
    """Compare ONNX Runtime with PyTorch, both on the CPU.

    Args:
        model: The autoencoder that `to_onnx` translated, in any mode; it is not changed.
        networks: Its translation.
        images: (N, C, S, S) float32 in [-1, 1], N at least 1.
        dtype: Precision in which PyTorch computes. In float64 its own rounding plays no part.

    Returns:
        The largest differences over all images.

    Raises:
        MissingExtraError: The packages of ``csae[export]`` are not installed.
    """
    require_extra("export", *PACKAGES)
    reference = _reference(model, dtype)
    encoder, decoder = _session(networks.encoder), _session(networks.decoder)
    names = (*_encoder_outputs(model), "images")
    largest, same = dict.fromkeys(names, 0.0), 0
    for batch in images.split(_BATCH):  # type: ignore[no-untyped-call]
        expected = _run_torch(reference, batch.to(dtype))
        found = [torch.from_numpy(array) for array in _run_onnx(encoder, decoder, batch)]
        for name, ours, theirs in zip(names, expected, found, strict=True):
            difference = (ours.double() - theirs.double()).abs().max().item()
            if not difference <= largest[name]:  # NaN is never the smaller one
                largest[name] = difference
        if "similarities" in names:
            same += int((expected[1].argmax(dim=1) == found[1].argmax(dim=1)).sum())
    precision = str(dtype).removeprefix("torch.")
    return Agreement(precision, largest, same if "similarities" in names else None)


def check(
    model: Autoencoder, networks: OnnxNetworks, images: Tensor, *, tolerance: float = TOLERANCE
) -> Agreement:
    """Make sure that exported networks compute what PyTorch computes.

    Where the results are further apart than the tolerance, PyTorch's own rounding may be the larger
    part of it: some processors' float32 convolutions are off by 2e-5. The comparison is then
    repeated with PyTorch in float64, and that decides.

    Args:
        model: The autoencoder that `to_onnx` translated, in any mode; it is not changed.
        networks: Its translation.
        images: (N, C, S, S) float32 in [-1, 1], N at least 1.
        tolerance: Largest absolute difference allowed, positive.

    Returns:
        What was measured in the comparison that decided.

    Raises:
        OnnxMismatchError: The largest difference is above the tolerance.
        MissingExtraError: The packages of ``csae[export]`` are not installed.
    """
    for dtype in (torch.float32, torch.float64):
        measured = agreement(model, networks, images, dtype=dtype)
        # Written so that a result that is not a number fails.
        if all(value <= tolerance for value in measured.largest_difference.values()):
            return measured
    differences = ", ".join(
        f"{name} {value:.1e}" for name, value in measured.largest_difference.items()
    )
    raise OnnxMismatchError(
        f"the exported networks differ from PyTorch by more than the tolerance {tolerance:g} on "
        f"{len(images):,} images: {differences}. Numbers far above 1 need a larger tolerance"
    )


def export_onnx(
    model: Autoencoder,
    folder: str | os.PathLike[str],
    images: Tensor,
    *,
    description: Mapping[str, Any] | None = None,
    tolerance: float = TOLERANCE,
    on_stage: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Write ``encoder.onnx``, ``decoder.onnx`` and ``model.json``, after checking the networks.

    Args:
        model: Any mode and device; it is not changed.
        folder: Where to write; it must be new or empty, and may be a link or a mount. Nothing is
            left in it of an export that fails.
        images: (N, C, S, S) float32 in [-1, 1], as `csae.data.prepare` makes them; N at least 1.
            PyTorch and ONNX Runtime are compared on them.
        description: Entries to put at the top of ``model.json``, such as the classes' names.
        tolerance: Largest absolute difference allowed, positive.
        on_stage: Called with each of `STAGES` as it begins.

    Returns:
        The content of ``model.json``: the description, then the networks' inputs and outputs with
        shapes and ranges, hashes of the files, versions, and what the check measured.

    Raises:
        ValueError: The folder holds something or cannot be written into, there are no images or
            they do not fit the model, the tolerance is not positive, or see `check_exports`.
        OnnxMismatchError: The exported networks compute something else than PyTorch does.
        MissingExtraError: The packages of ``csae[export]`` are not installed.
    """
    check_exports(model)
    folder = Path(folder)
    check_new_folder("folder", folder)
    check_can_write("folder", folder)
    _check_images(model, images)
    if not 0 < tolerance < math.inf:
        raise ValueError(f"tolerance must be a positive, finite number, got {tolerance!r}")
    networks = to_onnx(model, on_stage=on_stage)
    _report(on_stage, "check")
    measured = check(model, networks, images, tolerance=tolerance)
    record = {
        "format": 1,
        **(description or {}),
        **_interfaces(model, networks),
        "check": {
            "images": len(images),
            "tolerance": tolerance,
            **measured._asdict(),
        },
        "versions": _versions(),
    }
    _write(folder, networks, record)
    return record


def _check_images(model: Autoencoder, images: Tensor) -> None:
    shape = (model.config.channels, model.image_size, model.image_size)
    if images.shape[1:] != shape or images.dtype != torch.float32 or len(images) == 0:
        raise ValueError(
            f"images must be float32 of shape (N, {', '.join(map(str, shape))}) with N >= 1, got "
            f"{images.dtype} of shape {tuple(images.shape)}"
        )


def _report(on_stage: Callable[[str], None] | None, stage: str) -> None:
    if on_stage is not None:
        on_stage(stage)


def _reference(model: Autoencoder, dtype: torch.dtype) -> Autoencoder:
    """Copy the model to the CPU, in evaluation mode and in one precision."""
    return copy.deepcopy(model).to(device="cpu", dtype=dtype).eval()


def _encoder_outputs(model: Autoencoder) -> tuple[str, ...]:
    classifies = isinstance(model, ClassifyingAutoencoder)
    return ("latents", "similarities") if classifies else ("latents",)


def _translate(
    half: nn.Module, example: Tensor, input_name: str, output_names: tuple[str, ...]
) -> bytes:
    program = torch.onnx.export(
        half.eval(),
        (example,),
        dynamo=True,
        opset_version=OPSET,
        input_names=[input_name],
        output_names=list(output_names),
        dynamic_shapes={input_name: {0: torch.export.Dim("batch")}},
        verbose=False,
    )
    assert program is not None  # it is only when asked for the old exporter
    content = program.model_proto
    for node in content.graph.node:  # where in this machine's files each came from
        node.ClearField("metadata_props")
    serialised: bytes = content.SerializeToString(deterministic=True)
    return serialised


def _session(content: bytes) -> Any:
    import onnxruntime  # an extra, so not at the top

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


@torch.no_grad()
def _run_torch(model: Autoencoder, images: Tensor) -> list[Tensor]:
    latents, *similarities = _Encoder(model)(images)
    return [latents, *similarities, model.decode(latents)]


def _run_onnx(encoder: Any, decoder: Any, images: Tensor) -> list[Any]:
    latents, *similarities = encoder.run(None, {"images": images.cpu().numpy()})
    return [latents, *similarities, *decoder.run(None, {"latents": latents})]


def _interfaces(model: Autoencoder, networks: OnnxNetworks) -> dict[str, Any]:
    """Say for each file what goes in and what comes out."""
    size = model.image_size
    images = {"shape": ["batch", model.config.channels, size, size], "type": "float32"}
    outputs: dict[str, Any] = {
        "latents": {"shape": ["batch", model.latent_dim], "type": "float32"},
    }
    latents = outputs["latents"]
    if isinstance(model, ClassifyingAutoencoder):
        outputs["similarities"] = {
            "shape": ["batch", model.num_classes],
            "type": "float32",
            "meaning": "the largest names the class",
        }
    black = {"range": [-1, 1], "meaning": "-1 is black, 1 is white"}
    return {
        "opset": OPSET,
        "encoder": {
            "file": "encoder.onnx",
            "sha256": hashlib.sha256(networks.encoder).hexdigest(),
            "inputs": {"images": images | black},
            "outputs": outputs,
        },
        "decoder": {
            "file": "decoder.onnx",
            "sha256": hashlib.sha256(networks.decoder).hexdigest(),
            "inputs": {"latents": latents},
            "outputs": {"images": images | black | {"clipped": False}},
        },
    }


def _versions() -> dict[str, str]:
    import onnx
    import onnxruntime

    return {
        "csae": csae.__version__,
        "torch": str(torch.__version__),
        "onnx": onnx.__version__,
        "onnxruntime": onnxruntime.__version__,
    }


def _write(folder: Path, networks: OnnxNetworks, record: dict[str, Any]) -> None:
    """Write each file whole, the one that describes them last; all of them or none.

    The folder itself stays what it is, if it exists: a link, a mount, or somebody's working folder.
    """
    write_all(
        {
            folder / "encoder.onnx": networks.encoder,
            folder / "decoder.onnx": networks.decoder,
            folder / "model.json": (json.dumps(record, indent=2, allow_nan=False) + "\n").encode(),
        }
    )
