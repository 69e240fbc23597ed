"""How well a model classifies and reconstructs images it was not trained on."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

import torch
from scipy import special
from torch import Tensor

from csae import checks
from csae.data import ImageDataset, batches, to_pixels
from csae.losses import nearest_centroid
from csae.models import Autoencoder, ClassifyingAutoencoder

_UNWRAP = "pass the model that a wrapper holds, such as ._orig_mod of a compiled one"
_SILHOUETTE_ROWS = 1000  # codes whose distances to all others are held at once


class Reconstructions(NamedTuple):
    """What an autoencoder makes of a data set of N images.

    Attributes:
        reconstructions: (N, 1, 28, 28) float in [0, 1].
        latents: (N, d) float codes.
    """

    reconstructions: Tensor
    latents: Tensor


class Predictions(NamedTuple):
    """What a CSAE, or another classifying autoencoder, makes of a data set of N images.

    Attributes:
        labels: (N,) int64, the predicted classes.
        reconstructions: (N, 1, 28, 28) float in [0, 1].
        latents: (N, d) float codes.
    """

    labels: Tensor
    reconstructions: Tensor
    latents: Tensor


@torch.no_grad()
def reconstruct(
    model: Autoencoder, dataset: ImageDataset, *, batch_size: int = 500
) -> Reconstructions:
    """Encode and reconstruct every image, in order, in evaluation mode.

    Args:
        model: Any mode; it is left in the mode it came in.
        dataset: N images.
        batch_size: Images a batch, at least 1; it changes speed and memory, not results.

    Returns:
        Reconstructions and codes on the CPU.

    Raises:
        ValueError: An argument is something else, or the data set is empty.
    """
    checks.instance("model", model, Autoencoder, _UNWRAP)
    _check_dataset(dataset)
    batch_size = checks.integer("batch_size", batch_size, 1)
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    try:
        parts = []
        for images, _ in batches(dataset, batch_size, device=device, image_size=model.image_size):
            latents = model.encode(images)
            parts.append((to_pixels(model.decode(latents)).cpu(), latents.cpu()))
    finally:
        model.train(was_training)
    return Reconstructions(*(torch.cat(part) for part in zip(*parts, strict=True)))


@torch.no_grad()
def predict(model: Autoencoder, dataset: ImageDataset, *, batch_size: int = 500) -> Predictions:
    """Encode, classify and reconstruct every image, in order, in evaluation mode.

    Args:
        model: A `ClassifyingAutoencoder`, in any mode; it is left in the mode it came in.
        dataset: N images.
        batch_size: Images a batch, at least 1; it changes speed and memory, not results.

    Returns:
        Predictions on the CPU.

    Raises:
        ValueError: The model names no classes, or see `reconstruct`.
    """
    checks.instance("model", model, Autoencoder, _UNWRAP)
    if not isinstance(model, ClassifyingAutoencoder):
        raise ValueError(
            f"model must have similarities to classes, as a CSAE has, got {type(model).__name__}; "
            "reconstruct takes a plain autoencoder"
        )
    reconstructions, latents = reconstruct(model, dataset, batch_size=batch_size)
    device = next(model.parameters()).device
    labels = model.similarities(latents.to(device)).argmax(dim=1).cpu()
    return Predictions(labels, reconstructions, latents)


def evaluate(model: Autoencoder, dataset: ImageDataset) -> dict[str, float]:
    """Measure a model on a data set.

    Args:
        model: Any mode; it is left in the mode it came in.
        dataset: Images and labels; for a `ClassifyingAutoencoder` with as many classes as the model
            has.

    Returns:
        ``accuracy``, the fraction classified correctly in 0..1 (a plain autoencoder names no
        classes and has none), and ``psnr`` in dB (see `psnr`).

    Raises:
        ValueError: The data set and the model differ in their number of classes, the data set is
            empty, or an argument is something else.
    """
    checks.instance("model", model, Autoencoder, _UNWRAP)
    _check_dataset(dataset)
    originals = dataset.images.cpu() / 255
    if not isinstance(model, ClassifyingAutoencoder):
        return {"psnr": psnr(originals, reconstruct(model, dataset).reconstructions)}
    if dataset.num_classes != model.num_classes:
        raise ValueError(
            f"dataset has {dataset.num_classes} classes, but the model was built for "
            f"{model.num_classes}"
        )
    checks.labels("dataset.labels", dataset.labels, len(dataset), dataset.num_classes)
    predictions = predict(model, dataset)
    return {
        "accuracy": (predictions.labels == dataset.labels.cpu()).double().mean().item(),
        "psnr": psnr(originals, predictions.reconstructions),
    }


def _check_dataset(dataset: ImageDataset) -> None:
    checks.instance("dataset", dataset, ImageDataset)
    if len(dataset) == 0:
        raise ValueError("dataset must hold at least 1 image, got 0")


def psnr(images: Tensor, reconstructions: Tensor) -> float:
    """Peak signal-to-noise ratio of a whole set of images.

    It is 10 log10(1 / MSE), with the mean squared error taken over all pixels of all images. The
    mean of the single images' ratios, which others report, is never lower.

    Args:
        images: Floating point of any shape, in [0, 1]; a data set's images divided by 255.
        reconstructions: Floating point of the same shape, on the same scale.

    Returns:
        The ratio in dB; infinite when the two are equal.

    Raises:
        ValueError: The shapes differ, a tensor is empty or not floating point, or ``images`` leave
            [0, 1].
    """
    hint = "divide the images of a data set by 255"
    checks.tensor("images", images, floating=True, hint=hint)
    checks.tensor("reconstructions", reconstructions, floating=True, hint=hint)
    checks.same_shape("images", images, "reconstructions", reconstructions)
    if images.numel() == 0:
        raise ValueError(f"images must not be empty, got {checks.show(images)}")
    low, high = (limit.item() for limit in images.aminmax())
    if not (low >= 0 and high <= 1):
        raise ValueError(f"images must be in [0, 1], got values from {low:g} to {high:g}; {hint}")
    error = (images.double() - reconstructions.double()).square().mean().item()
    return math.inf if error == 0 else -10 * math.log10(error)


def accuracy_interval(accuracy: float, count: int) -> tuple[float, float]:
    """95 % interval of an accuracy measured on a sample of images (Wilson 1927).

    It covers the choice of the test images only: another seed moves the accuracy further.

    Args:
        accuracy: Fraction correct, in 0..1.
        count: Number of images, at least 1.

    Returns:
        Lower and upper bound, in 0..1.

    Raises:
        ValueError: An argument is out of range.
    """
    accuracy = checks.number("accuracy", accuracy, least=0, most=1)
    count = checks.integer("count", count, 1)
    z = 1.959964  # 97.5 % quantile of the normal distribution
    centre = (accuracy + z**2 / (2 * count)) / (1 + z**2 / count)
    spread = math.sqrt(accuracy * (1 - accuracy) / count + (z / (2 * count)) ** 2)
    half = z * spread / (1 + z**2 / count)
    return max(0.0, centre - half), min(1.0, centre + half)


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean over seeds with its 95 % interval (Student 1908).

    It takes the seeds for a sample from a normal distribution. With three seeds the interval is
    2.5 standard deviations to each side, with two it is 9: two runs say little about a third.

    Args:
        values: One measured value a seed, at least two.

    Returns:
        Mean, lower and upper bound.

    Raises:
        ValueError: There are fewer than two values, or one is no finite number.
    """
    values = [checks.number("values", value) for value in checks.sequence("values", values)]
    count = len(values)
    if count < 2:
        raise ValueError(f"values must hold at least 2 numbers, got {count}")
    mean = statistics.mean(values)
    half = special.stdtrit(count - 1, 0.975) * statistics.stdev(values) / math.sqrt(count)
    return mean, mean - half, mean + half


