"""Typical wrong answers to the exercises, one module a chapter: (check, answer, hint expected)."""

from tests.mistakes import centroids, losses, wavelets

MISTAKES = [*centroids.MISTAKES, *losses.MISTAKES, *wavelets.MISTAKES]
