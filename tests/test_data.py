import dataclasses
import functools
import gzip
import hashlib
import http.server
import io
import json
import math
import os
import pickle
import re
import shutil
import threading
import zipfile

import numpy as np
import platformdirs
import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st

from csae import data
from csae.data import Augmentation, ImageDataset, batches, load_dataset, prepare, to_pixels
from csae.data.augmentation import _affine
from csae.data.official import NOTE
from csae.data.sample import _SAMPLE_FOLDER


def write_idx(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def emnist_arrays(count, classes, first_label, seed):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes + first_label
    return rng.integers(0, 256, (count, 28, 28)), labels


@pytest.fixture
def letters(tmp_path):
    """A folder in EMNIST's layout: columns stored as rows, labels from 1."""
    for part, count in (("train", 26 * 24), ("test", 52)):
        images, labels = emnist_arrays(count, 26, 1, seed=count)
        raw = tmp_path / "EMNIST" / "raw" / f"emnist-letters-{part}"
        write_idx(raw.with_name(raw.name + "-images-idx3-ubyte"), images.transpose(0, 2, 1))
        write_idx(raw.with_name(raw.name + "-labels-idx1-ubyte"), labels)
    return tmp_path


@pytest.mark.parametrize("name", data.SAMPLES)
def test_sample_is_stratified_and_small(name):
    counts = {"train": 450, "validation": 50, "test": 100}
    seen = set()
    for split, per_class in counts.items():
        part = load_dataset(name, split, sample=True)
        assert part.images.shape == (10 * per_class, 1, 28, 28)
        assert part.images.dtype == torch.uint8
        assert part.labels.dtype == torch.int64
        assert torch.bincount(part.labels).tolist() == [per_class] * 10
        assert (part.name, part.split) == (f"{name}-sample", split)
        images = {image.numpy().tobytes() for image in part.images}
        assert not images & seen  # no image in two splits
        seen |= images
    files = list(_SAMPLE_FOLDER.iterdir())
    assert sum(file.stat().st_size for file in files) < 5e6
    assert {file.name for file in files} >= {f"LICENSE-{name}" for name in data.SAMPLES}


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("mnist", "b9cb8239cba2da5c235a8a24b70ee6d9729364b542cba387951b87c7d8dc5fd7"),
        ("fashion-mnist", "da548b0b59637888761eecc86866eaefd72dd0c3a06972515a0d0a0cad56384f"),
    ],
)
def test_sample_does_not_change(name, digest):
    prints = [load_dataset(name, split, sample=True).fingerprint for split in data.SPLITS]
    assert hashlib.sha256("".join(prints).encode()).hexdigest() == digest


@pytest.mark.skipif("CSAE_DATA" not in os.environ, reason="CSAE_DATA names no full data sets")
@pytest.mark.parametrize("name", data.SAMPLES)
def test_sample_is_what_the_script_makes(name):
    from tools.make_sample import make_sample

    arrays = make_sample(name, os.environ["CSAE_DATA"])
    for split in data.SPLITS:
        part = load_dataset(name, split, sample=True)
        assert np.array_equal(part.images[:, 0], arrays[f"{split}_images"])
        assert np.array_equal(part.labels, arrays[f"{split}_labels"])


def test_names_are_those_of_torchvision():
    assert data.class_names("fashion-mnist") == tuple(torchvision.datasets.FashionMNIST.classes)
    splits = torchvision.datasets.EMNIST.splits
    assert tuple(n for n in data.DATASETS if "emnist" in n) == tuple(f"emnist-{s}" for s in splits)


def test_letters_are_upright_and_labelled_from_zero(letters):
    expected, labels = emnist_arrays(52, 26, 1, seed=52)
    test = load_dataset("emnist-letters", "test", root=letters, download=False)
    assert np.array_equal(test.images[:, 0], expected)
    assert np.array_equal(test.labels, labels - 1)
    assert test.classes == tuple("abcdefghijklmnopqrstuvwxyz")
    assert test.num_classes == 26


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("emnist-byclass", 62),
        ("emnist-bymerge", 47),
        ("emnist-balanced", 47),
        ("emnist-digits", 10),
        ("emnist-mnist", 10),
    ],
)
def test_other_emnist_splits_keep_their_labels(tmp_path, name, count):
    images, labels = emnist_arrays(2 * count, count, 0, seed=1)
    raw = tmp_path / "EMNIST" / "raw"
    write_idx(raw / f"{name}-test-images-idx3-ubyte", images)
    write_idx(raw / f"{name}-test-labels-idx1-ubyte", labels)
    test = load_dataset(name, "test", root=tmp_path, download=False)
    assert np.array_equal(test.labels, labels)
    assert len(test.classes) == count
    assert np.array_equal(test.images[:, 0], images.transpose(0, 2, 1))