def confusion_matrix(labels: Tensor, predicted: Tensor, num_classes: int) -> Tensor:
    """Count images by true class (row) and predicted class (column).

    Args:
        labels: (N,) int64 in 0..K-1.
        predicted: (N,) int64 in 0..K-1.
        num_classes: Number of classes K.

    Returns:
        (K, K) int64 counts that sum to N.

    Raises:
        ValueError: The arguments do not fit together, or a label is none of the classes.
    """
    num_classes = checks.integer("num_classes", num_classes, 1)
    checks.tensor("labels", labels, ("N",), dtype=torch.int64, least=0)
    checks.labels("labels", labels, len(labels), num_classes)
    checks.labels("predicted", predicted, len(labels), num_classes)
    pairs = labels * num_classes + predicted
    return torch.bincount(pairs, minlength=num_classes**2).view(num_classes, num_classes)


class ClassDistances(NamedTuple):
    """How far apart classes are, and how wide.

    Attributes:
        between: Mean distance between two class means, over all pairs of classes.
        within: Mean distance of a code from the mean of its class; each class counts equally.
        ratio: ``between / within``; infinite when all codes lie on their means.
    """

    between: float
    within: float
    ratio: float


def class_distances(latents: Tensor, labels: Tensor) -> ClassDistances:
    """Measure the distances between and within classes.

    Pass `csae.centroids.class_component` of the codes to measure inside the class subspace only.

    Equations: class-distances.

    Args:
        latents: (N, d) finite codes.
        labels: (N,) int64 classes in 0..K-1, each of at least one code; K is at least 2.

    Returns:
        Euclidean distances, and their ratio.

    Raises:
        ValueError: The arguments do not fit together, or a class has no code.
    """
    latents, counts, means = _classes(latents, labels)
    between = torch.nn.functional.pdist(means).mean().item()
    spread = (latents - means[labels]).norm(dim=1)
    within = (_sums(spread.unsqueeze(1), labels, len(counts))[:, 0] / counts).mean().item()
    return ClassDistances(between, within, between / within if within else math.inf)


