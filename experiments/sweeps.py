"""Sweeps: one network trained again and again, one setting changed at a time.

    python -m experiments.sweeps train noise --seeds 0 1 2     train what has no record yet
    python -m experiments.sweeps measure noise                 measure the trained weights anew
    python -m experiments.sweeps list                          what there is

Each run leaves a record in results/sweeps/SWEEP/SETTING-seedN.json, whole or not at all, and its
weights in runs/sweeps. A run that has its record is not repeated, and one that was interrupted goes
on, so a sweep can be stopped at any time and started again. Everything is measured on validation
images: sweeps are for choices, and the test images are for the end.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from csae.baselines import SupervisedAutoencoder
from csae.centroids import class_component, simplex
from csae.data import Augmentation, ImageDataset, load_dataset, to_pixels
from csae.evaluation import (
    class_distances,
    evaluate,
    neural_collapse,
    psnr,
    reconstruct,
    silhouette,
)
from csae.files import write_whole
from csae.losses import CentroidDistance, CSAELoss, ImageError, JointLoss
from csae.models import CSAE, Autoencoder
from csae.networks import NetworkConfig
from csae.noise import path_steps, squared_jacobian_norm
from csae.records import write_json
from csae.runtime import environment, resolve_device, resolve_precision
from csae.training import TIMINGS, TrainingConfig, train

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "results" / "sweeps"
WEIGHTS = ROOT / "runs" / "sweeps"

Build = Callable[[int], tuple[Autoencoder, nn.Module]]  # a seed -> a model and its loss
Measure = Callable[[Autoencoder, ImageDataset], dict[str, float]]


@dataclass(frozen=True)
class Sweep:
    """Settings to compare, and how each is trained and measured.

    Attributes:
        question: What the sweep asks.
        settings: For each setting, its name and how to build model and loss.
        measure: Further measures of a trained model on the validation images.
        dataset: Name of the data set; the full one.
        epochs: Passes over its training images.
        training: How to train the settings that are named here; the others are trained in the
            package's usual way. A run's seed replaces the one given.
    """

    question: str
    settings: Mapping[str, Build]
    measure: Measure | None = None
    dataset: str = "fashion-mnist"
    epochs: int = 2
    training: Mapping[str, TrainingConfig] = field(default_factory=dict)

    def config(self, setting: str, seed: int) -> TrainingConfig:
        """Return how to train one setting with one seed."""
        usual = TrainingConfig(epochs=self.epochs)
        return dataclasses.replace(self.training.get(setting, usual), seed=seed)


RADIUS = math.sqrt(40)  # norm of the centroids


def autoencoder(latent_dim: int = 40, noise: float = 0.0) -> Build:
    """Build autoencoders that learn without labels."""
    return lambda seed: (
        Autoencoder(NetworkConfig(latent_dim=latent_dim), noise=noise * RADIUS),
        JointLoss(reconstruction=(10.0, ImageError())),
    )


def csae(
    noise: float = 0.04,
    space: str | None = None,
    reconstruction: float = 10.0,
    smoothing: float = 0.1,
) -> Build:
    """Build CSAEs on ten simplex centroids, perhaps with a term for the distance to them."""
    usual: dict[str, Any] = {"reconstruction_weight": reconstruction, "smoothing": smoothing}

    def build(seed: int) -> tuple[Autoencoder, nn.Module]:
        centroids = simplex(10, 40, scale=RADIUS, seed=seed)
        model = CSAE(centroids, noise=noise)
        if space is None:
            return model, CSAELoss(**usual)
        distance = CentroidDistance(centroids, space)
        return model, CSAELoss(**usual, centroid=(1.0, distance))

    return build


def linear_head(seed: int) -> tuple[Autoencoder, nn.Module]:
    """Build a supervised autoencoder whose class weights are learned."""
    return SupervisedAutoencoder(10, noise=0.04 * RADIUS), CSAELoss()


def measure_classes(model: Autoencoder, validation: ImageDataset) -> dict[str, float]:
    """Measure how compact and how far apart the classes are, and the centroids' part in it."""
    latents, labels = reconstruct(model, validation).latents, validation.labels
    measures = {"silhouette": silhouette(latents, labels)}
    measures |= class_distances(latents, labels)._asdict()
    if isinstance(model, CSAE):
        inside = class_component(latents, model.centroids)
        in_class = class_distances(inside, labels)._asdict()
        in_class |= neural_collapse(inside, labels, model.centroids)._asdict()
        in_class["silhouette"] = silhouette(inside, labels)
        measures |= {f"class_subspace_{name}": value for name, value in in_class.items()}
    return measures