def test_validation_is_a_fixed_stratified_part_of_train(letters):
    train = load_dataset("emnist-letters", "train", root=letters)
    validation = load_dataset("emnist-letters", "validation", root=letters)
    assert torch.bincount(train.labels).tolist() == [22] * 26
    assert torch.bincount(validation.labels).tolist() == [2] * 26
    everything, labels = emnist_arrays(26 * 24, 26, 1, seed=26 * 24)
    of_class_0 = everything[labels == 1]
    assert np.array_equal(validation.images[validation.labels == 0, 0], of_class_0[[11, 23]])
    again = load_dataset("emnist-letters", "validation", root=letters)
    assert again.fingerprint == validation.fingerprint != train.fingerprint


def test_root_comes_from_argument_then_variable_then_cache(letters, tmp_path, monkeypatch):
    monkeypatch.setenv("CSAE_DATA", str(letters))
    assert len(load_dataset("emnist-letters", "test", download=False)) == 52
    elsewhere = tmp_path / "elsewhere"
    with pytest.raises(data.DataUnavailableError, match=str(elsewhere)):
        load_dataset("emnist-letters", "test", root=elsewhere, download=False)
    monkeypatch.delenv("CSAE_DATA")
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / name)
    with pytest.raises(data.DataUnavailableError, match=str(tmp_path / "csae")):
        load_dataset("emnist-letters", "test", download=False)


