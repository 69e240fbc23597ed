"""The trainer of pythae (Chadebec et al. 2022) on the published network, for `benchmarks.training`.

pythae trains autoencoders of many kinds, without labels. Its plain autoencoder `AE` takes any
encoder and decoder: here those of the published network, with PyTorch's layers. It minimises the
squared error of the images, in float32, and reads single images through a data loader of its own,
by default without workers. So it has less to do than the others: no labels, no mirrored images,
no cross-entropy.

An epoch is `BaseTrainer.train_step`, pythae's loop over the batches with its progress bar. What its
`train` does around that is left out: it copies the whole model after each epoch, and writes it at
the end.
"""

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from pythae.data.datasets import BaseDataset
from pythae.models import AE, AEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from torch import Tensor, nn

from benchmarks.contenders import Task, torch_network
from csae.data import ImageDataset, prepare


class Encoder(BaseEncoder):
    """An encoder as pythae wants it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> ModelOutput:
        """Return codes (N, d) of images (N, 1, S, S)."""
        return ModelOutput(embedding=self.network(images))


class Decoder(BaseDecoder):
    """A decoder as pythae wants it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, codes: Tensor) -> ModelOutput:
        """Return images (N, 1, S, S) of codes (N, d)."""
        return ModelOutput(reconstruction=self.network(codes))


@contextmanager
def silence() -> Iterator[None]:
    """Swallow pythae's log and its progress bar."""
    logging.getLogger("pythae").setLevel(logging.ERROR)
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("pythae.")]:
        logging.getLogger(name).setLevel(logging.ERROR)  # each sets its own level on import
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        yield


class PythaeEpoch:
    """A call that trains one epoch."""

    def __init__(self, dataset: ImageDataset, task: Task) -> None:
        network = torch_network(task.build()[0])
        model = AE(
            AEConfig(input_dim=(1, 32, 32), latent_dim=network.latent_dim),
            Encoder(network.encoder),
            Decoder(network.decoder),
        )
        settings = task.settings()
        self._folder = tempfile.TemporaryDirectory()  # goes with this object
        config = BaseTrainerConfig(
            output_dir=self._folder.name,
            per_device_train_batch_size=task.batch_size,
            num_epochs=1,
            optimizer_cls="AdamW",
            optimizer_params={"weight_decay": settings.weight_decay},
            learning_rate=settings.learning_rate,
            no_cuda=True,
        )
        with silence():
            self.trainer = BaseTrainer(
                model, BaseDataset(prepare(dataset.images), dataset.labels), training_config=config
            )
            self.trainer.prepare_training()

    def __call__(self) -> None:
        """Train one epoch."""
        with silence():
            self.trainer.train_step(1)
