"""Make the sample of MNIST and Fashion-MNIST that ships inside the package.

    python tools/make_sample.py FOLDER_WITH_THE_FULL_DATA

It takes the same number of images of each class from each split of the full data set, evenly
spaced in file order, so that two runs write the same images. The sample's training images come
from the full training split, its validation images from the full validation split: a model trained
on one of the two can be judged on the other.
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np
import torch

from csae.data import SAMPLES, load_dataset

PER_CLASS = {"train": 450, "validation": 50, "test": 100}  # 4,500 + 500 + 1,000 images
OUTPUT = Path(__file__).parents[1] / "csae" / "sample"


def make_sample(name: str, root: Path) -> dict[str, np.ndarray]:
    """Choose the sample's images and labels, as arrays named ``train_images`` and so on."""
    arrays = {}
    for split, count in PER_CLASS.items():
        full = load_dataset(name, split, root=root, download=False)
        chosen = []
        for label in range(full.num_classes):
            members = torch.nonzero(full.labels == label).squeeze(1)
            chosen.append(members[torch.arange(count) * len(members) // count])
        rows = torch.cat(chosen).sort().values  # in file order: the classes stay mixed
        arrays[f"{split}_images"] = full.images[rows, 0].numpy()
        arrays[f"{split}_labels"] = full.labels[rows].numpy().astype(np.uint8)
    return arrays


def main() -> None:
    """Write one compressed file of plain arrays for each data set; print their checksums."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="folder with MNIST/raw and FashionMNIST/raw")
    root = parser.parse_args().root
    print("SHA-256, for csae/data/sample.py, which refuses files with others:")
    for name in SAMPLES:
        path = OUTPUT / f"{name}.npz"
        np.savez_compressed(path, allow_pickle=False, **make_sample(name, root))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        print(f"{digest}  {path} ({path.stat().st_size:,} bytes)")


if __name__ == "__main__":
    main()
