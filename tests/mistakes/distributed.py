"""Typical mistakes in the exercises of the chapter on sharing a batch."""

import math


def sent(n, b, p, k):
    return n // b * 2 * (k - 1) / k * 4 * p


MISTAKES = [
    ("own_images", ..., "Replace the three dots"),
    ("own_images", lambda o, r, p: o.tolist(), "Return a torch tensor, not a list"),
    ("own_images", lambda o, r, p: o.view(len(o), p, -1)[:, r], "of one dimension"),
    ("own_images", lambda o, r, p: o.flatten().view(p, -1)[r], "They share each batch"),
    ("own_images", lambda o, r, p: o[:, r::p].flatten(), "like cards"),
    ("own_images", lambda o, r, p: o.flatten(), "its share is"),
    ("own_images", lambda o, r, p: o.view(len(o), p, -1)[:, r].T.flatten(), "in another order"),
    (
        "own_images",
        lambda o, r, p: o.view(len(o), p, -1)[:, (r + 1) % p].flatten(),
        "you return .* and not",
    ),
    ("sent_bytes", ..., "Replace the three dots"),
    ("sent_bytes", lambda n, b, p, k: n // b * 4 * p, "to whom would it send"),
    ("sent_bytes", lambda n, b, p, k: sent(n, b, p, k) / 4, "values, not bytes"),
    ("sent_bytes", lambda n, b, p, k: sent(b, b, p, k), "That is one step"),
    ("sent_bytes", lambda n, b, p, k: sent(n, b, p, k) / 2, "Parts go round twice"),
    ("sent_bytes", lambda n, b, p, k: sent(n, b, p, k) * k, "all processes together send"),
    ("sent_bytes", lambda n, b, p, k: sent(b, b, p, k) * n, "not one an image"),
    ("sent_bytes", lambda n, b, p, k: sent(b, b, p, k) * n / b, "not full are left out"),
    ("sent_bytes", lambda n, b, p, k: sent(n, b // k, p, k), "all processes together"),
    ("sent_bytes", lambda n, b, p, k: (k - 1) * 1e7, "How many steps"),
    ("best_count", ..., "Replace the three dots"),
    ("best_count", lambda t, a, m: t / (2 * m * a), "the square of the number"),
    ("best_count", lambda t, a, m: math.sqrt(t / (m * a)), "one way and back"),
    ("best_count", lambda t, a, m: math.sqrt(t / (2 * a)), "more than one sum"),
    ("best_count", lambda t, a, m: math.sqrt(2 * m * a / t), "Turn the fraction round"),
    (
        "best_count",
        lambda t, a, m: (
            t / (2 * (math.sqrt(t / (2 * m * a)) - 1) * m * a + math.sqrt(2 * t * m * a))
        ),
        "not with how many processes",
    ),
    ("best_count", lambda t, a, m: 8.0, "where is its derivative zero"),
]
