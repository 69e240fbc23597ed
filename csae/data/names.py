"""Names of the data sets, and of their classes."""

from __future__ import annotations

import torchvision

from csae import checks

_DIGITS = tuple("0123456789")
_EMNIST_SPLITS = torchvision.datasets.EMNIST.splits
DATASETS = ("mnist", "fashion-mnist", *(f"emnist-{split}" for split in _EMNIST_SPLITS))
SAMPLES = ("mnist", "fashion-mnist")  # data sets that have a sample inside the package


def class_names(name: str) -> tuple[str, ...]:
    """Return the class names of a data set, without its files; ``[label]`` names a label.

    Args:
        name: One of ``DATASETS``.

    Raises:
        ValueError: There is no such data set.
    """
    checks.choice("name", name, DATASETS)
    if name == "fashion-mnist":
        return tuple(torchvision.datasets.FashionMNIST.classes)
    if name == "mnist":
        return _DIGITS
    names = torchvision.datasets.EMNIST.classes_split_dict[name.removeprefix("emnist-")]
    return tuple(label for label in names if label != "N/A")
