"""The joint loss: classify and reconstruct from the same code.

Taught in the chapter on classification supervision.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from csae import checks
from csae.centroids import class_subspace
from csae.models import CSAEOutput
from csae.networks import at_least_float32

SPACES = ("all", "class")


def _check_labels(labels: Tensor, count: int, num_classes: int) -> None:
    """Check labels in each step of training: on an accelerator, reading them would stop it."""
    read = isinstance(labels, Tensor) and labels.device.type == "cpu"
    read = read and not torch.compiler.is_compiling()
    checks.labels("labels", labels, count, num_classes, read=read)


def _output(output: Any, field: str, shape: tuple[int | str, ...] | None) -> Tensor:
    """Return a tensor from what a model returned."""
    if not hasattr(output, field):
        raise ValueError(
            f"output must have {field}, as csae.models.CSAEOutput, got {type(output).__name__}"
        )
    return checks.tensor(f"output.{field}", getattr(output, field), shape, floating=True)


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
        self.smoothing = checks.number("smoothing", smoothing, above=0, below=1)

    def scale(self, num_classes: int) -> float:
        """Return the factor on the similarities that puts the minimum on the centroids.

        Smoothed labels ask for probabilities p = 1 - s + s/K of the true class and q = s/K of each
        other one, so for logits that differ by log(p/q). On a centroid of a simplex the
        similarities differ by 1 + 1/(K - 1) = K/(K - 1).

        Equations: similarity-scale.

        Raises:
            ValueError: There are fewer than two classes.
        """
        num_classes = checks.integer("num_classes", num_classes, 2)
        other = self.smoothing / num_classes
        return math.log((1 - self.smoothing + other) / other) * (num_classes - 1) / num_classes

    def forward(self, output: CSAEOutput, images: Tensor, labels: Tensor) -> Tensor:
        """Return the mean over a batch, for labels (N,) int64 in 0..K-1.

        Raises:
            ValueError: The output has no similarities, or the labels are others. On a GPU their
                values are not looked at.
        """
        similarities = at_least_float32(_output(output, "similarities", ("N", "K")))
        _check_labels(labels, *similarities.shape)
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
        self.space = checks.choice("space", space, SPACES)
        basis = class_subspace(centroids).float()  # (d, r)
        self.register_buffer("basis", basis if space == "class" else None)
        self.register_buffer("centroids", centroids.detach().float().clone())

    @property
    def num_classes(self) -> int:
        """Number of classes K: labels name one of them."""
        return len(self.centroids)

    def forward(self, output: Any, images: Tensor, labels: Tensor) -> Tensor:
        """Return the mean over a batch of ``output.latents`` (N, d), for labels (N,) int64.

        Raises:
            ValueError: The codes have other dimensions than the centroids, or the labels are
                others. On a GPU their values are not looked at.
        """
        latents = _output(output, "latents", ("N", self.centroids.shape[1]))
        latents = at_least_float32(latents)
        _check_labels(labels, len(latents), self.num_classes)
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

    Raises:
        ValueError: ``loss`` is no module.
    """

    def __init__(self, loss: nn.Module | None = None) -> None:
        super().__init__()
        self.loss = nn.MSELoss() if loss is None else checks.instance("loss", loss, nn.Module)

    def forward(self, output: Any, images: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of ``output.reconstructions`` (N, C, H, W) against ``images``.

        Raises:
            ValueError: Their shapes differ.
        """
        reconstructions = _output(output, "reconstructions", None)
        checks.tensor("images", images, floating=True)
        # Broadcast, other pixels would be compared.
        checks.same_shape("output.reconstructions", reconstructions, "images", images)
        error: Tensor = self.loss(at_least_float32(reconstructions), images)
        return error


class KLDivergence(nn.Module):
    """Divergence of the codes' Gaussians from the standard normal, in nats.

    Summed over dimensions, averaged over the batch; nothing is dropped. With weights of 1, the sum
    with `NegativeLogLikelihood` is minus the bound that a variational autoencoder maximises.
    """

    def forward(self, output: Any, images: Tensor, labels: Tensor) -> Tensor:
        """Return the mean of ``output.divergences`` (N,), those of `csae.models.VAEOutput`.

        Raises:
            ValueError: The output has none.
        """
        return at_least_float32(_output(output, "divergences", ("N",))).mean()


class NegativeLogLikelihood(nn.Module):
    """Minus the log-likelihood of the images given their codes, in nats.

    Summed over the pixels of the 28x28 image, averaged over the batch. The model says which
    likelihood it is, and `csae.models.log_likelihood` that no constant is dropped.
    """

    def forward(self, output: Any, images: Tensor, labels: Tensor) -> Tensor:
        """Return minus the mean of ``output.log_likelihoods`` (N,).

        Raises:
            ValueError: The output has none, as that of other models than a VAE.
        """
        return -at_least_float32(_output(output, "log_likelihoods", ("N",))).mean()


class CodeNorm(nn.Module):
    """Squared norm of the codes, divided by their dimensions; as the encoder made them."""

    def forward(self, output: Any, images: Tensor, labels: Tensor) -> Tensor:
        """Return the mean square of ``output.latents`` (N, d).

        Raises:
            ValueError: The output has none.
        """
        return at_least_float32(_output(output, "latents", ("N", "d"))).square().mean()


class DecoderNorm(nn.Module):
    """Sum of the squares of the decoder's parameters.

    Weight decay of the decoder alone, and part of the loss, so that every optimiser minimises it
    alike; the ``weight_decay`` of a training comes on top.
    """

    def forward(self, output: Any, images: Tensor, labels: Tensor) -> Tensor:
        """Return the scalar ``output.decoder_norm``.

        Raises:
            ValueError: The output has none, as that of other models than a regularised autoencoder.
        """
        return _output(output, "decoder_norm", ())


class JointLoss(nn.Module):
    """Weighted sum of named terms.

    Equations: joint-loss.

    Args:
        **terms: For each name, a weight (zero or more) and a term: a module that takes the model's
            output, images and labels, and returns a scalar. A term of weight 0 is not minimised,
            but reported.

    Raises:
        ValueError: A weight is negative or not finite, none is positive, or a term is no pair of a
            weight and a module.

    Example:
        >>> criterion = JointLoss(reconstruction=(1.0, ImageError()))
    """

    def __init__(self, **terms: tuple[float, nn.Module]) -> None:
        super().__init__()
        self.weights: dict[str, float] = {}
        for name, pair in terms.items():
            if name == "loss":
                raise ValueError("loss must not be the name of a term: it is that of their sum")
            if not isinstance(pair, tuple | list) or len(pair) != 2:
                raise ValueError(
                    f"{name} must be a pair of a weight and a module, got {checks.show(pair)}"
                )
            self.weights[name] = checks.number(f"{name}_weight", pair[0], least=0)
            checks.instance(name, pair[1], nn.Module)
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
