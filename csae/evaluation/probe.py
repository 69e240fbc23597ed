"""How much codes say about classes to a linear classifier that is trained afterwards."""

from __future__ import annotations

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from csae import checks


def probe_accuracy(
    latents: Tensor, labels: Tensor, other_latents: Tensor, other_labels: Tensor
) -> float:
    """Accuracy of a linear probe: multinomial logistic regression on codes (Alain and Bengio 2016).

    It is how a model that names no classes is compared with those that do. Dimensions are centred
    and scaled to variance 1 by the codes it learns from, and its weights are held by scikit-learn's
    default penalty.

    Args:
        latents: (N, d) codes to learn from.
        labels: (N,) int64, their classes from 0 on, at least two of them.
        other_latents: (M, d) codes to classify.
        other_labels: (M,) int64, their classes.

    Returns:
        Fraction classified correctly, in 0..1.

    Raises:
        ValueError: The arguments do not fit together, or labels name one class only.
    """
    checks.tensor("latents", latents, ("N", "d"), floating=True, finite=True)
    checks.labels("labels", labels, len(latents), len(latents))
    shape = ("M", latents.shape[1])
    checks.tensor("other_latents", other_latents, shape, floating=True, finite=True)
    checks.tensor("other_labels", other_labels, (len(other_latents),), dtype=torch.int64)
    if labels.min() == labels.max():
        raise ValueError(f"labels must name at least two classes, got only {int(labels[0])}")
    # Not at the top: it takes seconds to import.
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    with threadpool_limits(1):  # threads that wait for each other take far longer on busy cores
        probe.fit(latents.detach().cpu().double().numpy(), labels.cpu().numpy())
        score = probe.score(other_latents.detach().cpu().double().numpy(), other_labels.cpu())
    return float(score)
