"""How a model is trained: what decides the result, apart from the machine that computes it."""

from __future__ import annotations

from dataclasses import dataclass, field

from csae import checks
from csae.data import Augmentation

OPTIMIZERS = ("adamw", "adam", "sgd", "muon")
SCHEDULES = ("one-cycle", "step", "constant")


@dataclass(frozen=True)
class TrainingConfig:
    """How to train.

    Attributes:
        epochs: Passes over the training images, at least 1.
        images_per_epoch: Images that such a pass takes, others in each; at least one batch. None
            for all of them, which is also what it means where there are fewer.
        batch_size: Images a step, over all processes; at least 2 (batch normalisation needs two).
        learning_rate: Largest one of the schedule, positive.
        weight_decay: Zero or more; decoupled in ``"adamw"``, else added to the gradient.
        optimizer: ``"adamw"``, ``"adam"``, ``"sgd"`` with momentum 0.9, or ``"muon"``: see
            `csae.muon.Muon`.
        schedule: ``"one-cycle"`` (up, then down to nearly zero, by the step), ``"step"`` (a tenth
            after each quarter of the epochs), or ``"constant"``.
        seed: Chooses first weights, order, augmentation and noise. On a CPU the same seed, thread
            count and versions repeat a run bit for bit.
        augmentation: Random changes to the training images.
    """

    epochs: int = 10
    images_per_epoch: int | None = None
    batch_size: int = 256
    learning_rate: float = 4e-3
    weight_decay: float = 1e-2
    optimizer: str = "adamw"
    schedule: str = "one-cycle"
    seed: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        checked: dict[str, float] = {
            "epochs": checks.integer("epochs", self.epochs, 1),
            "batch_size": checks.integer("batch_size", self.batch_size, 2),
        }
        taken = self.images_per_epoch
        if taken is not None:
            checked["images_per_epoch"] = _images_per_epoch(taken, int(checked["batch_size"]))
        checked["seed"] = checks.seed("seed", self.seed)
        checks.instance("augmentation", self.augmentation, Augmentation)
        checks.choice("optimizer", self.optimizer, OPTIMIZERS)
        checks.choice("schedule", self.schedule, SCHEDULES)
        checked["learning_rate"] = checks.number("learning_rate", self.learning_rate, above=0)
        checked["weight_decay"] = checks.number("weight_decay", self.weight_decay, least=0)
        # As plain numbers of Python, whatever kind they came in: they go into records.
        for name, value in checked.items():
            object.__setattr__(self, name, value)


def _images_per_epoch(value: object, batch_size: int) -> int:
    try:
        return checks.integer("images_per_epoch", value, batch_size)
    except ValueError:
        raise ValueError(
            f"images_per_epoch must be None or an integer of at least the batch_size {batch_size}, "
            f"got {checks.show(value)}"
        ) from None
