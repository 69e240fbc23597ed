"""Typical mistakes in the exercises of the chapter on autoencoder design."""

import math

import torch


def kept(variances):
    return variances.cumsum(0) / variances.sum()


def size(image_size, blocks, first=2, halve=lambda n: math.ceil(n / 2)):
    image_size -= first
    for _ in range(blocks):
        image_size = halve(image_size)
    return image_size


def block(i, o, n, *, biases=1, norms=2, shortcut=True, half=lambda n: math.ceil(n / 2), times=1):
    weights = 9 * i * o + 9 * o * o + shortcut * i * o
    return weights + 2 * norms * o + biases * o, times * weights * half(n) ** 2


MISTAKES = [
        ("components_needed", lambda v, s: (kept(v) < s).sum(), "Return an int, not a Tensor"),
        ("components_needed", lambda v, s: int((kept(v) < s).sum()), "count one further"),
        ("components_needed", lambda v, s: int((kept(v) <= s).sum()) + 1, "One fewer is enough"),
        ("components_needed", lambda v, s: int((1 - kept(v) > s).sum()) + 1, "may be lost"),
        ("components_needed", lambda v, s: 5, "How much of their sum 16"),
        ("components_needed", lambda v, s: ..., "replace the three dots"),
        ("encoded_size", lambda n, b: size(n, b, first=0), "has no padding"),
        ("encoded_size", lambda n, b: size(n, b, halve=lambda n: n // 2), "rounded up, not down"),
        ("encoded_size", lambda n, b: size(n, b, halve=lambda n: n / 2), "round up at each block"),
        ("encoded_size", lambda n, b: (n - 2) // 2 if b else n - 2, "there can be several"),
        ("encoded_size", lambda n, b: 4, "30, 15, 8 and 4"),
        ("encoded_size", lambda n, b: "small", "Return a number, not a str"),
        ("block_cost", lambda i, o, n: block(i, o, n)[0], "Return two numbers"),
        ("block_cost", lambda i, o, n: block(i, o, n, biases=0, norms=0), "lack the batch norm"),
        ("block_cost", lambda i, o, n: block(i, o, n, biases=0), "lack the bias of the shortcut"),
        ("block_cost", lambda i, o, n: block(i, o, n, norms=0), "lack the two batch norm"),
        ("block_cost", lambda i, o, n: block(i, o, n, norms=1), "there are two batch norm"),
        ("block_cost", lambda i, o, n: block(i, o, n, biases=3), "of the body have no bias"),
        (
            "block_cost",
            lambda i, o, n: block(i, o, n, biases=0, shortcut=False),
            "parameters lack the shortcut",
        ),
        (
            "block_cost",
            lambda i, o, n: block(i, o, n, shortcut=False),
            "lack the weights of the shortcut",
        ),
        ("block_cost", lambda i, o, n: (1, 1), "Go through them one by one"),
        ("block_cost", lambda i, o, n: block(i, o, n, half=lambda n: n), "not of the input"),
        ("block_cost", lambda i, o, n: block(i, o, n, half=lambda n: n // 2), "rounded up"),
        ("block_cost", lambda i, o, n: block(i, o, n, half=lambda n: n / 2), "rounded up"),
        ("block_cost", lambda i, o, n: block(i, o, n, times=2), "count as one"),
        (
            "block_cost",
            lambda i, o, n: (block(i, o, n)[0], block(i, o, n)[0] * math.ceil(n / 2) ** 2),
            "have no multiply-adds",
        ),
        (
            "block_cost",
            lambda i, o, n: (block(i, o, n)[0], block(i, o, 1)[1] * math.ceil(n / 2)),
            "square the size",
        ),
        (
            "block_cost",
            lambda i, o, n: (block(i, o, n)[0], block(i, o, n, shortcut=False)[1]),
            "multiply-adds lack the shortcut",
        ),
        ("block_cost", lambda i, o, n: (block(i, o, n)[0], 1), "weights times places"),
        ("undo_change", lambda w, a: w, "This is the old weight"),
        ("undo_change", lambda w, a: w @ a, "a second time"),
        ("undo_change", lambda w, a: w @ a.T, "for a rotation only"),
        ("undo_change", lambda w, a: w @ torch.linalg.inv(a).T, "but transposed"),
        ("undo_change", lambda w, a: a @ w.T, r"shape \(6, 3\); yours has \(3, 6\)"),
        ("undo_change", lambda w, a: 2 * w @ torch.linalg.inv(a), "W' A = W"),
]  # fmt: skip