def test_what_comes_back_is_immutable(digits):
    with pytest.raises(dataclasses.FrozenInstanceError):
        digits.split = "test"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "cifar"}, "name must be one of 'mnist', 'fashion-mnist', .*; got 'cifar'"),
        ({"split": "valid"}, "split must be one of 'train', 'validation', 'test'; got 'valid'"),
        ({"download": "yes"}, "download must be one of True, False, 'force'; got 'yes'"),
        ({"name": "emnist-letters", "sample": True}, "name must be one of .* with sample=True"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        load_dataset(**({"name": "mnist", "split": "train"} | arguments))


def test_without_network_two_ways_out_are_named(tmp_path, monkeypatch):
    nowhere = ["http://127.0.0.1:1/"]  # nothing listens there
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", nowhere)
    monkeypatch.setattr(torchvision.datasets.EMNIST, "url", nowhere[0] + "gzip.zip")
    with pytest.raises(data.DataUnavailableError) as error:
        load_dataset("mnist", "train", root=tmp_path)
    text = str(error.value)
    assert "MNIST/raw/train-images-idx3-ubyte" in text
    assert "could not be downloaded" in text
    assert "1. use the shipped sample: sample=True, or --sample" in text
    assert f"2. put the files into {tmp_path}" in text
    with pytest.raises(data.DataUnavailableError, match="1. repeat this on a machine with a net"):
        load_dataset("emnist-letters", "train", root=tmp_path)


def test_truncated_file_is_named(letters):
    path = letters / "EMNIST" / "raw" / "emnist-letters-train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(data.CorruptDataError, match=f"{path} is truncated.*--redownload"):
        load_dataset("emnist-letters", "train", root=letters)


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", bytes(16)])
def test_foreign_file_is_named(letters, content):
    path = letters / "EMNIST" / "raw" / "emnist-letters-test-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(data.CorruptDataError, match=f"{path} is damaged"):
        load_dataset("emnist-letters", "test", root=letters)


@pytest.mark.parametrize("part", ["train", "test"])
def test_files_without_images_are_named(letters, part):
    raw = letters / "EMNIST" / "raw"
    write_idx(raw / f"emnist-letters-{part}-images-idx3-ubyte", np.zeros((0, 28, 28)))
    write_idx(raw / f"emnist-letters-{part}-labels-idx1-ubyte", np.zeros(0))
    with pytest.raises(data.CorruptDataError, match=f"{part}-images-idx3-ubyte holds no images"):
        load_dataset("emnist-letters", part, root=letters)


def test_too_few_images_for_validation_are_named(letters):
    raw = letters / "EMNIST" / "raw"
    images, labels = emnist_arrays(26 * 11, 26, 1, seed=0)
    write_idx(raw / "emnist-letters-train-images-idx3-ubyte", images)
    write_idx(raw / "emnist-letters-train-labels-idx1-ubyte", labels)
    assert len(load_dataset("emnist-letters", "train", root=letters)) == 26 * 11
    with pytest.raises(data.CorruptDataError, match="train-labels.* no images for validation"):
        load_dataset("emnist-letters", "validation", root=letters)


@pytest.mark.parametrize("split", data.SPLITS)
def test_training_images_are_no_test_images(letters, split):
    raw = letters / "EMNIST" / "raw"
    for kind in ("images-idx3", "labels-idx1"):
        file = f"emnist-letters-{{}}-{kind}-ubyte"
        shutil.copy(raw / file.format("train"), raw / file.format("test"))
    with pytest.raises(data.CorruptDataError, match="hold the same images"):
        load_dataset("emnist-letters", split, root=letters)
    images, labels = emnist_arrays(26 * 24, 26, 1, seed=26 * 24)
    write_idx(raw / "emnist-letters-test-images-idx3-ubyte", images[:52].transpose(0, 2, 1))
    write_idx(raw / "emnist-letters-test-labels-idx1-ubyte", labels[:52])
    with pytest.raises(data.CorruptDataError, match="hold the same images"):
        load_dataset("emnist-letters", split, root=letters)
    images[51] = 0  # no part of the training images any more
    write_idx(raw / "emnist-letters-test-images-idx3-ubyte", images[:52].transpose(0, 2, 1))
    assert len(load_dataset("emnist-letters", split, root=letters))


def test_wrong_labels_are_named(letters):
    path = letters / "EMNIST" / "raw" / "emnist-letters-test-labels-idx1-ubyte"
    write_idx(path, np.full(52, 27))
    with pytest.raises(data.CorruptDataError, match=f"{path} holds labels outside the 26 classes"):
        load_dataset("emnist-letters", "test", root=letters)
    write_idx(path, np.ones(51))
    with pytest.raises(data.CorruptDataError, match=f"{path} holds 51 labels for 52 images"):
        load_dataset("emnist-letters", "test", root=letters)


def test_changed_file_of_mnist_is_named(tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    write_idx(raw / "t10k-images-idx3-ubyte", np.zeros((20, 28, 28)))
    write_idx(raw / "t10k-labels-idx1-ubyte", np.zeros(20))
    with pytest.raises(data.CorruptDataError, match="its SHA-256 is not that of the original"):
        load_dataset("mnist", "test", root=tmp_path)


@pytest.fixture
def server(letters, tmp_path_factory, monkeypatch):
    """The EMNIST archive of `letters`, served on loopback under torchvision's address and hash."""
    folder = tmp_path_factory.mktemp("served")
    with zipfile.ZipFile(folder / "gzip.zip", "w") as archive:
        for file in sorted((letters / "EMNIST" / "raw").iterdir()):
            archive.writestr(f"gzip/{file.name}.gz", gzip.compress(file.read_bytes()))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        digest = hashlib.md5((folder / "gzip.zip").read_bytes()).hexdigest()
        emnist = torchvision.datasets.EMNIST
        monkeypatch.setattr(emnist, "url", f"http://127.0.0.1:{httpd.server_port}/gzip.zip")
        monkeypatch.setattr(emnist, "md5", digest)
        yield folder
        httpd.shutdown()


def test_missing_files_are_downloaded_once(server, letters, tmp_path):
    root = tmp_path / "fresh"
    downloaded = load_dataset("emnist-letters", "test", root=root)
    present = load_dataset("emnist-letters", "test", root=letters, download=False)
    assert downloaded.fingerprint == present.fingerprint
    (server / "gzip.zip").unlink()
    assert len(load_dataset("emnist-letters", "train", root=root)) == 22 * 26


def test_files_are_official_where_the_archive_was(server, letters, tmp_path):
    root = tmp_path / "fresh"
    official = load_dataset("emnist-letters", "test", root=root)
    found = load_dataset("emnist-letters", "test", root=letters)
    assert (official.source, found.source) == (data.OFFICIAL, data.UNVERIFIED)
    assert "not verified as the official files" in repr(found)
    assert "official" not in repr(official)
    assert load_dataset("emnist-letters", "train", root=root).source == data.OFFICIAL
    assert official.first(5).source == official.to("cpu").source == data.OFFICIAL
    path = root / "EMNIST" / "raw" / "emnist-letters-test-images-idx3-ubyte"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert load_dataset("emnist-letters", "test", root=root).source == data.UNVERIFIED
    assert load_dataset("emnist-letters", "validation", root=root).source == data.OFFICIAL


@pytest.mark.parametrize("note", [None, b"", b"[]", b"\xff", b"[" * 100_000, b'{"a": 1}'])
def test_no_note_or_a_damaged_one_vouches_for_nothing(server, tmp_path, note):
    root = tmp_path / "fresh"
    load_dataset("emnist-letters", "test", root=root)
    path = root / "EMNIST" / "raw" / NOTE
    path.unlink()
    if note is not None:
        path.write_bytes(note)
    assert load_dataset("emnist-letters", "test", root=root).source == data.UNVERIFIED


def test_missing_files_come_beside_those_that_are_there(server, letters):
    """What is there stays as it is, and is not called official for the download."""
    raw = letters / "EMNIST" / "raw"
    write_idx(raw / "emnist-letters-train-labels-idx1-ubyte", np.full(26 * 24, 3))
    before = (raw / "emnist-letters-train-labels-idx1-ubyte").read_bytes()
    (raw / "emnist-letters-test-labels-idx1-ubyte").unlink()
    assert load_dataset("emnist-letters", "test", root=letters).source == data.OFFICIAL
    assert (raw / "emnist-letters-train-labels-idx1-ubyte").read_bytes() == before
    assert load_dataset("emnist-letters", "train", root=letters).source == data.UNVERIFIED


def test_damage_is_repaired_only_when_asked(server, letters):
    path = letters / "EMNIST" / "raw" / "emnist-letters-test-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(data.CorruptDataError, match="truncated"):
        load_dataset("emnist-letters", "test", root=letters)
    assert len(load_dataset("emnist-letters", "test", root=letters, download="force")) == 52


def test_failed_repair_costs_nothing(server, letters):
    (server / "gzip.zip").write_bytes(b"not the archive")
    before = load_dataset("emnist-letters", "test", root=letters).fingerprint
    with pytest.raises(data.DataUnavailableError, match="could not be downloaded"):
        load_dataset("emnist-letters", "test", root=letters, download="force")
    assert load_dataset("emnist-letters", "test", root=letters).fingerprint == before
    assert [entry.name for entry in letters.iterdir()] == ["EMNIST"]


def test_prepare_and_to_pixels_are_inverse(digits):
    prepared = prepare(digits.images)
    assert prepared.shape[1:] == (1, 32, 32)
    assert (prepared.min(), prepared.max()) == (-1, 1)
    assert (prepared[..., :2, :] == -1).all()
    assert torch.allclose(to_pixels(prepared), digits.images / 255, atol=1e-6)
    assert (to_pixels(torch.full((1, 1, 32, 32), 7.0)) == 1).all()


@given(st.integers(1, 400), st.integers(0, 3))
@settings(deadline=None, max_examples=20)
def test_batches_visit_rows_in_the_order_asked_for(digits, batch_size, seed):
    order = torch.randperm(len(digits), generator=torch.Generator().manual_seed(seed))[:300]
    for rows, parts in (
        (torch.arange(len(digits)), list(batches(digits, batch_size))),
        (order, list(batches(digits, batch_size, order=order))),
    ):
        assert all(len(images) == batch_size for images, _ in parts[:-1])
        assert torch.equal(torch.cat([labels for _, labels in parts]), digits.labels[rows])
        assert torch.equal(torch.cat([part for part, _ in parts]), prepare(digits.images[rows]))


@pytest.mark.parametrize("size", [0, -1])
def test_impossible_batches_are_refused(digits, size):
    message = f"batch_size must be an integer of at least 1, got {size}"
    with pytest.raises(ValueError, match=message):
        batches(digits, size)  # at once: nothing has to be drawn for it


def test_shift_moves_each_image_whole(digits):
    images = prepare(digits.images)
    torch.manual_seed(0)
    moved = Augmentation(shift=2)(images)
    offsets = set()
    for before, after in zip(images, moved, strict=True):
        fits = [
            (dy, dx)
            for dy in range(-2, 3)
            for dx in range(-2, 3)
            if torch.equal(torch.roll(before, (dy, dx), (1, 2)), after)
        ]
        assert fits  # the black border leaves room: nothing is cut off
        offsets.update(fits)
    assert offsets == {(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3)}


def test_flip_mirrors_about_half(digits):
    images = prepare(digits.images)
    torch.manual_seed(0)
    changed = Augmentation(flip=True)(images)
    mirrored = [torch.equal(a, b.flip(-1)) for a, b in zip(changed, images, strict=True)]
    same = [torch.equal(a, b) for a, b in zip(changed, images, strict=True)]
    assert all(m or s for m, s in zip(mirrored, same, strict=True))
    assert 0.4 < sum(mirrored) / len(images) < 0.6


WRONG = [True, "1", None, float("nan"), float("inf"), -1, 10**400, [1], torch.ones(2), np.bool_(1)]


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(Augmentation)])
@pytest.mark.parametrize("value", WRONG, ids=lambda value: str(value)[:20])
def test_wrong_augmentation_is_refused(field, value):
    if field == "flip":
        value = 1 if isinstance(value, bool | np.bool_) else value
    with pytest.raises(ValueError, match=f"^{field} must be "):
        Augmentation(**{field: value})


