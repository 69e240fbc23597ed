"""The commands that use a trained model: sample, reconstruct and export."""

import errno
import io
import json
import os
import re
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image

from csae import cli, data, export, files, kinds, weights
from csae.centroids import simplex
from csae.cli import pictures
from csae.models import CSAE
from csae.networks import NetworkConfig

ROOT = Path(__file__).parents[1]


def save(path, num_classes=10, dataset="mnist-sample"):
    torch.manual_seed(0)
    config = NetworkConfig("fully_connected", num_classes, widths=(16,), image_size=28)
    model = CSAE(simplex(num_classes, num_classes, scale=3.0), config=config)
    weights.save_checkpoint(model, path, dataset=dataset)
    return str(path)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A small model that has learned nothing."""
    return save(tmp_path_factory.mktemp("model") / "checkpoint.safetensors")


@pytest.fixture
def networks(checkpoint, monkeypatch):
    """Translate once; other tests do it themselves."""
    pytest.importorskip("onnxscript")
    translated = export.to_onnx(weights.load_checkpoint(checkpoint)[0])
    monkeypatch.setattr(export, "to_onnx", lambda *_, **__: translated)


def run(command, checkpoint, *arguments):
    if command == "export":
        pytest.importorskip("onnxscript")  # of an extra that not everybody installs
    return cli.main([command, str(checkpoint), "--sample", *map(str, arguments)])


def picture(path):
    return np.asarray(Image.open(path).convert("RGB"))


def marks_a_class_as_wrong(pixels):
    return bool((pixels == (0xBD, 0x1F, 0x01)).all(axis=2).any())


def test_sample_writes_a_picture_and_arrays(checkpoint, tmp_path, capsys):
    files = [tmp_path / "a" / "new.png", tmp_path / "b" / "new.npz"]
    options = ["--per-class", 3, "--seed", 5, "--out", files[0], "--arrays", files[1]]
    assert run("sample", checkpoint, *options, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["files"] == [str(path) for path in files]
    assert (result["dataset"], result["per_class"], result["seed"]) == ("mnist-sample", 3, 5)
    with np.load(files[1], allow_pickle=False) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    assert (images.shape, images.dtype) == ((10, 3, 28, 28), np.uint8)
    assert labels.tolist() == [[label] * 3 for label in range(10)]
    pixels = picture(files[0])
    assert (pixels[:5] == 255).all()  # a white ground, also on dark pages
    assert (pixels[:, -5:] == 255).all()


def test_seed_chooses_the_images(checkpoint, tmp_path):
    drawn = []
    for index, seed in enumerate((0, 0, 1)):
        files = ["--out", tmp_path / f"{index}.png", "--arrays", tmp_path / f"{index}.npz"]
        assert run("sample", checkpoint, "--per-class", 2, "--seed", seed, *files) == 0
        drawn.append((tmp_path / f"{index}.npz").read_bytes())
    assert drawn[0] == drawn[1] != drawn[2]


def test_picture_shows_forty_of_a_class_at_most(checkpoint, tmp_path, capsys):
    widths = []
    for count in (40, 41):
        out = tmp_path / f"{count}.png"
        assert run("sample", checkpoint, "--per-class", count, "--out", out) == 0
        widths.append(picture(out).shape[1])
    assert widths[0] == widths[1]
    assert "the picture shows the first 40 of each" in capsys.readouterr().out


def test_reconstruct_measures_what_it_shows(checkpoint, tmp_path, capsys):
    out = tmp_path / "pairs.png"
    options = ["--count", 12, "--split", "validation", "--out", out]
    assert run("reconstruct", checkpoint, *options, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    model, _ = weights.load_checkpoint(checkpoint)
    images = data.load_dataset("mnist", "validation", sample=True)
    labels = images.labels[:12]
    found = model.classify(data.prepare(images.images[:12], 28))
    assert result["accuracy"] == pytest.approx((found == labels).double().mean().item())
    assert (result["images"], result["split"]) == (12, "validation")
    pixels = picture(out)
    assert (pixels[:5] == 255).all()
    assert marks_a_class_as_wrong(pixels)  # it has learned nothing
    second = tmp_path / "second.png"
    assert run("reconstruct", checkpoint, "--count", 1, "--out", second) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("mnist-sample, test: accuracy ")
    assert f"(the first 1 of the split)\nwritten: {second}" in shown


def test_pictures_keep_every_pixel():
    images = torch.arange(2 * 3 * 28 * 28).view(2, 3, 28, 28).remainder(256).byte()
    pixels = np.asarray(Image.open(io.BytesIO(pictures.class_rows(images, ["a", "b"]))))[..., 0]
    last = images[1, 2].repeat_interleave(4, dim=0).repeat_interleave(4, dim=1).numpy()
    assert (pixels[-14 - 112 : -14, -14 - 112 : -14] == last).all()


def test_only_wrong_classes_are_marked():
    images = torch.zeros(11, 28, 28, dtype=torch.uint8)
    true = list("abcdefghijk")
    for predicted, marked in ((true, False), ([*"abcdefghij", "x"], True)):
        content = pictures.reconstruction_pairs(images, images, true, predicted)
        assert marks_a_class_as_wrong(picture(io.BytesIO(content))) == marked


def test_export_writes_checked_networks(checkpoint, tmp_path, capfd):
    out = tmp_path / "onnx"
    assert run("export", checkpoint, "--out", out, "--count", 50, "--json") == 0
    result = json.loads(capfd.readouterr().out)
    assert result.pop("folder") == str(out)
    assert result == json.loads((out / "model.json").read_text())
    assert sorted(path.name for path in out.iterdir()) == [
        "decoder.onnx",
        "encoder.onnx",
        "model.json",
    ]
    assert result["classes"] == list("0123456789")
    assert result["check"]["images"] == 50
    assert max(result["check"]["largest_difference"].values()) <= 1e-5
    assert run("export", checkpoint, "--out", out) == 2
    assert "out must be a new or empty folder" in capfd.readouterr().err


@pytest.mark.usefixtures("networks")
def test_export_says_what_it_measured(checkpoint, tmp_path, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert run("export", checkpoint, "--out", empty, "--count", 10) == 0
    shown = capsys.readouterr().out
    assert "mnist-sample, test, 10 images, ONNX Runtime and PyTorch float32" in shown
    assert "largest differences: latents " in shown
    assert "same class: 10 of 10" in shown
    refused = ["--out", tmp_path / "refused", "--count", 10, "--tolerance", 1e-30]
    assert run("export", checkpoint, *refused) == 2
    assert "more than the tolerance 1e-30 on 10 images" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_export_without_the_extra(checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(export, "PACKAGES", ("onnx", "no_such_runtime"))
    assert run("export", checkpoint, "--out", tmp_path / "onnx") == 2
    assert "no_such_runtime, not installed: pip install 'csae[export]'" in capsys.readouterr().err


OUT = {"sample": "new.png", "reconstruct": "new.png", "export": "new"}


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        ("sample", ["--per-class", 0], "per_class must be an integer from 1 to 10,000, got 0"),
        ("sample", ["--seed", -1], "seed must be an integer from 0 to"),
        ("sample", ["--arrays", "new.txt"], "arrays must be a file named *.npz, got new.txt"),
        ("reconstruct", ["--count", 0], "count must be an integer from 1 to 200"),
        ("reconstruct", ["--count", 201], "count must be an integer from 1 to 200, got 201"),
        ("export", ["--count", 1001], "count must be an integer from 1 to 1,000, got"),
        ("export", ["--tolerance", 0], "tolerance must be a finite number above 0, got 0.0"),
        ("export", ["--tolerance", "nan"], "tolerance must be a finite number above 0, got nan"),
        ("export", ["--count", -1], "count must be an integer of at least 1, got -1"),
        ("sample", ["--seed", 2**64], "seed must be an integer from 0 to"),
        ("export", ["--dataset", "fashion-mnist"], "dataset must be the one of the checkpoint"),
    ],
)
def test_wrong_options_are_named(
    checkpoint, tmp_path, monkeypatch, capsys, command, arguments, message
):
    monkeypatch.chdir(tmp_path)
    assert run(command, checkpoint, "--out", OUT[command], *arguments) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("csae: error: ")
    assert message in shown.err
    assert not shown.out
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["sample", "reconstruct", "export"])
def test_wrong_checkpoints_are_named(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    assert run(command, "none.safetensors", "--out", OUT[command]) == 2
    assert "no checkpoint at none.safetensors" in capsys.readouterr().err
    three = save(tmp_path / "three.safetensors", num_classes=3)
    assert run(command, three, "--out", OUT[command]) == 2
    assert (
        "dataset has 10 classes (mnist), but the model was built for 3" in capsys.readouterr().err
    )
    own = save(tmp_path / "own.safetensors", dataset="my-drawings")
    assert run(command, own, "--out", OUT[command]) == 2
    assert "trained on 'my-drawings', so name one with --dataset" in capsys.readouterr().err
    assert not (tmp_path / OUT[command]).exists()


@pytest.mark.parametrize(
    ("command", "option", "name"),
    [
        ("sample", "--out", "old.png"),
        ("sample", "--arrays", "old.npz"),
        ("reconstruct", "--out", "old.png"),
    ],
)
def test_files_are_never_replaced(checkpoint, tmp_path, monkeypatch, capsys, command, option, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text("mine")
    assert run(command, checkpoint, "--out", "new.png", option, name) == 2
    assert f"{option[2:]} must be a new file, got {name}, which exists" in capsys.readouterr().err
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_a_picture_is_a_png(checkpoint, tmp_path, capsys):
    assert run("reconstruct", checkpoint, "--out", tmp_path / "pairs.jpg") == 2
    assert "out must be a file named *.png" in capsys.readouterr().err


def test_another_data_set_is_noted(checkpoint, tmp_path, capsys):
    out = tmp_path / "new.png"
    assert run("reconstruct", checkpoint, "--dataset", "fashion-mnist", "--out", out) == 0
    assert "trained on mnist-sample, not on fashion-mnist" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["sample", "reconstruct", "export"])
def test_help_names_every_default(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main([command, "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "usage: csae" in shown
    assert "SUPPRESS" not in shown
    assert "(default: that of the checkpoint, complete)" in shown
    assert "--json" in shown


def test_interrupt_outside_training_promises_no_epochs(checkpoint, tmp_path, monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(data, "load_dataset", interrupted)
    assert run("sample", checkpoint, "--out", tmp_path / "new.png") == 130
    assert capsys.readouterr().err == "csae: interrupted\n"


@pytest.mark.parametrize("command", ["evaluate", "reconstruct", "sample", "export"])
def test_threads_are_settled_before_the_work(checkpoint, tmp_path, monkeypatch, command):
    class SettledError(Exception):
        pass

    def settle():
        raise SettledError

    monkeypatch.setattr("csae.runtime.settle_threads", settle)
    out = [] if command == "evaluate" else ["--out", tmp_path / OUT[command]]
    with pytest.raises(SettledError):
        run(command, checkpoint, *out)


def test_the_users_plot_settings_do_not_matter(checkpoint, tmp_path, monkeypatch):
    for name in ("plain", "odd"):
        for command in ("reconstruct", "sample"):
            assert run(command, checkpoint, "--out", tmp_path / f"{command}-{name}.png") == 0
        monkeypatch.setenv("MPLBACKEND", "tkagg")
        odd = {"image.origin": "lower", "savefig.bbox": "tight", "text.usetex": True}
        for setting, value in odd.items():
            monkeypatch.setitem(matplotlib.rcParams, setting, value)
    for command in ("reconstruct", "sample"):
        plain, odd = (picture(tmp_path / f"{command}-{name}.png") for name in ("plain", "odd"))
        assert np.array_equal(plain, odd)


@pytest.mark.parametrize("failing", ["new.png", "new.npz"])
def test_of_two_files_both_are_written_or_none(checkpoint, tmp_path, monkeypatch, capsys, failing):
    whole = files.write_whole

    def full(path, content):
        if path.name == failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        whole(path, content)

    monkeypatch.setattr(files, "write_whole", full)
    options = ["--out", tmp_path / "a" / "new.png", "--arrays", tmp_path / "b" / "new.npz"]
    assert run("sample", checkpoint, *options) == 2
    shown = capsys.readouterr().err
    assert failing in shown
    assert "Make room and try again" in shown
    assert not any(tmp_path.iterdir())
    monkeypatch.undo()
    assert run("sample", checkpoint, *options) == 0


@pytest.mark.parametrize(
    ("command", "option"),
    [("reconstruct", "--out"), ("sample", "--out"), ("sample", "--arrays"), ("export", "--out")],
)
def test_a_place_that_cannot_be_written_is_refused_before_the_work(
    checkpoint, tmp_path, monkeypatch, capsys, command, option
):
    module = getattr(cli, command)
    monkeypatch.setattr(module, "load_checkpoint", lambda *_: pytest.fail("work has begun"))
    (tmp_path / "file").write_text("")
    name = {"--arrays": "new.npz"}.get(option, OUT[command])
    options = ["--out", tmp_path / "new.png"] if option == "--arrays" else []
    assert run(command, checkpoint, *options, option, tmp_path / "file" / "in" / name) == 2
    assert f"{tmp_path / 'file'} is no folder" in capsys.readouterr().err


def test_the_pretrained_model_is_evaluated_where_it_lies(capsys):
    pretrained = ROOT / "weights" / "fashion-mnist.safetensors"
    assert run("evaluate", pretrained, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["checkpoint"] == str(pretrained)
    assert result["dataset"] == "fashion-mnist-sample"
    assert result["accuracy"] > 0.88


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_models_of_every_kind_are_evaluated(tmp_path, capsys, kind):
    path = tmp_path / "model.safetensors"
    config = NetworkConfig("fully_connected", 9, widths=(16,), image_size=28)
    model = kinds.build(kind, 10, config)
    weights.save_checkpoint(model, path, dataset="mnist-sample", num_classes=10)
    assert run("evaluate", str(path)) == 0
    shown = capsys.readouterr().out
    assert ("accuracy" in shown) == model.classifies
    assert ("PSNR" in shown) == model.decodes


@pytest.mark.parametrize("kind", kinds.KINDS)
@pytest.mark.parametrize("command", ["reconstruct", "sample", "export"])
def test_every_kind_does_what_it_can(tmp_path, capsys, kind, command):
    """Or says in one line why it cannot."""
    if command == "export":
        pytest.importorskip("onnxscript")
    path = tmp_path / "model.safetensors"
    config = NetworkConfig("fully_connected", 9, widths=(16,), image_size=28)
    model = kinds.build(kind, 10, config)
    weights.save_checkpoint(model, path, dataset="mnist-sample", num_classes=10)
    options = {"reconstruct": ["--count", "5"], "sample": ["--per-class", "2"]}
    out = tmp_path / OUT[command]
    status = run(command, path, *options.get(command, ["--count", "20"]), "--out", out)
    shown = capsys.readouterr()
    possible = model.decodes and not (command == "export" and model.takes_labels)
    assert (status == 0) == possible, shown.err
    assert out.exists() == possible
    if not possible:
        assert re.search("model must (have a decoder|take images and codes alone)", shown.err)
        assert shown.err.count("\n") == 1
