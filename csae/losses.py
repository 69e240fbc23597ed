"""The joint loss: classify and reconstruct from the same code.

Taught in the chapter on classification supervision.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional as F

from csae.networks import CSAEOutput


class CSAELoss(nn.Module):
    """Weighted sum of cross-entropy on centroid similarities and image mean squared error.

    Plain cross-entropy has no minimum: it pushes codes ever further out, past their centroids.
    With smoothed labels it has one, and the similarities are scaled so that this minimum lies
    exactly on the centroids of a simplex.

    Args:
        classification_weight: Weight of the cross-entropy (in nats), zero or more.
        reconstruction_weight: Weight of the mean squared error of images in [-1, 1], zero or more.
        smoothing: Share of each label that is spread evenly over all classes, between 0 and 1,
            both excluded.

    Raises:
        ValueError: A weight is negative or not finite, both are zero, or ``smoothing`` is out of
            range.
    """

    def __init__(
        self,
        classification_weight: float = 1.0,
        reconstruction_weight: float = 10.0,
        *,
        smoothing: float = 0.1,
    ) -> None:
        super().__init__()
        for name, value in (
            ("classification_weight", classification_weight),
            ("reconstruction_weight", reconstruction_weight),
        ):
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be a finite number of at least 0, got {value!r}")
        if classification_weight == reconstruction_weight == 0:
            raise ValueError(
                "classification_weight and reconstruction_weight are both 0: nothing to learn"
            )
        if not 0 < smoothing < 1:
            raise ValueError(f"smoothing must be between 0 and 1, both excluded, got {smoothing!r}")
        self.classification_weight = classification_weight
        self.reconstruction_weight = reconstruction_weight
        self.smoothing = smoothing

    def scale(self, num_classes: int) -> float:
        """Return the factor on the similarities that puts the minimum on the centroids.

        Smoothed labels ask for probabilities p = 1 - s + s/K of the true class and q = s/K of each
        other one, so for logits that differ by log(p/q). On a centroid of a simplex the
        similarities differ by 1 + 1/(K - 1) = K/(K - 1).
        """
        other = self.smoothing / num_classes
        return math.log((1 - self.smoothing + other) / other) * (num_classes - 1) / num_classes

    def forward(self, output: CSAEOutput, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Compare a model's output with the truth.

        Args:
            output: What the model returned for ``images``.
            images: (N, 1, 32, 32) in [-1, 1].
            labels: (N,) int64 in 0..K-1.

        Returns:
            Scalars: ``loss``, the weighted sum to minimise, and its terms before weighting,
            ``classification`` and ``reconstruction``.
        """
        # float(): under bfloat16 autocast the outputs carry 8 significant bits, too few for a mean.
        logits = self.scale(output.similarities.shape[1]) * output.similarities.float()
        classification = F.cross_entropy(logits, labels, label_smoothing=self.smoothing)
        reconstruction = F.mse_loss(output.reconstructions.float(), images)
        loss = (
            self.classification_weight * classification
            + self.reconstruction_weight * reconstruction
        )
        return {"loss": loss, "classification": classification, "reconstruction": reconstruction}