@torch.no_grad()
def measure_noise(model: Autoencoder, validation: ImageDataset) -> dict[str, float]:
    """Measure what noise on codes and on pixels does, how steep the decoder is, how far codes lie.

    The names say the standard deviation: of the noise on each number of a code, or on each pixel
    in [0, 1].
    """
    if not isinstance(model, CSAE):
        raise ValueError("noise is measured on models that name classes")
    originals, labels = validation.images / 255, validation.labels
    generator = torch.Generator().manual_seed(0)

    def measure(name: str, latents: Tensor) -> dict[str, float]:
        right = (model.similarities(latents).argmax(dim=1) == labels).double().mean().item()
        painted = torch.cat([to_pixels(model.decode(part)) for part in torch.split(latents, 500)])
        return {f"accuracy_{name}": right, f"psnr_{name}": psnr(originals, painted)}

    latents = reconstruct(model, validation).latents
    measures = measure("quiet", latents)
    for std in (0.5, 1.0, 2.0, 3.0):
        noise = torch.randn(latents.shape, generator=generator)
        measures |= measure(f"codes_{std:g}", latents + std * noise)
    for std in (0.1, 0.2, 0.3):
        noise = torch.randn(originals.shape, generator=generator)
        shaken = (255 * (originals + std * noise).clamp(0, 1)).round().to(torch.uint8)
        noisy = dataclasses.replace(validation, images=shaken)
        measures |= measure(f"pixels_{std:g}", reconstruct(model, noisy).latents)

    free = latents - class_component(latents, model.centroids)
    measures["spread"] = (latents - latents.mean(dim=0)).square().mean().sqrt().item()
    measures["free_spread"] = (free - free.mean(0)).square().sum(dim=1).mean().sqrt().item()
    slopes = squared_jacobian_norm(model.decode, latents[:1000], probes=8)
    measures["squared_jacobian"] = slopes.mean().item()
    other = labels[:1000] != labels[1000:2000]  # lines from one class to another
    start, end = latents[:1000][other], latents[1000:2000][other]
    steps = path_steps(model.decode, start, end, steps=16)
    straight = (model.decode(end) - model.decode(start)).double().flatten(1).norm(dim=1)
    measures["stretch"] = (steps.sum(dim=1) / straight).median().item()
    measures["largest_step"] = (steps.amax(dim=1) / steps.mean(dim=1)).median().item()
    return measures


def _trained(
    epochs: int = 6, batch_size: int = 128, weight_decay: float = 1e-2, **changes: Any
) -> TrainingConfig:
    return TrainingConfig(
        epochs=epochs,
        batch_size=batch_size,
        weight_decay=weight_decay,
        augmentation=Augmentation(**changes),
    )


# Strong augmentation costs accuracy in short training and brings it in long training, so the
# settings between which it must decide are trained for both.
CLOTHES = {
    "flip-batch-256": _trained(batch_size=256, flip=True),
    "flip": _trained(flip=True),
    "shift": _trained(flip=True, shift=2),
    "shift-erase": _trained(flip=True, shift=2, erase=0.5),
    "warp-erase": _trained(flip=True, shift=2, erase=0.5, rotation=10, zoom=0.1),
    "flip-24": _trained(24, flip=True),
    "shift-erase-24": _trained(24, flip=True, shift=2, erase=0.5),
    "flip-40": _trained(40, weight_decay=0.05, flip=True),
    "light-shift-erase-40": _trained(40, weight_decay=0.05, flip=True, shift=1, erase=0.25),
}
DIGITS = {
    "shift-batch-256": _trained(batch_size=256, shift=2),
    "shift": _trained(shift=2),
    "warp": _trained(shift=2, rotation=10, zoom=0.1, shear=0.1),
    "warp-erase": _trained(shift=2, rotation=10, zoom=0.1, shear=0.1, erase=0.5),
}
LONG_DIGITS = {
    f"{name}-20": dataclasses.replace(DIGITS[changes], epochs=20)
    for name, changes in (
        ("reconstruction-30", "warp"),
        ("shift", "shift"),
        ("shift-reconstruction-30", "shift"),
        ("shift-reconstruction-100", "shift"),
    )
}

