"""The charge model: equal charges on a sphere, the original construction of PEDCC."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from csae import checks
from csae.centroids.constructions import check_size, random_directions


def charge_model(
    num_classes: int,
    latent_dim: int,
    *,
    scale: float = 1.0,
    seed: int = 0,
    step: float = 0.01,
    steps: int = 200,
    trajectory: bool = False,
) -> Tensor:
    """Let equal charges on a sphere repel each other, after the original construction of PEDCC.

    Charges start in random directions and at rest. In each step they move by their velocities,
    return to the sphere, and gain ``step`` times the part of the force along the sphere in
    velocity. The force of each pair falls with the square of the distance. There is no friction;
    but velocities come to point outwards as charges move on, and the return to the sphere cancels
    that part.

    Equations: charge-step.

    Args:
        num_classes: Number of charges K, at least 1.
        latent_dim: Dimension d of the space they live in, at least 2.
        scale: Norm of every centroid, from 1e-100 to 1e100.
        seed: Chooses the start.
        step: Gain of velocity per unit of force, from 1e-100 to 1e100.
        steps: Number of steps, at least 0.
        trajectory: Return the positions before and after each step, not only the last ones.

    Returns:
        Float64 tensor (K, d) with rows of norm ``scale``, or (steps + 1, K, d) with ``trajectory``.

    Raises:
        ValueError: An argument is out of range.
    """
    num_classes, latent_dim = check_size(num_classes, latent_dim, scale)
    if latent_dim < 2:
        raise ValueError("latent_dim must be at least 2 for charges to move along, got 1")
    steps = checks.integer("steps", steps, 0)
    checks.number("step", step, least=1e-100, most=1e100)
    checks.flag("trajectory", trajectory)

    charges = random_directions(num_classes, latent_dim, seed=seed)  # (K, d)
    # Forces are sums of positions, so nothing leaves the span of the start: a charge needs K
    # coordinates only.
    span = torch.linalg.qr(charges.T).Q if latent_dim > num_classes else None  # (d, K)
    if span is not None:
        charges = charges @ span
    velocities = torch.zeros_like(charges)
    positions = [charges]
    for _ in range(steps):
        inverse = (2 - 2 * charges @ charges.T).fill_diagonal_(math.inf).rsqrt_()  # 1 / distance
        # The force on x_i is the sum of (x_i - x_j) / distance^3. Along x_i itself it is the sum of
        # (1 - cos) / distance^3 = 1 / (2 distance); what remains is tangential.
        strength = inverse.pow(3)  # (K, K)
        outward = (strength.sum(dim=1) - inverse.sum(dim=1) / 2).unsqueeze(1)
        tangential = torch.addmm(outward * charges, strength, charges, alpha=-1)  # (K, d)
        charges = torch.nn.functional.normalize(charges + velocities, dim=1)
        velocities.add_(tangential, alpha=step)
        if trajectory:
            positions.append(charges)
    path = torch.stack(positions) if trajectory else charges
    return scale * (path if span is None else path @ span.T)