def test_numbers_of_numpy_are_kept_as_plain_ones():
    given = Augmentation(
        np.int64(2), np.bool_(True), np.float32(10), np.float64(0.1), 0.1, np.int8(1)
    )
    assert given == Augmentation(2, True, 10, 0.1, 0.1, 1)
    assert json.loads(json.dumps(dataclasses.asdict(given)))["rotation"] == 10


@pytest.mark.parametrize("shift", [3, -1, 1.0])
def test_shifts_beyond_the_padding_are_refused(shift):
    with pytest.raises(ValueError, match=f"shift must be an integer from 0 to 2, got {shift}"):
        Augmentation(shift=shift)


@pytest.mark.parametrize(
    ("name", "value", "most"),
    [
        ("rotation", 46, "45"),
        ("rotation", -1, "45"),
        ("zoom", 0.6, "0.5"),
        ("shear", float("nan"), "0.5"),
        ("erase", 1.5, "1"),
        ("erase_area", 0.7, "0.5"),
    ],
)
def test_changes_out_of_range_are_refused(name, value, most):
    message = f"{name} must be a finite number from 0 to {most}, got {value!r}"
    with pytest.raises(ValueError, match=re.escape(message)):
        Augmentation(**{name: value})


def test_rectangles_without_area_are_refused():
    with pytest.raises(ValueError, match="erase_area must be above 0"):
        Augmentation(erase=0.5, erase_area=0)


