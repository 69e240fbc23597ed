"""Typical wrong answers to the exercises, one module a chapter: (check, answer, hint expected)."""

from tests.mistakes import centroids, networks

MISTAKES = [*centroids.MISTAKES, *networks.MISTAKES]
