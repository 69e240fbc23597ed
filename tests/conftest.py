"""Fixtures that several test files share."""

import math
from pathlib import Path

import pytest
import torch

import csae
from csae.data import ImageDataset

ROOT = Path(__file__).parents[1]


@pytest.fixture
def model() -> csae.CSAE:
    torch.manual_seed(0)
    return csae.CSAE(csae.simplex(10, 40, scale=math.sqrt(40)))


@pytest.fixture(scope="session")
def digits() -> ImageDataset:
    """A few hundred real digits, enough to learn something in seconds."""
    full = csae.load_dataset("mnist", "train", sample=True)
    return ImageDataset(
        full.images[:320], full.labels[:320], full.classes, "mnist-sample", "train", "of-a-part"
    )
