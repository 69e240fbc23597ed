"""Image data sets as plain tensors, and batches drawn from them.

A data set is one uint8 tensor of images and one int64 tensor of labels. Batches are cut from it,
padded and scaled on the device, so no image is ever handled one by one in Python.
"""

from csae.data.augmentation import Augmentation
from csae.data.batching import batches
from csae.data.datasets import VALIDATION_EVERY, load_dataset
from csae.data.images import (
    IMAGE_SIZE,
    OFFICIAL,
    OWN,
    PADDED_SIZE,
    SHIPPED,
    SPLITS,
    UNVERIFIED,
    ImageDataset,
    prepare,
    to_bytes,
    to_pixels,
)
from csae.data.names import DATASETS, SAMPLES, class_names
from csae.data.official import CorruptDataError, DataUnavailableError

__all__ = [
    "DATASETS",
    "IMAGE_SIZE",
    "OFFICIAL",
    "OWN",
    "PADDED_SIZE",
    "SAMPLES",
    "SHIPPED",
    "SPLITS",
    "UNVERIFIED",
    "VALIDATION_EVERY",
    "Augmentation",
    "CorruptDataError",
    "DataUnavailableError",
    "ImageDataset",
    "batches",
    "class_names",
    "load_dataset",
    "prepare",
    "to_bytes",
    "to_pixels",
]