def test_nothing_asked_for_changes_and_draws_nothing(digits):
    images = prepare(digits.images)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    assert Augmentation(erase_area=0.1)(images) is images
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    "augmentation",
    [
        Augmentation(rotation=45),
        Augmentation(zoom=0.5),
        Augmentation(shear=0.5),
        Augmentation(erase=1),
        Augmentation(2, True, 10, 0.1, 0.1, 0.5, 0.1),
    ],
    ids=str,
)
def test_changes_keep_shape_and_range_and_repeat_with_the_seed(digits, augmentation):
    images = prepare(digits.images)
    torch.manual_seed(0)
    changed = augmentation(images)
    assert changed.shape == images.shape
    assert changed.dtype == torch.float32
    assert -1 <= changed.min() < changed.max() <= 1 + 1e-6
    assert not torch.equal(changed, images)
    assert not torch.equal(augmentation(images), changed)  # drawn anew
    torch.manual_seed(0)
    assert torch.equal(augmentation(images), changed)


def test_flips_and_shifts_are_drawn_before_the_others(digits):
    """What a seed chose before there were others, it still chooses."""
    images = prepare(digits.images)
    torch.manual_seed(0)
    before = Augmentation(shift=2, flip=True)(images)
    torch.manual_seed(0)
    erased = Augmentation(shift=2, flip=True, erase=0.5)(images)
    same = (erased == before).all(dim=(1, 2, 3))
    assert 0.4 < same.float().mean() < 0.6


def affine(images, angle=0.0, size=1.0, slant=0.0):
    each = torch.ones(len(images))
    return _affine(images, math.radians(angle) * each, size * each, slant * each)


def test_maps_move_a_bright_square_where_they_should():
    image = torch.full((1, 1, 32, 32), -1.0)
    image[..., 14:18, 24:28] = 1  # 10 pixels to the right of the centre

    def centre(moved):
        light = moved[0, 0] + 1
        along = torch.arange(32) - 15.5
        return (
            (light.sum(0) * along).sum() / light.sum(),
            (light.sum(1) * along).sum() / light.sum(),
        )

    assert torch.allclose(affine(image), image, atol=1e-6)
    # Counter-clockwise from the right is up, where y is negative.
    assert torch.allclose(affine(image, angle=90), image.rot90(1, (2, 3)), atol=1e-5)
    side = 10 / math.sqrt(2)
    assert centre(affine(image, angle=45)) == pytest.approx((side, -side), abs=0.05)
    assert centre(affine(image, size=0.5)) == pytest.approx((5, 0), abs=0.05)
    upper = image.rot90(1, (2, 3))  # 10 pixels above the centre
    assert centre(affine(upper, slant=0.3)) == pytest.approx((3, -10), abs=0.05)
    assert centre(affine(upper, angle=90, size=0.5, slant=0.5)) == pytest.approx(
        (-5, -2.5), abs=0.05
    )
    assert (affine(torch.full((1, 1, 32, 32), 1.0), angle=45)[..., 0, 0] == -1).all()  # black


