"""Typical wrong answers to the exercises, one module a chapter: (check, answer, hint expected)."""

from tests.mistakes import centroids, networks, wavelets

MISTAKES = [*centroids.MISTAKES, *networks.MISTAKES, *wavelets.MISTAKES]
