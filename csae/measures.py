"""All that is measured of a trained model for the chapter on results, whatever its kind can do.

Pass `result_measures` as the ``measure`` of a `csae.experiments.Experiment`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from csae import checks
from csae.data import ImageDataset, to_bytes
from csae.evaluation.batchwise import (
    decode_latents,
    pick_images,
    pick_rows,
)
from csae.evaluation.calibration import calibration_measures
from csae.evaluation.codes import compactness_measures, variational_measures
from csae.evaluation.fidelity import fidelity_measures
from csae.evaluation.prediction import encode
from csae.evaluation.probe import probe_accuracy
from csae.evaluation.robustness import perturbation_measures, spread_of
from csae.evaluation.samples import frechet_distance, memorisation_ratio, precision_recall
from csae.evaluation.trained import Measure, Trained
from csae.generation import (
    GaussianSampler,
    LatentSampler,
    MixtureSampler,
    PriorSampler,
    Samples,
)
from csae.models import CSAE, VAE, Autoencoder, ClassifyingAutoencoder
from csae.weights import load_pretrained, pretrained

Judge = Callable[[str], Autoencoder]

# All are drawn at random, with seed 0; where there are fewer images, all of them are taken.
FITTED = 2_000  # training images for each class, to whose codes samplers and probe are fitted
SAMPLED = 5_000  # images drawn from each sampler
MANIFOLD = 2_500  # of these, and real images, for precision and recall
PERTURBED = 2_500  # images to which noise is added, or to whose codes
COMPARED = 1_000  # samples, and new images, whose nearest training images are looked for
COMPONENTS = 10  # Gaussians of a mixture, of each class or of all


def pretrained_judge(dataset: str) -> Autoencoder:
    """Return the classifier that judges samples of a data set: the weights ``judge-<data set>``.

    Args:
        dataset: Name of the data set; its shipped sample has the same judge.

    Raises:
        ValueError: There are no such weights.
    """
    name = f"judge-{checks.instance('dataset', dataset, str).removesuffix('-sample')}"
    known = tuple(pretrained())
    if name not in known:
        raise ValueError(
            f"dataset must be one with a judge among the weights, got {dataset!r}: there is no "
            f"{name!r} among {', '.join(map(repr, known)) or 'them'}"
        )
    return load_pretrained(name)[0]


def result_measures(judge: Judge = pretrained_judge) -> Measure:
    """Return the measures of the chapter on results, judged by an independent classifier.

    They are taken on test images where the experiment has them, else on validation images; see
    `csae.evaluation.Trained.held_out`. The Fréchet distance is between 5,000 samples and all of
    those images. What takes long is done with a part, drawn at random with seed 0: samplers and
    probe are fitted to 2,000 training images a class (20,000 of ten classes), 2,500 images are
    perturbed, precision and recall are of 2,500 samples and as many real images, and 1,000 samples
    are looked for among all training images. Names say what was measured:

    - ``silhouette``, ``between``, ``within``, ``ratio``: `compactness_measures`, also with
      ``class_subspace_``; ``spread``: that of the codes; ``probe_accuracy``: of a linear probe;
    - ``bound``, ``active_dimensions``: `variational_measures`;
    - ``calibration_error``, ``temperature``, ``calibration_error_tempered``: the temperature is
      fitted on validation images, so only where test images are measured;
    - ``ssim``, ``gradient_energy_kept``, ``error_A2`` to ``error_D1``: `fidelity_measures`;
    - ``accuracy_codes_0.5_spreads``, ``psnr_pixels_0.2`` and so on: `perturbation_measures`; and,
      of models with centroids, ``accuracy_codes_2`` and so on, with noise of an absolute size;
    - ``frechet_``, ``frechet_pixels_`` (of grey values in place of the judge's features),
      ``precision_``, ``recall_`` and, for samples drawn for a class, ``confirmed_``, the share of
      them to which the judge gives that class; with ``gaussian_classes``, ``mixture_classes``,
      fitted to each class, ``gaussian_all``, ``mixture_all``, and ``prior`` for variational models;
    - the same with ``train`` and, where test images are measured, ``validation``: of 5,000 of
      these images in place of samples, the best that can be expected. The judge has seen the first;
    - ``judge_accuracy``: on real images;
    - ``memorisation``: `memorisation_ratio` of samples of the mixtures of the classes.

    What a model cannot do is not measured: no classes without labels, no images without a decoder.
    A model that has to be told labels has no codes without them, so no probe, and only samples for
    a class.

    Args:
        judge: Returns the judge for the name of a data set; by default `pretrained_judge`. Its
            codes are the features by which images are compared.

    Raises:
        ValueError: When it is called: the judge is missing, names no classes, or other ones.
    """
    checks.function("judge", judge)

    def measure(trained: Trained) -> dict[str, float]:
        device = next(trained.model.parameters()).device
        critic = _Critic(judge(trained.held_out.name).to(device), trained.held_out)
        fitted = pick_images(trained.parts["train"], FITTED * trained.held_out.num_classes)
        codes = encode(trained.model, fitted)
        measures = _of_codes(trained, codes, fitted.labels)
        if trained.model.decodes:
            measures |= _of_samples(trained, codes, fitted.labels, critic)
        return measures

    return measure


def _of_codes(trained: Trained, codes: Tensor, labels: Tensor) -> dict[str, float]:
    """Measure classes, reconstructions and robustness; ``codes`` are those of training images."""
    model, images = trained.model, trained.held_out
    latents = encode(model, images)
    measures = compactness_measures(model, latents, images.labels) | {"spread": spread_of(latents)}
    if not model.takes_labels:
        measures["probe_accuracy"] = probe_accuracy(codes, labels, latents, images.labels)
    if isinstance(model, VAE):
        measures |= variational_measures(trained)
    if isinstance(model, ClassifyingAutoencoder):
        validation = trained.parts.get("validation")
        others = None
        if validation is not None and validation is not images:
            others = (_logits(trained, encode(model, validation)), validation.labels)
        measures |= calibration_measures(_logits(trained, latents), images.labels, others)
    if model.decodes:
        decoded = decode_latents(model, latents, images.labels)
        measures |= fidelity_measures(images.images.cpu() / 255, decoded)
    few = pick_images(images, PERTURBED)
    if isinstance(model, CSAE):  # their centroids are equally far apart, so equal noise is fair
        measures |= perturbation_measures(model, few, latent_stds=(1.0, 2.0), pixel_stds=())
    return measures | perturbation_measures(
        model, few, latent_stds=(0.25, 0.5, 1.0), pixel_stds=(0.1, 0.2, 0.3), relative=True
    )


@torch.no_grad()
def _logits(trained: Trained, latents: Tensor) -> Tensor:
    """Return logits (N, K) of codes, on the scale of the loss in training."""
    assert isinstance(trained.model, ClassifyingAutoencoder)
    device = next(trained.model.parameters()).device
    similarities = trained.model.similarities(latents.to(device)).cpu()
    return trained.similarity_scale * similarities


class _Critic:
    """An independent classifier, and what it makes of real images."""

    def __init__(self, judge: Autoencoder, images: ImageDataset) -> None:
        if not isinstance(judge, ClassifyingAutoencoder):
            raise ValueError(f"judge must name classes by codes, got {type(judge).__name__}")
        if judge.num_classes != images.num_classes:
            raise ValueError(
                f"judge must name the {images.num_classes} classes of {images.name}, got one of "
                f"{judge.num_classes}"
            )
        self.judge = judge
        self.real = encode(judge, images)
        self.pixels = _pixels(images)
        self.accuracy = self.confirmed(self.real, images.labels)

    @torch.no_grad()
    def confirmed(self, features: Tensor, labels: Tensor) -> float:
        """Return the share of images, given by features (N, d), that it finds to be of a class."""
        device = next(self.judge.parameters()).device
        named = self.judge.similarities(features.to(device)).argmax(dim=1).cpu()
        return (named == labels.cpu()).double().mean().item()

    def compared(self, images: ImageDataset, features: Tensor, name: str) -> dict[str, float]:
        """Compare other images, and their features (N, d), with the real ones."""
        real, other = (part[pick_rows(len(part), MANIFOLD)] for part in (self.real, features))
        precision, recall = precision_recall(real, other)
        return {
            f"frechet_{name}": frechet_distance(self.real, features),
            f"frechet_pixels_{name}": frechet_distance(self.pixels, _pixels(images)),
            f"precision_{name}": precision,
            f"recall_{name}": recall,
        }


def _of_samples(
    trained: Trained, codes: Tensor, labels: Tensor, critic: _Critic
) -> dict[str, float]:
    """Measure images made of new codes, from samplers fitted to codes of training images."""
    model, training = trained.model, trained.parts["train"]
    measures = {"judge_accuracy": critic.accuracy}
    for name, part in trained.parts.items():
        if part is not trained.held_out:
            images = pick_images(part, SAMPLED)
            measures |= critic.compared(images, encode(critic.judge, images), name)
    for name, drawn in _samples(model, codes, labels, training.num_classes):
        pixels = decode_latents(model, drawn.latents, drawn.labels)
        images = _as_images(training, pixels)
        features = encode(critic.judge, images)
        measures |= critic.compared(images, features, name)
        if drawn.labels is not None:
            measures[f"confirmed_{name}"] = critic.confirmed(features, drawn.labels)
        if name == "mixture_classes":
            new = pick_images(trained.held_out, COMPARED)
            few = pick_images(images, COMPARED)
            measures["memorisation"] = memorisation_ratio(
                few.images.cpu() / 255, new.images.cpu() / 255, training.images
            )
    return measures


def _samples(
    model: Autoencoder, codes: Tensor, labels: Tensor, num_classes: int
) -> Iterator[tuple[str, Samples]]:
    """Draw codes from each sampler that suits the model."""
    samplers: dict[str, Callable[[], LatentSampler]] = {
        "gaussian": GaussianSampler,
        "mixture": lambda: MixtureSampler(COMPONENTS),
    }
    each = max(1, SAMPLED // num_classes)
    for name, make in samplers.items():
        yield f"{name}_classes", make().fit(codes, labels).sample(each)
        if not model.takes_labels:
            yield f"{name}_all", make().fit(codes).sample(SAMPLED)
    if isinstance(model, VAE):
        if model.takes_labels:
            yield "prior", PriorSampler().fit(codes, labels).sample(each)
        else:
            yield "prior", PriorSampler().fit(codes).sample(SAMPLED)


def _pixels(images: ImageDataset) -> Tensor:
    """Return the grey values (N, 784) in [0, 1] of images: features that no network has learned."""
    return images.images.cpu().flatten(1) / 255


def _as_images(like: ImageDataset, pixels: Tensor) -> ImageDataset:
    """Return pixels (N, 1, 28, 28) in [0, 1] as a data set, so that they are judged as real ones.

    Its labels say nothing.
    """
    labels = torch.zeros(len(pixels), dtype=torch.int64)
    return replace(like, images=to_bytes(pixels), labels=labels, fingerprint="")