def test_amounts_spread_over_the_range_asked_for(monkeypatch, digits):
    drawn = {}
    monkeypatch.setattr(
        "csae.data.augmentation._affine",
        lambda images, angle, size, slant: drawn.update(angle=angle, size=size, slant=slant),
    )
    torch.manual_seed(0)
    many = prepare(digits.images).repeat(4, 1, 1, 1)
    Augmentation(rotation=10, zoom=0.2, shear=0.1)(many)
    for value, low, high in (
        (torch.rad2deg(drawn["angle"]), -10, 10),
        (drawn["size"], 0.8, 1.2),
        (drawn["slant"], -0.1, 0.1),
    ):
        assert value.shape == (len(many),)
        margin = 0.02 * (high - low)
        assert low <= value.min() < low + margin
        assert high - margin < value.max() <= high
        assert value.mean() == pytest.approx((low + high) / 2, abs=2 * margin)


def test_erasing_fills_one_rectangle_of_about_the_area_with_grey(digits):
    outside = 7.0  # no image has it, so whatever differs from it was erased
    images = torch.full((4000, 1, 32, 32), outside)
    torch.manual_seed(0)
    changed = Augmentation(erase=0.5, erase_area=0.2)(images)[:, 0]
    erased = changed != outside
    hit = erased.any(dim=(1, 2))
    assert hit.float().mean() == pytest.approx(0.5, abs=0.03)
    rows, columns = erased.any(dim=2).sum(dim=1)[hit], erased.any(dim=1).sum(dim=1)[hit]
    area = erased.sum(dim=(1, 2))[hit]
    assert torch.equal(area, rows * columns)  # rectangles
    assert area.float().mean() / 32**2 == pytest.approx(0.1, abs=0.01)
    assert area.max() / 32**2 == pytest.approx(0.2, abs=0.03)
    large = area > 100  # rounding to whole pixels changes the others more
    stretch = (rows / columns)[large]
    assert 1 / 3.5 < stretch.min() < 0.4
    assert 2.5 < stretch.max() < 3.5
    greys = [image[mask] for image, mask in zip(changed[hit], erased[hit], strict=True)]
    assert all((grey == grey[0]).all() for grey in greys)
    first = torch.stack([grey[0] for grey in greys])
    assert first.min() < -0.95
    assert first.max() > 0.95
    everywhere = erased.float().mean(dim=0)  # corners are as much part of the image as the centre
    assert everywhere.min() > 0
    assert torch.allclose(everywhere, everywhere.flip(0), atol=0.05)
    assert torch.allclose(everywhere, everywhere.flip(1), atol=0.05)


def test_repr_says_what_it_is(digits):
    assert isinstance(digits, ImageDataset)
    assert repr(digits).startswith("ImageDataset(mnist-sample train, 320 images, 10 classes")


def test_images_are_padded_to_the_size_asked_for_and_cut_back(digits):
    for size in (28, 32, 48):
        batch, _ = next(batches(digits, 5, image_size=size))
        assert batch.shape == (5, 1, size, size)
        assert torch.equal((to_pixels(batch) * 255).round().byte(), digits.images[:5])


@pytest.mark.parametrize("size", [27, 31, 26, 32.0, "32", True])
def test_wrong_image_size_is_refused(digits, size):
    with pytest.raises(ValueError, match=f"image_size must be .*, got '?{size}"):
        prepare(digits.images[:1], size)
    with pytest.raises(ValueError, match=f"image_size must be .*, got '?{size}"):
        batches(digits, 10, image_size=size)


def test_the_first_images_are_a_data_set_of_their_own(digits):
    part = digits.first(7)
    assert torch.equal(part.images, digits.images[:7])
    assert torch.equal(part.labels, digits.labels[:7])
    assert (part.classes, part.name, part.split) == (digits.classes, digits.name, digits.split)
    content = part.images.numpy().tobytes() + part.labels.numpy().tobytes()
    assert part.fingerprint == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("count", [0, 321, 1.0, True])
def test_more_images_than_there_are_is_refused(digits, count):
    with pytest.raises(ValueError, match=f"count must be an integer from 1 to 320, got {count}"):
        digits.first(count)


def test_bytes_are_the_stored_images(digits):
    assert torch.equal(data.to_bytes(to_pixels(prepare(digits.images))), digits.images)


@pytest.fixture
def old_cache(tmp_path):
    """What older versions of torchvision left: tensors of their own, and no raw files."""
    for name in ("MNIST", "FashionMNIST", "EMNIST"):
        folder = tmp_path / name / "processed"
        folder.mkdir(parents=True)
        for file in ("training.pt", "test.pt", "training_letters.pt", "test_letters.pt"):
            torch.save((torch.zeros(3, 28, 28), torch.zeros(3)), folder / file)
    return tmp_path


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "emnist-letters"])
def test_cache_of_an_older_torchvision_is_no_data_set(old_cache, monkeypatch, name):
    nowhere = ["http://127.0.0.1:1/"]  # nothing listens there
    for dataset in (torchvision.datasets.MNIST, torchvision.datasets.FashionMNIST):
        monkeypatch.setattr(dataset, "mirrors", nowhere)
    monkeypatch.setattr(torchvision.datasets.EMNIST, "url", nowhere[0] + "gzip.zip")
    with pytest.raises(data.DataUnavailableError, match=r"could not be downloaded(.|\n)*Two ways"):
        load_dataset(name, "train", root=old_cache)


