"""The joint loss: classify and reconstruct from the same code.

Taught in the chapter on classification supervision.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from csae.centroids import class_subspace
from csae.networks import CSAEOutput

SPACES = ("all", "class")


def nearest_centroid(latents: Tensor, centroids: Tensor) -> Tensor:
    """Classify codes by their nearest centroid.

    Where all centroids have the same norm it is also the most similar one, which
    `csae.networks.CSAE.similarities` finds with one matrix product.

    Equations: nearest-centroid.

    Args:
        latents: (N, d) codes.
        centroids: (K, d) one point a class; norms may differ.

    Returns:
        (N,) int64 labels in 0..K-1; the first of several that are equally near.
    """
    return torch.cdist(latents, centroids).argmin(dim=1)


def _at_least_float32(outputs: Tensor) -> Tensor:
    """Convert what bfloat16 autocast returns: 8 significant bits are too few for a mean."""
    return outputs.to(torch.promote_types(outputs.dtype, torch.float32))


class CentroidCrossEntropy(nn.Module):
    """Cross-entropy (in nats) on the similarities of codes to fixed centroids.

    Plain cross-entropy has no minimum: it pushes codes ever further out, past their centroids.
    With smoothed labels it has one, and the similarities are scaled so that this minimum lies
    exactly on the centroids of a simplex. Its gradient with respect to a code is a sum of
    centroids, so it never moves a code out of the class subspace or within its complement.

    Equations: centroid-cross-entropy, cross-entropy-gradient.

    Args:
        smoothing: Share of each label that is spread evenly over all classes, between 0 and 1,
            both excluded.

    Raises:
        ValueError: ``smoothing`` is out of range.
    """

    def __init__(self, smoothing: float = 0.1) -> None:
        super().__init__()
        if not 0 < smoothing < 1:
            raise ValueError(f"smoothing must be between 0 and 1, both excluded, got {smoothing!r}")
        self.smoothing = smoothing

    def scale(self, num_classes: int) -> float:
        """Return the factor on the similarities that puts the minimum on the centroids.

        Smoothed labels ask for probabilities p = 1 - s + s/K of the true class and q = s/K of each
        other one, so for logits that differ by log(p/q). On a centroid of a simplex the
        similarities differ by 1 + 1/(K - 1) = K/(K - 1).

        Equations: similarity-scale.
        """
        other = self.smoothing / num_classes
        return math.log((1 - self.smoothing + other) / other) * (num_classes - 1) / num_classes

    def forward(self, output: CSAEOutput, images: Tensor, labels: Tensor) -> Tensor:
        """Return the mean over a batch, for labels (N,) int64 in 0..K-1."""
        similarities = _at_least_float32(output.similarities)
        logits = self.scale(similarities.shape[1]) * similarities
        return F.cross_entropy(logits, labels, label_smoothing=self.smoothing)


class CentroidDistance(nn.Module):
    """Mean squared error between codes and the centroids of their labels.

    Over all dimensions this is the classification term of the authors' published code. Inside the
    class subspace it compares only the component of a code that similarities depend on, and leaves
    the other d - r dimensions free (r = K - 1 for a simplex). In both cases the squared distance is
    divided by d and averaged over the batch, so that the two differ by exactly the squared norm of
    the other component, divided by d.

    Codes are compared as the encoder made them, before noise.

    Equations: centroid-distance-terms.

    Args:
        centroids: (K, d) class centroids, of any arrangement.
        space: ``"all"`` or ``"class"``.

    Raises:
        ValueError: ``space`` is unknown, or ``centroids`` are no points that span a space (see
            `csae.centroids.class_subspace`).
    """

    centroids: Tensor
    basis: Tensor | None

    def __init__(self, centroids: Tensor, space: str = "all") -> None:
        super().__init__()
        if space not in SPACES:
            raise ValueError(f"space must be one of {SPACES}, got {space!r}")
        self.space = space
        basis = class_subspace(centroids).float()  # (d, r)
        self.register_buffer("basis", basis if space == "class" else None)
        self.register_buffer("centroids", centroids.detach().float().clone())

    def forward(self, output: Any, images: Tensor, labels: Tensor) -> Tensor:
        """Return the mean over a batch of ``output.latents`` (N, d), for labels (N,) int64."""
        latents = _at_least_float32(output.latents)
        error = latents - self.centroids.to(latents)[labels]
        if self.basis is not None:
            error = error @ self.basis.to(latents)  # (N, r)
        distance: Tensor = error.square().sum(dim=1).mean() / latents.shape[1]
        return distance

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows between the brackets."""
        return f"space={self.space!r}"