# Codes that need not sit still may say more about their image. Each setting is named after what
# it changes of the first one, which is the recipe "best" for digits as it was then.
LOOSE = {
    "smoothing-0.1": csae(reconstruction=30.0),
    "smoothing-0.03": csae(reconstruction=30.0, smoothing=0.03),
    "smoothing-0.01": csae(reconstruction=30.0, smoothing=0.01),
    "smoothing-0.001": csae(reconstruction=30.0, smoothing=0.001),
    "smoothing-0.01-reconstruction-10": csae(smoothing=0.01),
    "smoothing-0.01-reconstruction-100": csae(reconstruction=100.0, smoothing=0.01),
    "smoothing-0.01-decay": csae(reconstruction=30.0, smoothing=0.01),
    "smoothing-0.01-erase": csae(reconstruction=30.0, smoothing=0.01),
    "smoothing-0.01-light-warp": csae(reconstruction=30.0, smoothing=0.01),
    "unsupervised": autoencoder(noise=0.04),
    "unsupervised-erase": autoencoder(noise=0.04),
    "unsupervised-light-warp": autoencoder(noise=0.04),
}
ERASED: dict[str, Any] = {"shift": 2, "erase": 0.25}
LIGHTLY_WARPED: dict[str, Any] = {"shift": 2, "rotation": 5, "zoom": 0.05, "shear": 0.05}
LOOSE_DIGITS = dict.fromkeys(LOOSE, _trained(20, shift=2)) | {
    "smoothing-0.01-decay": _trained(20, weight_decay=0.05, shift=2),
    "smoothing-0.01-erase": _trained(20, **ERASED),
    "smoothing-0.01-light-warp": _trained(20, **LIGHTLY_WARPED),
    "unsupervised-erase": _trained(20, **ERASED),
    "unsupervised-light-warp": _trained(20, **LIGHTLY_WARPED),
}

FLIP = Augmentation(flip=True)
# About a minute of training: fewer images in smaller batches, or more in larger ones?
QUICK_DIGITS = {
    "batch-256": _trained(2, 256, shift=2),
    "batch-256-shift-1": _trained(2, 256, shift=1),
    "batch-128": _trained(1, 128, shift=1),
    "batch-64": _trained(1, 64, shift=1),
    "batch-64-shift-2": _trained(1, 64, shift=2),
}
QUICK_CLOTHES = {
    "batch-256": _trained(3, 256, flip=True),
    "batch-128": _trained(2, 128, flip=True),
    "batch-64": _trained(2, 64, flip=True),
}
# The last of these with the other optimiser, and both with fewer images.
for settings, images in ((QUICK_DIGITS, 28_800), (QUICK_CLOTHES, 51_200)):
    usual = settings["batch-64"]
    few = dataclasses.replace(usual, epochs=1, images_per_epoch=images)
    settings["batch-64-few"] = few
    settings["muon-few"] = dataclasses.replace(few, optimizer="muon")
    settings["muon"] = dataclasses.replace(usual, optimizer="muon")
# Clothes that are seen once: is mirroring them of any use?
QUICK_CLOTHES["muon-fewer-plain"] = dataclasses.replace(
    QUICK_CLOTHES["muon-few"], images_per_epoch=48_000, augmentation=Augmentation()
)