def test_download_is_tried_beside_an_old_cache(old_cache, server):
    assert len(load_dataset("emnist-letters", "test", root=old_cache)) == 52


@pytest.mark.parametrize("root", ["~nosuchuser/d", "", 3, b"raw"])
def test_root_that_is_no_folder_is_named(root):
    with pytest.raises(ValueError, match=r"^root must be (the|a) path"):
        load_dataset("mnist", "test", root=root)


def test_variable_that_names_no_folder_is_named(monkeypatch):
    monkeypatch.setenv("CSAE_DATA", "~nosuchuser/d")
    with pytest.raises(ValueError, match="CSAE_DATA must be .* ~nosuchuser/d .*in full"):
        load_dataset("mnist", "test")


def test_user_without_a_home_is_told(monkeypatch, tmp_path):
    for name in ("CSAE_DATA", "HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 987_654)  # has no entry among the users
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="root or the environment variable CSAE_DATA must"):
        load_dataset("mnist", "test")
    monkeypatch.setenv("CSAE_DATA", "~/d")
    with pytest.raises(ValueError, match="CSAE_DATA must be .*~/d"):
        load_dataset("mnist", "test")
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def sample_copy(tmp_path_factory):
    """A folder with copies of the shipped files, for damage."""
    folder = tmp_path_factory.mktemp("sample")
    for name in data.SAMPLES:
        shutil.copy(_SAMPLE_FOLDER / f"{name}.npz", folder)
    return folder


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_damaged_sample_is_named_or_the_same(sample_copy, chosen):
    path = sample_copy / "mnist.npz"
    whole = (_SAMPLE_FOLDER / "mnist.npz").read_bytes()
    content = bytearray(whole[: chosen.draw(st.integers(0, len(whole)) | st.just(len(whole)))])
    for place in chosen.draw(st.lists(st.integers(0, max(0, len(content) - 1)), max_size=3)):
        if content:
            content[place] = chosen.draw(st.integers(0, 255))
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("csae.data.sample._SAMPLE_FOLDER", sample_copy)
        if content == whole:
            load_dataset("mnist", "test", sample=True)
            return
        with pytest.raises(data.CorruptDataError, match=f"{path} is damaged.*Install csae again"):
            load_dataset("mnist", "test", sample=True)


def arrays_of(change):
    """The sample's file with changed arrays: a whole archive that is not the shipped one."""
    with np.load(_SAMPLE_FOLDER / "mnist.npz") as shipped:
        arrays = change(dict(shipped))
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


POINTER = (
    b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 993196\n"
)


@pytest.mark.parametrize(
    "content",
    [
        POINTER,
        b"",
        pickle.dumps(1),
        arrays_of(lambda a: a | {"test_labels": a["test_labels"] + 200}),
        arrays_of(lambda a: a | {"test_images": a["test_images"] / 255}),
        arrays_of(lambda a: a | {"test_labels": a["test_labels"][:5]}),
        arrays_of(lambda a: {"train_images": a["train_images"]}),
    ],
    ids=["pointer", "empty", "pickle", "labels", "floats", "counts", "missing"],
)
def test_other_files_are_not_the_sample(sample_copy, monkeypatch, content):
    monkeypatch.setattr("csae.data.sample._SAMPLE_FOLDER", sample_copy)
    path = sample_copy / "mnist.npz"
    path.write_bytes(content)
    with pytest.raises(data.CorruptDataError, match=f"{path} is damaged") as error:
        load_dataset("mnist", "test", sample=True)
    assert ("git lfs pull" in str(error.value)) == (content == POINTER)
    path.unlink()
    with pytest.raises(data.CorruptDataError, match=f"{path}.* cannot be read.*Install csae again"):
        load_dataset("mnist", "test", sample=True)


