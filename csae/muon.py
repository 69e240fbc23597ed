"""Muon: an optimiser that moves every direction of a filter bank by about the same amount.

Taught in the chapter on learning in a minute.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from csae import checks

# Of x -> a x + b x^3 + c x^5, as Jordan and co-authors chose them: steep at 0, so that five rounds
# bring small values near 1, and not exact, which does not matter.
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ROUNDS = 5


def orthogonalise(matrix: Tensor) -> Tensor:
    """Bring all singular values of a matrix near 1; its singular vectors stay.

    The singular values, divided by the root of the sum of their squares, pass five times through
    an odd polynomial, which needs matrix products only (Newton-Schulz iteration; Jordan and
    co-authors, 2024). Those above 0.002 then lie between 0.68 and 1.21.

    Args:
        matrix: (A, B) floating-point; not all zero, or zeros return.

    Returns:
        The matrix with its new singular values, of the same shape and type.

    Raises:
        ValueError: ``matrix`` has another shape or type.

    Equations: steepest-step, newton-schulz.
    """
    checks.tensor("matrix", matrix, ("A", "B"), floating=True)
    wide = matrix if len(matrix) <= matrix.shape[1] else matrix.T  # the products below are smaller
    turned = wide / wide.norm().clamp(min=1e-7)
    a, b, c = _COEFFICIENTS
    for _ in range(_ROUNDS):
        square = turned @ turned.T
        odd = torch.addmm(square, square, square, beta=b, alpha=c)  # b * square + c * square^2
        turned = torch.addmm(turned, odd, turned, beta=a)
    result: Tensor = turned if len(matrix) <= matrix.shape[1] else turned.T
    return result


class Muon(torch.optim.AdamW):
    """Muon for the filters of convolutions, AdamW for all other parameters.

    Where AdamW divides a gradient's running mean by its running size, entry by entry, Muon takes
    the mean as a matrix, a row for each filter, and makes it orthogonal. Filters are weights of
    four dimensions with more than one channel on either side. Their updates are scaled so that
    learning rates and weight decays of AdamW suit them (Liu and co-authors, 2025).

    PyTorch's own `torch.optim.Muon` takes matrices only, and computes in bfloat16, which many
    processors have to emulate.

    Equations: muon-update.

    Args:
        model: Its parameters are optimised.
        lr: Learning rate of both.
        weight_decay: Of both, decoupled.
        betas: As AdamW's; the first is Muon's momentum, too.
        fused: As AdamW's.

    Raises:
        ValueError: An argument is something else, or the model has no parameters.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        lr: float = 1e-3,
        weight_decay: float = 1e-2,
        betas: tuple[float, float] = (0.95, 0.999),
        fused: bool | None = None,
    ) -> None:
        checks.instance("model", model, nn.Module)
        lr = checks.number("lr", lr, least=0)
        weight_decay = checks.number("weight_decay", weight_decay, least=0)
        decays = checks.sequence("betas", betas, "two numbers")
        if len(decays) != 2:
            raise ValueError(f"betas must be two numbers, got {checks.show(betas)}")
        first, second = (checks.number("betas", beta, least=0, below=1) for beta in decays)
        if fused is not None:
            checks.flag("fused", fused)
        groups: dict[bool, list[Tensor]] = {True: [], False: []}
        for parameter in model.parameters():
            groups[parameter.ndim == 4 and min(parameter.shape[:2]) > 1].append(parameter)
        super().__init__(
            [{"params": own, "muon": muon} for muon, own in groups.items() if own],
            lr=lr,
            weight_decay=weight_decay,
            betas=(first, second),
            fused=fused,
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Update all parameters; the gradients of filters are used up and removed."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"] if group["muon"] else ():
                if weight.grad is not None:
                    self._update(weight, weight.grad, group)
                    weight.grad = None  # so that AdamW passes it over
        super().step()
        return loss

    def _update(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if not state:  # named as AdamW's, which looks at the states of all parameters
            state["step"] = torch.zeros(())
            state["exp_avg"] = torch.zeros_like(weight)
        state["step"] += 1
        momentum, rate = group["betas"][0], group["lr"]
        mean = state["exp_avg"].lerp_(gradient, 1 - momentum)
        ahead = gradient.lerp(mean, momentum)  # Nesterov's momentum
        turned = orthogonalise(ahead.flatten(1))  # (out, in * height * width)
        size = 0.2 * max(turned.shape) ** 0.5  # entries are then about 0.2, as AdamW's
        weight.mul_(1 - rate * group["weight_decay"])
        weight.sub_(turned.view_as(weight), alpha=rate * size)