SWEEPS = {
    "networks": Sweep(
        "How much do 2, 10, 40 and 128 latent numbers hold, without labels?",
        {f"dim-{d}": autoencoder(d) for d in (2, 10, 40, 128)},
    ),
    "losses": Sweep(
        "What do supervision and each form of it cost in fidelity, and what do they bring?",
        {
            "unsupervised": autoencoder(noise=0.04),
            "cross-entropy": csae(),
            "class-subspace": csae(space="class"),
            "all-dimensions": csae(space="all"),
            "linear-head": linear_head,
        },
        measure_classes,
    ),
    "best-fashion-mnist": Sweep(
        "Which augmentation and batch size suit clothes, in short and in long training?",
        {name: csae() for name in CLOTHES}
        | {"unsupervised": autoencoder(noise=0.04), "reconstruction-30": csae(reconstruction=30.0)},
        epochs=6,
        training=CLOTHES
        | dict.fromkeys(("unsupervised", "reconstruction-30"), CLOTHES["shift-erase"]),
    ),
    "best-mnist": Sweep(
        "Which augmentation and batch size suit digits?",
        {name: csae() for name in (*DIGITS, "shift-20")}
        | {"unsupervised": autoencoder(noise=0.04)}
        | dict.fromkeys(
            ("reconstruction-30", "reconstruction-30-20", "shift-reconstruction-30-20"),
            csae(reconstruction=30.0),
        )
        | {"shift-reconstruction-100-20": csae(reconstruction=100.0)},
        dataset="mnist",
        epochs=6,
        training=DIGITS
        | dict.fromkeys(("unsupervised", "reconstruction-30"), DIGITS["warp"])
        | LONG_DIGITS,
    ),
    "best-mnist-labels": Sweep(
        "How firmly do labels have to hold the codes of digits?",
        LOOSE,
        dataset="mnist",
        training={
            name: dataclasses.replace(config, precision="fp32")
            for name, config in LOOSE_DIGITS.items()
        },
    ),
    "muon-mnist": Sweep(
        "Does Muon help in long training, too, with labels and without?",
        {
            "supervised": csae(reconstruction=30.0, smoothing=0.01),
            "unsupervised": autoencoder(noise=0.04),
        },
        dataset="mnist",
        training=dict.fromkeys(
            ("supervised", "unsupervised"),
            dataclasses.replace(_trained(20, weight_decay=0.05, shift=2), optimizer="muon"),
        ),
    ),
    "quick-mnist": Sweep(
        "Which batch size and optimiser bring the most in about a minute, on digits?",
        dict.fromkeys(QUICK_DIGITS, csae()),
        dataset="mnist",
        training=QUICK_DIGITS,
    ),
    "quick-fashion-mnist": Sweep(
        "Which batch size and optimiser bring the most in a minute or two, on clothes?",
        dict.fromkeys(QUICK_CLOTHES, csae()),
        training=QUICK_CLOTHES,
    ),
    "precision": Sweep(
        "Does training in bfloat16 or in larger batches, both faster, cost accuracy or fidelity?",
        dict.fromkeys(("fp32", "bf16", "bf16-batch-512"), csae()),
        epochs=3,
        training={
            "fp32": TrainingConfig(epochs=3, augmentation=FLIP, precision="fp32"),
            "bf16": TrainingConfig(epochs=3, augmentation=FLIP, precision="bf16"),
            "bf16-batch-512": TrainingConfig(
                epochs=3, batch_size=512, augmentation=FLIP, precision="bf16"
            ),
        },
    ),
    "noise": Sweep(
        "What does latent noise in training do, as a fraction of the centroids' norm?",
        {f"noise-{fraction}": csae(fraction) for fraction in (0.0, 0.04, 0.15, 0.5)},
        measure_noise,
    ),
}


