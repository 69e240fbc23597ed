"""Ways to train the published network that `benchmarks.training` compares.

Each class or function below whose name begins with ``prepare`` takes the images and a `Task`, and
returns a call that trains one epoch. A second epoch goes on with the network of the first.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

import csae
from csae.data import ImageDataset, prepare
from csae.losses import JointLoss
from csae.networks import PatchUpsample
from csae.recipes import recipe

DATASET = "fashion-mnist"
NUM_CLASSES = 10
WARM_UP_STEPS = 3
Epoch = Callable[[], None]


@dataclass(frozen=True)
class Task:
    """What to train, the same for all contenders.

    Attributes:
        recipe: Name of the recipe of `csae` that says what is minimised, and how.
        batch_size: Images a step.
        images: Images an epoch; None for all training images.
        root: Folder of the data sets, as `csae.load_dataset` takes it.
        sample: Whether to take the sample inside the package instead.
        accelerator: ``"cpu"`` or ``"cuda"``; pythae's trainer knows the CPU only.
    """

    recipe: str
    batch_size: int
    images: int | None = None
    root: Path | None = None
    sample: bool = False
    accelerator: str = "cpu"

    def dataset(self) -> ImageDataset:
        """Return the training images."""
        found = csae.load_dataset(DATASET, "train", self.root, download=False, sample=self.sample)
        return found if self.images is None else first(found, self.images)

    def settings(self) -> csae.TrainingConfig:
        """Return the recipe's settings for one epoch."""
        found = recipe(self.recipe, DATASET).training
        if self.recipe == "quick":  # loops are compared: with what an ordinary one has
            ordinary = csae.Augmentation(flip=True)
            found = dataclasses.replace(found, optimizer="adamw", augmentation=ordinary)
        return dataclasses.replace(
            found,
            epochs=1,
            images_per_epoch=None,
            batch_size=self.batch_size,
        )

    def machine(self, precision: str, cuda_graphs: bool = True) -> csae.Machine:
        """Return what `csae.train` computes with."""
        return csae.Machine(self.accelerator, precision=precision, cuda_graphs=cuda_graphs)

    def build(self) -> tuple[csae.Autoencoder, JointLoss]:
        """Return the network, with the same weights each time, and the loss."""
        torch.manual_seed(0)
        return recipe(self.recipe, DATASET).build(NUM_CLASSES)


def first(dataset: ImageDataset, count: int) -> ImageDataset:
    """Return the first images of a data set, under its name and fingerprint."""
    return dataclasses.replace(
        dataset, images=dataset.images[:count], labels=dataset.labels[:count]
    )


def warmed_up(prepare: Callable[..., Epoch], task: Task, *arguments: Any) -> Epoch:
    """Train a few steps with one network, then return the epoch of a second one.

    The first steps compile kernels and ask for memory; both stay with the process.
    """
    dataset = task.dataset()
    prepare(first(dataset, WARM_UP_STEPS * task.batch_size), task, *arguments)()
    return prepare(dataset, task, *arguments)


def whole_run(prepare: Callable[..., Epoch], task: Task, *arguments: Any) -> Epoch:
    """Return a call that does everything: it reads the files, sets up, and trains one epoch."""
    return lambda: prepare(task.dataset(), task, *arguments)()


def prepare_csae(
    dataset: ImageDataset, task: Task, precision: str, cuda_graphs: bool = True
) -> Epoch:
    """`csae.train` as it is. Each call sets itself up anew; the time of an epoch includes that."""
    model, criterion = task.build()
    settings, machine = task.settings(), task.machine(precision, cuda_graphs)

    def epoch() -> None:
        csae.train(model, criterion, dataset, settings, machine=machine, progress=False)

    return epoch


class PilImages(Dataset):
    """Items as `torchvision.datasets.FashionMNIST` makes them: a PIL image, then its transform."""

    def __init__(self, dataset: ImageDataset, transform: Callable[[Image.Image], Tensor]) -> None:
        self.images, self.labels = dataset.images.squeeze(1), dataset.labels
        self.transform = transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index].numpy())), int(self.labels[index])