class NeuralCollapse(NamedTuple):
    """The four quantities that vanish in neural collapse (Papyan, Han and Donoho 2020).

    Attributes:
        variability: NC1, tr(S_W S_B^+) / K: the spread within classes, measured by the spread of
            the class means.
        equinorm: NC2, coefficient of variation of the distances of class means from their mean.
        equiangularity: NC2, mean absolute difference of the class means' pairwise cosines, seen
            from their mean, from the simplex's -1/(K - 1).
        self_duality: NC3, squared Frobenius norm of the difference between centred class means and
            the classifier's weights, each divided by its Frobenius norm; between 0 and 4.
        disagreement: NC4, share of the codes, in 0..1, where the classifier and the nearest class
            mean name different classes.
    """

    variability: float
    equinorm: float
    equiangularity: float
    self_duality: float
    disagreement: float


def neural_collapse(
    latents: Tensor, labels: Tensor, weights: Tensor, bias: Tensor | None = None
) -> NeuralCollapse:
    """Measure how far codes and a linear classifier are from neural collapse.

    The original work measures the first three on training codes, and the fourth on test codes with
    the class means of training codes; here all come from the codes given. Each class counts
    equally: S_W is the mean of the classes' covariances, and class means are centred by their own
    mean. For balanced classes both are the usual ones.

    Pass `csae.centroids.class_component` of the codes to measure inside the class subspace only.

    Equations: variability-collapse, equinorm-equiangular, self-duality, nearest-mean.

    Args:
        latents: (N, d) finite codes.
        labels: (N,) int64 classes in 0..K-1, each of at least one code; K is at least 2.
        weights: (K, d) of the classifier ``argmax(latents @ weights.T + bias)``; for a CSAE its
            centroids.
        bias: (K,), none by default.

    Returns:
        The four quantities (the second in two parts), each 0 in full collapse.

    Raises:
        ValueError: The arguments do not fit together, a class has no code, a class mean lies on
            the mean of all, or the weights are all zero.
    """
    latents, counts, means = _classes(latents, labels)
    classes, dim = means.shape
    hint = "one row for each class of the labels"
    checks.tensor("weights", weights, (classes, dim), floating=True, finite=True, hint=hint)
    weights = weights.detach().cpu().double()
    scores = latents @ weights.T
    if bias is not None:
        checks.tensor("bias", bias, (classes,), floating=True, finite=True)
        scores += bias.detach().cpu().double()

    centred = means - means.mean(dim=0)
    norms = centred.norm(dim=1)
    if not (norms.min() > 0 and weights.any()):
        raise ValueError("a class mean lies on the mean of all, or weights are all zero")
    errors = (latents - means[labels]) / counts[labels].sqrt().unsqueeze(1)
    within = errors.T @ errors / classes  # S_W (d, d)
    between = centred.T @ centred / classes  # S_B (d, d), of rank K - 1 at most
    # Rounding fills the null space of S_B with eigenvalues near 1e-16; a pseudo-inverse that
    # inverted them would measure nothing else.
    inverse = torch.linalg.pinv(between, rtol=1e-10, hermitian=True)
    cosines = (centred @ centred.T) / (norms[:, None] * norms)
    pairs = torch.triu_indices(classes, classes, offset=1, device="cpu")
    return NeuralCollapse(
        variability=(within * inverse).sum().item() / classes,  # both symmetric: a trace
        equinorm=(norms.std(correction=0) / norms.mean()).item(),
        equiangularity=(cosines[pairs[0], pairs[1]] + 1 / (classes - 1)).abs().mean().item(),
        self_duality=(centred / centred.norm() - weights / weights.norm()).square().sum().item(),
        disagreement=(scores.argmax(dim=1) != nearest_centroid(latents, means))
        .double()
        .mean()
        .item(),
    )