class ImageError(nn.Module):
    """Lets a loss on pairs of images serve as a term of `JointLoss`.

    Args:
        loss: Takes reconstructions and images, both (N, C, H, W) in [-1, 1], returns a scalar;
            mean squared error by default.
    """

    def __init__(self, loss: nn.Module | None = None) -> None:
        super().__init__()
        self.loss = nn.MSELoss() if loss is None else loss

    def forward(self, output: Any, images: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of ``output.reconstructions`` (N, C, H, W) against ``images``."""
        error: Tensor = self.loss(_at_least_float32(output.reconstructions), images)
        return error


class JointLoss(nn.Module):
    """Weighted sum of named terms.

    Equations: joint-loss.

    Args:
        **terms: For each name, a weight (zero or more) and a term: a module that takes the model's
            output, images and labels, and returns a scalar. A term of weight 0 is not minimised,
            but reported.

    Raises:
        ValueError: A weight is negative or not finite, or none is positive.

    Example:
        >>> criterion = JointLoss(reconstruction=(1.0, ImageError()))
    """

    def __init__(self, **terms: tuple[float, nn.Module]) -> None:
        super().__init__()
        self.weights: dict[str, float] = {}
        for name, (weight, _) in terms.items():
            if not (math.isfinite(weight) and weight >= 0):
                raise ValueError(
                    f"{name}_weight must be a finite number of at least 0, got {weight!r}"
                )
            self.weights[name] = float(weight)
        if not any(self.weights.values()):
            names = " and ".join(f"{name}_weight" for name in terms) or "all weights"
            raise ValueError(f"{names} are 0: nothing to learn")
        self.terms = nn.ModuleDict({name: term for name, (_, term) in terms.items()})

    def forward(self, output: Any, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Compare a model's output with the truth.

        Args:
            output: What the model returned for ``images``.
            images: (N, C, H, W) in [-1, 1].
            labels: (N,) int64 in 0..K-1.

        Returns:
            Scalars: ``loss``, the weighted sum to minimise, and each term before weighting.
        """
        terms = {name: term(output, images, labels) for name, term in self.terms.items()}
        loss = sum(
            self.weights[name] * value for name, value in terms.items() if self.weights[name]
        )
        return {"loss": loss} | terms


class CSAELoss(JointLoss):
    """The joint loss of a CSAE: cross-entropy on centroid similarities and image error.

    Args:
        classification_weight: Weight of `CentroidCrossEntropy`, zero or more.
        reconstruction_weight: Weight of the mean squared error of images in [-1, 1], zero or more.
        smoothing: Share of each label that is spread evenly over all classes, between 0 and 1,
            both excluded.
        **terms: Further terms with their weights, as `JointLoss` takes them.

    Raises:
        ValueError: A weight is negative or not finite, all are zero, or ``smoothing`` is out of
            range.
    """

    def __init__(
        self,
        classification_weight: float = 1.0,
        reconstruction_weight: float = 10.0,
        *,
        smoothing: float = 0.1,
        **terms: tuple[float, nn.Module],
    ) -> None:
        super().__init__(
            classification=(classification_weight, CentroidCrossEntropy(smoothing)),
            reconstruction=(reconstruction_weight, ImageError()),
            **terms,
        )