def prepare_loader(dataset: ImageDataset, task: Task) -> Epoch:
    """An ordinary loop: images one by one through torchvision's transforms, by two workers."""
    steps = [transforms.Pad(2), transforms.ToTensor(), transforms.Normalize(0.5, 0.5)]
    if task.settings().augmentation.flip:
        steps.insert(1, transforms.RandomHorizontalFlip())
    images = PilImages(dataset, transforms.Compose(steps))
    loader = DataLoader(
        images,
        task.batch_size,
        shuffle=True,
        num_workers=2,
        drop_last=True,
        persistent_workers=True,  # they start once, not in every epoch
        pin_memory=task.accelerator == "cuda",
    )
    return PlainLoop(task, loader)


class InMemory:
    """Batches cut from one tensor of finished images; only mirroring is left to do."""

    def __init__(self, dataset: ImageDataset, batch_size: int, flip: bool) -> None:
        self.images, self.labels = prepare(dataset.images), dataset.labels
        self.device = self.images.device
        self.batch_size, self.flip = batch_size, flip

    def __len__(self) -> int:
        return len(self.images) // self.batch_size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(self.images), device=self.device)
        for rows in order[: len(self) * self.batch_size].split(self.batch_size):
            images = self.images[rows]
            if self.flip:
                mirrored = torch.rand(len(images), 1, 1, 1, device=self.device) < 0.5
                images = torch.where(mirrored, images.flip(-1), images)
            yield images, self.labels[rows]


def prepare_in_memory(dataset: ImageDataset, task: Task) -> Epoch:
    """The same loop on finished images in memory: what remains is computing."""
    flip = task.settings().augmentation.flip
    there = dataset.to(task.accelerator)
    return PlainLoop(task, InMemory(there, task.batch_size, flip))


class PlainLoop:
    """Training the way tutorials write it: float32, PyTorch's layers and defaults.

    With SGD there is one optimiser for the encoder and one for the decoder, as in the authors'
    published code; they change their learning rate between epochs only.
    """

    def __init__(self, task: Task, batches: DataLoader | InMemory) -> None:
        model, self.criterion = task.build()
        self.model = torch_network(model).to(task.accelerator)
        self.accelerator = task.accelerator
        self.batches, self.settings = batches, task.settings()

    def optimizers(self) -> tuple[list[Optimizer], LRScheduler | None]:
        """Return what the recipe asks for."""
        how = self.settings
        rates = {"lr": how.learning_rate, "weight_decay": how.weight_decay}
        if how.optimizer == "sgd":
            halves = (self.model.encoder, self.model.decoder)
            return [SGD(half.parameters(), momentum=0.9, **rates) for half in halves], None
        optimizer = AdamW(self.model.parameters(), **rates)
        return [optimizer], OneCycleLR(optimizer, how.learning_rate, total_steps=len(self.batches))

    def __call__(self) -> None:
        """Train one epoch."""
        optimizers, schedule = self.optimizers()
        self.model.train()
        total = 0.0
        for images, labels in self.batches:
            images, labels = images.to(self.accelerator), labels.to(self.accelerator)
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss = self.criterion(self.model(images), images, labels)["loss"]
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
            if schedule is not None:
                schedule.step()
            total += loss.item()
        if not math.isfinite(total):  # arithmetic with NaN may take another time
            raise FloatingPointError(f"the losses of the ordinary loop sum up to {total}")


def torch_network(model: csae.CSAE) -> csae.CSAE:
    """Put PyTorch's transposed convolutions in the place of ours; return the same network."""
    for index, layer in enumerate(model.decoder):
        if isinstance(layer, PatchUpsample):
            theirs = nn.ConvTranspose2d(
                layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride
            )
            theirs.load_state_dict(layer.state_dict())
            model.decoder[index] = theirs
    return model


@torch.no_grad()
def check_networks(task: Task) -> float:
    """Return the largest difference that PyTorch's layers make to outputs; raise if it is large."""
    images = prepare(first(task.dataset(), 64).images)
    ours, theirs = task.build()[0].eval(), torch_network(task.build()[0]).eval()
    difference = max(
        (a - b).abs().max().item() for a, b in zip(ours(images), theirs(images), strict=True)
    )
    if difference > 1e-4:
        raise RuntimeError(f"the networks of csae and of the loops differ by {difference:.1e}")
    return difference