def silhouette(latents: Tensor, labels: Tensor) -> float:
    """Mean silhouette of codes with their classes as clusters (Rousseeuw 1987).

    A code's silhouette is (b - a) / max(a, b), where a is its mean distance to the other codes of
    its class, and b the smallest, over the other classes, of its mean distance to their codes. It
    is 0 for the only code of a class. Time grows with N squared.

    Equations: silhouette.

    Args:
        latents: (N, d) finite codes.
        labels: (N,) int64 classes in 0..K-1, each of at least one code; K is at least 2.

    Returns:
        The mean over all codes, between -1 and 1; near 1 when classes are compact and far apart.

    Raises:
        ValueError: The arguments do not fit together, or a class has no code.
    """
    latents, counts, _ = _classes(latents, labels)
    member = torch.nn.functional.one_hot(labels.cpu(), len(counts)).double()  # (N, K)
    total = 0.0
    for rows in torch.arange(len(latents), device="cpu").split(_SILHOUETTE_ROWS):  # type: ignore[no-untyped-call]
        codes, own = latents[rows], member[rows]
        # The fast way through a matrix product would leave codes at a distance from themselves.
        distances = torch.cdist(codes, latents, compute_mode="donot_use_mm_for_euclid_dist")
        sums = distances @ member  # (rows, K)
        others = (counts * own).sum(dim=1) - 1  # codes of the same class besides this one
        inside = (sums * own).sum(dim=1) / others.clamp(min=1)
        outside = (sums / counts).masked_fill(own.bool(), math.inf).amin(dim=1)
        scale = torch.maximum(inside, outside)
        alone = (others == 0) | (scale == 0)
        total += ((outside - inside) / scale).masked_fill(alone, 0).sum().item()
    return total / len(latents)


def _classes(latents: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Check codes and labels; return codes (N, d), counts (K,) and means (K, d) in float64."""
    checks.tensor("latents", latents, ("N", "d"), floating=True, finite=True)
    checks.tensor("labels", labels, (len(latents),), dtype=torch.int64)
    latents = latents.detach().cpu().double()
    if labels.min() < 0:
        raise ValueError(f"labels must be classes from 0 on, got {int(labels.min())}")
    if labels.max() >= len(labels):  # before they are counted, in a table as long as the largest
        raise ValueError(
            f"labels must name each class from 0 on at least once, got {int(labels.max())} among "
            f"{len(labels)} labels"
        )
    counts = torch.bincount(labels.cpu()).double()
    if len(counts) < 2 or not counts.all():
        raise ValueError(
            f"labels must name at least two classes, each at least once, got {counts.tolist()} of "
            "each"
        )
    return latents, counts, _sums(latents, labels, len(counts)) / counts.unsqueeze(1)


def _sums(values: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Sum rows (N, d) by class: (K, d)."""
    return values.new_zeros(num_classes, values.shape[1]).index_add_(0, labels.cpu(), values)
