"""Fixtures that several test files share."""

import math
import os
from pathlib import Path

# One thread, also in the processes that tests start: the same rounding on every machine, and no
# waiting for each other where tests run side by side. PyTorch reads it when it is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

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
    return csae.load_dataset("mnist", "train", sample=True).first(320)