IMAGES, LABELS = torch.zeros(3, 1, 28, 28, dtype=torch.uint8), torch.tensor([0, 1, 1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": IMAGES.numpy()}, r"images must be .*torch.from_numpy\(images\)"),
        ({"images": IMAGES / 255}, r"images must be uint8 .*csae.data.to_bytes\(images\)"),
        ({"images": IMAGES[:, 0]}, r"images must be .*images.unsqueeze\(1\)"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, r"images must be .*shape \(0, 1, 28, 28\)"),
        ({"images": IMAGES[..., :20]}, r"images must be uint8 of shape \(N, 1, 28, 28\)"),
        ({"images": IMAGES.long()}, "images must be uint8"),
        ({"images": None}, "images must be a torch.Tensor, got None"),
        ({"labels": LABELS.numpy()}, r"labels must be .*torch.from_numpy\(labels\)"),
        ({"labels": LABELS.int()}, r"labels must be int64 .*labels.long\(\)"),
        ({"labels": LABELS[:, None]}, "labels must be int64 of shape"),
        ({"labels": LABELS[:2]}, r"labels must be int64 of shape \(3,\)"),
        ({"labels": LABELS + 1}, "labels must be classes from 0 to 1, got some from 1 to 2"),
        ({"labels": LABELS - 1}, "labels must be classes from 0 to 1, got some from -1 to 0"),
        ({"labels": [0, 1, 1]}, "labels must be a torch.Tensor"),
        ({"classes": ()}, "classes must be"),
        ({"classes": (0, 1)}, "classes must be the classes' names"),
        ({"classes": 2}, "classes must be a sequence"),
        ({"name": ""}, "name must"),
        ({"name": None}, "name must"),
        ({"split": "valid"}, "split must be one of"),
        ({"fingerprint": None}, "fingerprint must"),
    ],
)
def test_what_is_no_data_set_is_refused(changes, message):
    usual = {"images": IMAGES, "labels": LABELS, "classes": "ab", "name": "mine", "split": "train"}
    assert ImageDataset(**usual).classes == ("a", "b")
    with pytest.raises(ValueError, match=f"^{message}"):
        ImageDataset(**(usual | changes))


def test_own_data_set_has_a_fingerprint(digits):
    own = ImageDataset(digits.images, digits.labels, list(digits.classes), "mine", "train")
    assert own.fingerprint == digits.fingerprint
    assert (own.source, digits.source) == (data.OWN, data.SHIPPED)
    assert own.classes == digits.classes


@pytest.mark.parametrize(
    "images",
    [
        torch.rand(2, 1, 28, 28),
        torch.zeros(2, 1, 20, 20, dtype=torch.uint8),
        torch.zeros(2, 28, 28, dtype=torch.uint8),
        torch.zeros(2, 3, 28, 28, dtype=torch.uint8),
        np.zeros((2, 1, 28, 28), np.uint8),
        None,
    ],
    ids=["floats", "small", "flat", "colour", "array", "none"],
)
def test_only_stored_images_are_prepared(images):
    with pytest.raises(ValueError, match="^images must be "):
        prepare(images)


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(2, 1, 20, 20),
        torch.zeros(2, 1, 31, 31),
        torch.zeros(2, 1, 28, 32),
        torch.zeros(2, 28, 28),
        torch.zeros(2, 3, 32, 32),
        torch.zeros(2, 1, 28, 28, dtype=torch.uint8),
        np.zeros((2, 1, 28, 28)),
    ],
    ids=["small", "odd", "oblong", "flat", "colour", "bytes", "array"],
)
def test_only_images_of_networks_become_pixels(images):
    with pytest.raises(ValueError, match="^images must "):
        to_pixels(images)


def test_only_pixels_become_bytes(digits):
    with pytest.raises(ValueError, match="^pixels must be floating point"):
        data.to_bytes(digits.images)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": "8"}, "batch_size must be an integer of at least 1, got '8'"),
        ({"batch_size": 8.0}, "batch_size must be an integer"),
        ({"order": [0, 1]}, "order must be a torch.Tensor, got list"),
        ({"order": torch.tensor([0.0])}, "order must be int64"),
        ({"order": torch.tensor([[0]])}, "order must be int64 of shape"),
        ({"order": torch.tensor([0, 320])}, "order must be rows from 0 to 319, got .* 0 to 320"),
        ({"order": torch.tensor([-1])}, "order must be rows from 0 to 319"),
        ({"device": "gpu"}, "device must be one of PyTorch's, .* got 'gpu'"),
        ({"device": None}, "device must be"),
        ({"augmentation": 3}, "augmentation must be a function"),
        ({"dataset": [1]}, "dataset must be an ImageDataset"),
    ],
)
def test_wrong_arguments_of_batches_are_named(digits, arguments, message):
    with pytest.raises(ValueError, match=message):
        batches(**({"dataset": digits, "batch_size": 8} | arguments))


def test_only_images_are_augmented():
    with pytest.raises(ValueError, match="images must be floating point of shape"):
        Augmentation(flip=True)(torch.zeros(2, 32, 32))
