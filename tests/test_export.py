import hashlib
import json
import math
import re
from pathlib import Path

import pytest
import torch

from csae import data, export, runtime, weights
from csae.baselines import SupervisedAutoencoder
from csae.centroids import simplex
from csae.models import CSAE, Autoencoder
from csae.networks import NetworkConfig

pytest.importorskip("onnxscript")
import onnx
import onnxruntime


@pytest.fixture(scope="module")
def pretrained():
    return weights.load_pretrained("fashion-mnist")[0]


@pytest.fixture(scope="module")
def translated(pretrained):
    return export.to_onnx(pretrained)


@pytest.fixture(scope="module")
def clothes():
    return data.prepare(data.load_dataset("fashion-mnist", "test", sample=True).images)


@pytest.fixture
def small():
    torch.manual_seed(0)
    config = NetworkConfig("fully_connected", 9, widths=(16,), image_size=28)
    return CSAE(simplex(10, 9, scale=3.0), config=config)


@torch.no_grad()
def add_to_bias(layer):
    layer.bias += 0.1


def test_a_thousand_test_images_agree(pretrained, translated, clothes):
    measured = export.check(pretrained, translated, clothes)
    assert len(clothes) == 1000
    assert measured.largest_difference.keys() == {"latents", "similarities", "images"}
    assert max(measured.largest_difference.values()) <= 1e-5
    assert measured.same_class == 1000


@pytest.mark.parametrize("count", [1, 3])
def test_any_number_of_images_fits(pretrained, translated, clothes, count):
    images = clothes[:count]
    encoder = onnxruntime.InferenceSession(translated.encoder)
    decoder = onnxruntime.InferenceSession(translated.decoder)
    latents, similarities = encoder.run(["latents", "similarities"], {"images": images.numpy()})
    (decoded,) = decoder.run(["images"], {"latents": latents})
    with torch.no_grad():
        expected = pretrained(images)
    for ours, theirs in zip(
        (expected.latents, expected.similarities, expected.reconstructions),
        (latents, similarities, decoded),
        strict=True,
    ):
        torch.testing.assert_close(torch.from_numpy(theirs), ours, rtol=1e-5, atol=1e-5)


def test_files_are_valid_and_name_no_files_of_this_machine(translated):
    for content in translated:
        model = onnx.load_from_string(content)
        onnx.checker.check_model(model, full_check=True)
        assert [(o.domain, o.version) for o in model.opset_import] == [("", export.OPSET)]
        assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
        assert b".py" not in content


def test_networks_of_another_model_are_refused(pretrained, translated, clothes):
    other = weights.load_pretrained("fashion-mnist")[0]
    add_to_bias(other.decoder[-1])
    message = r"differ from PyTorch by more than the tolerance 1e-05 on 20 images: .*images 1.0e-01"
    with pytest.raises(export.OnnxMismatchError, match=message):
        export.check(other, translated, clothes[:20])


def test_the_exact_result_decides_where_rounding_is_large(small, monkeypatch):
    errors = {torch.float32: 2e-5, torch.float64: 6e-6}

    def measured(*_, dtype):
        return export.Agreement(str(dtype), {"latents": errors[dtype]}, None)

    monkeypatch.setattr(export, "agreement", measured)
    images = torch.zeros(1, 1, 28, 28)
    networks = export.OnnxNetworks(b"", b"")
    assert export.check(small, networks, images).reference == "torch.float64"
    assert export.check(small, networks, images, tolerance=1e-4).reference == "torch.float32"
    for wrong in (2e-5, math.nan):
        errors[torch.float64] = wrong
        with pytest.raises(export.OnnxMismatchError):
            export.check(small, networks, images)


