"""Typical mistakes in the exercises of the chapter on the wavelet loss."""

import torch


def undo(factor=0.5, swap=False):
    def undo_haar(a, h, v, d):
        if swap:
            h, v = v, h
        signs = ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))
        return tuple(factor * (a + i * h + j * v + k * d) for i, j, k in signs)

    return undo_haar


def shares(count):
    return [4.0 ** (1 - count), *(3 * 4.0**-level for level in range(count - 1, 0, -1))]


def weighed(parts, weights):
    return sum(part * weight for part, weight in zip(parts, weights, strict=True))


def gradients(x):
    return x.diff(dim=-1), x.diff(dim=-2)


def energy(x):
    return sum(g.square().mean() for g in gradients(x))


MISTAKES = [
        ("undo_haar", lambda a, h, v, d: (..., ..., ..., ...), "three dots of a"),
        ("undo_haar", lambda a, h, v, d: a, "Return the four pixels"),
        ("undo_haar", lambda a, h, v, d: undo()(a, h, v, d)[:3], "Return the four pixels"),
        ("undo_haar", undo(1.0), "a is 2 times what it should be"),
        ("undo_haar", undo(0.25), "a is 0.5 times what it should be"),
        ("undo_haar", undo(swap=True), "Pixel b is wrong"),
        ("undo_haar", lambda a, h, v, d: (1.0, 2.0, 3.0, 4.0), "Return a torch tensor"),
        ("white_error", lambda w: sum(w) / len(w), "weigh each by its share"),
        ("white_error", lambda w: float(sum(w)), "Divide by the number of pixels"),
        (
            "white_error",
            lambda w: weighed([shares(len(w))[0], *shares(len(w))[:0:-1]], w),
            "from coarse to fine",
        ),
        (
            "white_error",
            lambda w: weighed([s / (1 if k == 0 else 3) for k, s in enumerate(shares(len(w)))], w),
            "three detail bands",
        ),
        ("white_error", lambda w: 0.9, "the shares of all bands add up to 1"),
        ("white_error", lambda w: torch.ones(()), "Return a number, not a Tensor"),
        ("edge_loss", lambda x, y: (x - y).square().mean(), "differ in brightness only"),
        ("edge_loss", lambda x, y: (energy(x) - energy(y)).abs(), "subtract before you average"),
        ("edge_loss", lambda x, y: energy(x), "For equal images the loss should be zero"),
        ("edge_loss", lambda x, y: (x - y).diff().square().mean(), "to the right only"),
        ("edge_loss", lambda x, y: (x - y).diff(dim=-2).square().mean(), "downwards only"),
        ("edge_loss", lambda x, y: energy(x - y) / 2, "do not average them"),
        ("edge_loss", lambda x, y: -energy(x - y), "never be negative"),
        ("edge_loss", lambda x, y: (x - y).diff().square(), r"should have shape \(\)"),
        (
            "edge_loss",
            lambda x, y: sum(g.abs().mean() for g in gradients(x - y)),
            "mean of squared differences",
        ),
]  # fmt: skip
