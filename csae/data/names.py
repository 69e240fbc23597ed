"""Names of the data sets, and of their classes."""

from __future__ import annotations

from csae import checks

_DIGITS = tuple("0123456789")
# As torchvision has them, which takes seconds to import.
_CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
_EMNIST_SPLITS = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
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
        return _CLOTHES
    if name == "mnist":
        return _DIGITS
    from torchvision.datasets import EMNIST

    names = EMNIST.classes_split_dict[name.removeprefix("emnist-")]
    return tuple(label for label in names if label != "N/A")
