"""Typical wrong answers to the exercises, one module a chapter: (check, answer, hint expected)."""

from tests.mistakes import (
    centroids,
    comparing,
    distributed,
    ingredients,
    losses,
    muon,
    networks,
    noise,
    results,
    training,
    variational,
    wavelets,
)

MISTAKES = [
    *centroids.MISTAKES,
    *networks.MISTAKES,
    *losses.MISTAKES,
    *wavelets.MISTAKES,
    *noise.MISTAKES,
    *training.MISTAKES,
    *distributed.MISTAKES,
    *muon.MISTAKES,
    *comparing.MISTAKES,
    *variational.MISTAKES,
    *results.MISTAKES,
    *ingredients.MISTAKES,
]
