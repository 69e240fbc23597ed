"""Which classes are confused, and how the codes of classes lie to each other."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from csae import checks
from csae.centroids import nearest_centroid

_SILHOUETTE_ROWS = 1000  # codes whose distances to all others are held at once


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