def test_folder_says_what_it_holds(small, tmp_path):
    small.train()
    before = {name: tensor.clone() for name, tensor in small.state_dict().items()}
    stages = []
    record = export.export_onnx(
        small,
        tmp_path / "new" / "onnx",
        torch.rand(30, 1, 28, 28) * 2 - 1,
        description={"classes": list("abcdefghij")},
        on_stage=stages.append,
    )
    folder = tmp_path / "new" / "onnx"
    assert tuple(stages) == export.STAGES
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["onnx"]
    assert json.loads((folder / "model.json").read_text()) == record
    assert record["classes"] == list("abcdefghij")
    for half in ("encoder", "decoder"):
        content = (folder / record[half]["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == record[half]["sha256"]
        session = onnxruntime.InferenceSession(content)
        for kind, nodes in (("inputs", session.get_inputs()), ("outputs", session.get_outputs())):
            assert {node.name: node.shape for node in nodes} == {
                name: about["shape"] for name, about in record[half][kind].items()
            }
    assert record["check"]["images"] == record["check"]["same_class"] == 30
    assert small.training  # and it is left as it was
    assert all(torch.equal(before[name], tensor) for name, tensor in small.state_dict().items())


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (Autoencoder, {"latents", "images"}),
        (lambda config: SupervisedAutoencoder(4, config), {"latents", "similarities", "images"}),
    ],
)
def test_every_autoencoder_can_be_exported(make, names):
    model = make(NetworkConfig("fully_connected", 5, widths=(), image_size=6, channels=3))
    measured = export.check(model, export.to_onnx(model), torch.rand(9, 3, 6, 6))
    assert measured.largest_difference.keys() == names
    assert measured.same_class == (9 if "similarities" in names else None)


def test_nothing_is_left_of_what_fails(pretrained, translated, clothes, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "to_onnx", lambda *_, **__: translated)
    other = weights.load_pretrained("fashion-mnist")[0]
    add_to_bias(other.decoder[-1])
    with pytest.raises(export.OnnxMismatchError):
        export.export_onnx(other, tmp_path / "out", clothes[:5])
    assert not any(tmp_path.iterdir())

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space left"):
        export.export_onnx(pretrained, tmp_path / "out", clothes[:5])
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": torch.zeros(0, 1, 28, 28)}, "images must be float32 of shape (N, 1, 28, 28)"),
        ({"images": torch.zeros(2, 1, 32, 32)}, "got torch.float32 of shape (2, 1, 32, 32)"),
        ({"images": torch.zeros(2, 1, 28, 28).double()}, "got torch.float64"),
        ({"tolerance": 0.0}, "tolerance must be a positive, finite number, got 0.0"),
        ({"tolerance": math.nan}, "tolerance must be a positive, finite number, got nan"),
    ],
)
def test_wrong_arguments_are_named(small, tmp_path, change, message):
    arguments = {"images": torch.zeros(2, 1, 28, 28)} | change
    with pytest.raises(ValueError, match=re.escape(message)):
        export.export_onnx(small, tmp_path / "out", **arguments)


def test_a_folder_that_holds_something_is_refused(small, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="folder must be a new or empty folder"):
        export.export_onnx(small, tmp_path, torch.zeros(2, 1, 28, 28))


def test_without_the_extra_it_says_what_to_install(small, monkeypatch):
    monkeypatch.setattr(export, "PACKAGES", ("onnx", "no_such_runtime"))
    for call in (export.to_onnx, lambda model: export.check(model, None, torch.zeros(1))):
        with pytest.raises(runtime.MissingExtraError, match=r"pip install 'csae\[export\]'"):
            call(small)


@pytest.mark.parametrize("kind", ["empty", "link", "working folder"])
def test_an_empty_folder_stays_what_it_is(
    pretrained, translated, clothes, tmp_path, monkeypatch, kind
):
    monkeypatch.setattr(export, "to_onnx", lambda *_, **__: translated)
    folder = tmp_path / "folder"
    folder.mkdir()
    before, out = folder.stat().st_ino, folder
    if kind == "link":
        out = tmp_path / "link"
        out.symlink_to(folder)
    elif kind == "working folder":
        monkeypatch.chdir(folder)
        out = Path(".")
    export.export_onnx(pretrained, out, clothes[:5])
    assert folder.stat().st_ino == before
    names = ["decoder.onnx", "encoder.onnx", "model.json"]
    assert sorted(path.name for path in folder.iterdir()) == names
    if kind == "link":
        assert out.is_symlink()


def test_a_place_for_no_folder_is_refused_before_the_work(
    pretrained, clothes, tmp_path, monkeypatch
):
    monkeypatch.setattr(export, "to_onnx", lambda *_, **__: pytest.fail("work has begun"))
    (tmp_path / "file").write_text("")
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing")
    for out in (tmp_path / "file" / "in", tmp_path / "nowhere"):
        with pytest.raises(ValueError, match="folder must lie in a folder"):
            export.export_onnx(pretrained, out, clothes[:5])
