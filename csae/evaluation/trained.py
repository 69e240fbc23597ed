"""What the measures of an experiment are given: a trained model, and the images of its run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from csae import checks
from csae.data import ImageDataset
from csae.models import Autoencoder


@dataclass(frozen=True)
class Trained:
    """A trained model, with the images that it may be measured on.

    Attributes:
        model: The model, in any mode.
        parts: The parts of its data set by name: ``"train"``, and ``"validation"`` or ``"test"`` or
            both.
        similarity_scale: Factor on the similarities of codes to classes that makes them logits, as
            in the loss the model was trained with (see `csae.losses.CentroidCrossEntropy.scale`);
            positive.

    Raises:
        ValueError: An argument is something else, or there is no part to measure on.
    """

    model: Autoencoder
    parts: Mapping[str, ImageDataset]
    similarity_scale: float = 1.0

    def __post_init__(self) -> None:
        checks.instance("model", self.model, Autoencoder)
        checks.instance("parts", self.parts, Mapping)  # type: ignore[type-abstract]
        for name, part in self.parts.items():
            checks.instance(f"parts[{name!r}]", part, ImageDataset)
        if "train" not in self.parts or not {"validation", "test"} & self.parts.keys():
            raise ValueError(
                "parts must hold 'train', and 'validation' or 'test', got "
                f"{checks.show(sorted(self.parts))}"
            )
        scale = checks.number("similarity_scale", self.similarity_scale, above=0)
        object.__setattr__(self, "similarity_scale", scale)

    @property
    def held_out(self) -> ImageDataset:
        """The images to measure on: test images where they were loaded, else validation images.

        An experiment loads test images only when it chooses nothing by what it measures.
        """
        return self.parts["test" if "test" in self.parts else "validation"]


Measure: TypeAlias = Callable[[Trained], Mapping[str, float]]