def train_one(sweep: str, setting: str, seed: int, data_root: Path | None) -> None:
    """Train one setting with one seed; write its weights and its record."""
    task = SWEEPS[sweep]
    started, clock = datetime.now(timezone.utc), time.perf_counter()
    config = task.config(setting, seed)
    device = resolve_device(config.accelerator)
    here = environment(device)  # now: the source may change while it trains
    parts = {s: load_dataset(task.dataset, s, data_root) for s in ("train", "validation")}
    torch.manual_seed(seed)
    model, criterion = task.settings[setting](seed)
    weights = weights_path(sweep, setting, seed)
    weights.parent.mkdir(parents=True, exist_ok=True)
    state = weights.with_suffix(".state")  # a run that was interrupted goes on from here
    resumed = state.exists()
    history = train(
        model,
        criterion,
        parts["train"],
        config,
        state_file=state,
        validate=lambda trained: evaluate(trained, parts["validation"]),  # type: ignore[arg-type]
    )
    tensors = {name: t.detach().cpu().contiguous() for name, t in model.state_dict().items()}
    content = safetensors.torch.save(tensors)
    write_whole(weights, content)
    record = {
        "format": 1,
        "sweep": sweep,
        "setting": setting,
        "seed": seed,
        "config": {
            "dataset": task.dataset,
            **dataclasses.asdict(config),
            "network": dataclasses.asdict(model.config),
            "precision": resolve_precision(config.precision, device),
        },
        "data": {
            name: {"images": len(part), "sha256": part.fingerprint} for name, part in parts.items()
        },
        "parameters": sum(p.numel() for p in model.parameters()),
        "history": [{k: v for k, v in epoch.items() if k not in TIMINGS} for epoch in history],
        "validation": evaluate(model, parts["validation"]),
        "weights_sha256": hashlib.sha256(content).hexdigest(),
        "environment": here,
        "timing": {
            "started": started.isoformat(timespec="seconds"),
            "seconds": time.perf_counter() - clock,
            "resumed": resumed,
        },
    }
    path = record_path(sweep, setting, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, record)
    state.unlink()


def measure_one(
    sweep: str, setting: str, seed: int, data_root: Path | None, commit: str | None
) -> None:
    """Measure trained weights; write the measures into the record of their run."""
    task = SWEEPS[sweep]
    if task.measure is None:
        raise ValueError(f"sweep {sweep} has no measures beyond those taken after training")
    path, weights = record_path(sweep, setting, seed), weights_path(sweep, setting, seed)
    if not path.is_file():
        return
    record = json.loads(path.read_text())
    content = weights.read_bytes()
    if hashlib.sha256(content).hexdigest() != record["weights_sha256"]:
        raise ValueError(f"{weights} does not hold the weights of {path}")
    model, _ = task.settings[setting](seed)
    model.load_state_dict(safetensors.torch.load(content))
    validation = load_dataset(task.dataset, "validation", data_root)
    record["measures"] = task.measure(model.eval(), validation)
    record["measured_by"] = commit
    write_json(path, record)


def record_path(sweep: str, setting: str, seed: int) -> Path:
    """Where the record of a run lies."""
    return RECORDS / sweep / f"{setting}-seed{seed}.json"


def weights_path(sweep: str, setting: str, seed: int) -> Path:
    """Where the weights of a run lie; they are not part of the repository."""
    return WEIGHTS / sweep / f"{setting}-seed{seed}.safetensors"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=("train", "measure", "list"))
    parser.add_argument("sweeps", nargs="*", metavar="SWEEP", help=f"of {', '.join(SWEEPS)}")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="N")
    parser.add_argument("--root", type=Path, metavar="FOLDER", help="where the data sets lie")
    options = parser.parse_args()
    if unknown := set(options.sweeps) - set(SWEEPS):
        parser.error(f"no sweep is named {', '.join(sorted(unknown))}")
    # Seeds outermost: stopped early, a sweep still has every setting.
    runs = [
        (sweep, setting, seed)
        for seed in options.seeds
        for sweep in options.sweeps or SWEEPS
        for setting in SWEEPS[sweep].settings
    ]
    commit = environment(torch.device("cpu"))["commit"]  # before records change the source tree
    for count, run in enumerate(runs, start=1):
        done = record_path(*run).is_file()
        name = "{} {} seed {}".format(*run)
        if options.action == "list":
            print(f"{name}: {'recorded' if done else 'not run yet'}")
        elif options.action == "measure":
            measure_one(*run, options.root, commit)
        elif not done:
            print(f"[{count}/{len(runs)}] {name}", flush=True)
            train_one(*run, options.root)


if __name__ == "__main__":
    main()
