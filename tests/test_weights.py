"""Files of weights: what comes back, and what is refused."""

import hashlib
import json
import random
from dataclasses import replace

import pytest
import safetensors.torch
import torch
from torch import nn

from csae import data, kinds, tensorfile, weights
from csae.centroids import simplex
from csae.data import load_dataset
from csae.evaluation import evaluate
from csae.models import CSAE, LIKELIHOODS, Autoencoder
from csae.networks import NetworkConfig
from csae.records import load_runs

TINY = NetworkConfig(latent_dim=4, widths=(4, 4), image_size=28)
DENSE = NetworkConfig("fully_connected", 4, widths=(8,), image_size=28)


def tiny(kind="csae", config=TINY):
    torch.manual_seed(0)
    noise = 0.1 if kinds.KINDS[kind].takes_noise else 0
    return kinds.build(kind, 3, config, noise=noise, seed=1)


def call(model, images):
    """Call a model, with the labels if it takes them."""
    labels = torch.arange(len(images)) % 3
    return model(images, labels) if model.takes_labels else model(images)


def save(model, path, **options):
    return weights.save_checkpoint(model, path, **{"dataset": "mine", "num_classes": 3} | options)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


# What comes back


@pytest.mark.parametrize("kind", kinds.KINDS)
@pytest.mark.parametrize("config", [TINY, DENSE], ids=lambda config: config.architecture)
def test_every_kind_comes_back_bit_for_bit(path, kind, config):
    model = tiny(kind, config).train()
    images = torch.rand(8, 1, 28, 28)
    call(model, images)  # moves the running statistics of batch normalisation
    digest = save(model, path)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    loaded, header = weights.load_checkpoint(path)
    assert type(loaded) is type(model)
    assert not loaded.training
    assert (header.kind, header.dataset, header.num_classes) == (kind, "mine", 3)
    assert header.network == loaded.config == model.config
    assert header.settings == loaded.settings == model.settings
    # A fraction of the norm of centroids, which are stored in float32.
    assert loaded.noise.std == pytest.approx(model.noise.std, rel=1e-6)
    ours, theirs = model.state_dict(), loaded.state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    expected, output = call(model.eval(), images), call(loaded, images)
    assert all(torch.equal(a, b) for a, b in zip(expected, output, strict=True))
    assert save(loaded, path) == digest
    assert list(path.parent.iterdir()) == [path]  # no temporary file stays


@pytest.mark.parametrize("kind", ["vae", "cvae"])
def test_the_likelihood_comes_back(path, kind):
    """A variance that was learnt is a tensor of the file, one that was chosen a setting."""
    images = torch.rand(8, 1, 28, 28)
    for likelihood in LIKELIHOODS:
        torch.manual_seed(0)
        model = kinds.build(kind, 3, TINY, likelihood=likelihood, likelihood_std=0.3).train()
        call(model, images)
        save(model, path)
        loaded, header = weights.load_checkpoint(path)
        assert header.settings["likelihood"] == loaded.likelihood == likelihood
        assert ("running_variance" in loaded.state_dict()) == (likelihood == "gaussian-optimal")
        ours, theirs = call(model.eval(), images), call(loaded, images)
        assert torch.equal(ours.log_likelihoods, theirs.log_likelihoods)


def test_a_loaded_model_can_be_trained_on(path):
    """Nothing of it lies in the file any more, nor on the device of sizes alone."""
    saved = tiny()
    save(saved, path)
    model, _ = weights.load_checkpoint(path)
    path.write_bytes(bytes(path.stat().st_size))  # in its place, as cp does
    ours, theirs = saved.state_dict(), model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    model.train()(torch.rand(2, 1, 28, 28)).reconstructions.sum().backward()
    assert all(p.grad is not None and p.device.type == "cpu" for p in model.parameters())


def test_tied_weights_are_stored_once(path):
    model = tiny("autoencoder", NetworkConfig("fully_connected", 4, (), 28))
    tied = nn.Parameter(torch.rand(4, 784))
    packed = tensorfile.pack({"format": "x"}, {"a": tied, "b": tied, "c": tied.T})
    path.write_bytes(packed)
    assert len(packed) < 2.5 * tied.numel() * 4
    header, tensors = tensorfile.read(path, "x", "a test")
    assert header == {"format": "x"}
    assert torch.equal(tensors["a"], tensors["b"])
    assert torch.equal(tensors["c"], tied.T)
    save(model, path)
    assert weights.load_checkpoint(path)[0].config.widths == ()


def test_a_model_without_classes_is_saved_with_those_of_its_data(path):
    with pytest.raises(ValueError, match="num_classes must be an integer of at least 2, got None"):
        save(tiny("autoencoder"), path, num_classes=None)
    save(tiny("csae"), path, num_classes=None)
    assert weights.load_checkpoint(path)[1].num_classes == 3


@pytest.mark.parametrize("name", sorted(weights.pretrained()))
def test_a_pretrained_model_is_that_of_its_record(name):
    about = weights.pretrained()[name]
    model, header = weights.load_pretrained(name)
    assert header.dataset == about.dataset
    kinds = {"judge": "classifier", "vae": "vae", "cvae": "cvae"}
    assert header.kind == kinds.get(name.partition("-")[0], "csae")
    assert not model.training
    if about.dataset in data.SAMPLES and model.classifies:
        sample = load_dataset(about.dataset, "validation", sample=True)
        assert evaluate(model, sample)["accuracy"] > (0.8 if header.kind == "cvae" else 0.88)
    content = (weights._folder() / f"{name}.safetensors").read_bytes()
    assert hashlib.sha256(content).hexdigest() == about.sha256
    (record,) = (
        run
        for run in load_runs(about.experiment, about.dataset)
        if (run.setting, run.seed) == (about.setting, about.seed)
    )
    assert record.weights_sha256 == about.sha256
    assert record.recipe.network == header.network
    assert record.parameters == sum(p.numel() for p in model.parameters())


def test_unknown_pretrained_models_are_refused():
    with pytest.raises(ValueError, match="name must be one of 'fashion-mnist', .*; got 'cifar'"):
        weights.load_pretrained("cifar")


# What is not saved


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_type_are_not_saved(path, dtype):
    """Reading them back would refuse or round them."""
    with pytest.raises(ValueError, match=r"model must have float32 weights, got .*model.float()"):
        save(tiny().to(dtype), path)
    assert not path.exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("part", ["encoder.0.weight", "encoder.1.running_var", "centroids"])
def test_weights_that_are_not_finite_are_neither_saved_nor_loaded(path, monkeypatch, part, value):
    model = tiny()
    model.state_dict()[part].view(-1)[-1] = value
    with pytest.raises(ValueError, match=f"model must have finite weights, got .* in {part}"):
        save(model, path)
    assert not path.exists()
    header, tensors = contents(tiny(), path)
    tensors[part].view(-1)[-1] = value
    write(path, header, tensors)
    with pytest.raises(ValueError, match=f"(?s){path} is damaged: (NaN .* in {part}|centroids)"):
        weights.load_checkpoint(path)


class Wrapper(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model


class Own(CSAE):
    pass


@pytest.mark.parametrize("wrap", [Wrapper, nn.DataParallel])
def test_wrapped_models_are_refused_with_a_way_out(path, wrap):
    with pytest.raises(ValueError, match="model must be one of CSAE, .*pass the model that a wr"):
        save(wrap(tiny()), path)
    with pytest.raises(ValueError, match="got Own;"):
        save(Own(simplex(3, 4), config=TINY), path)
    assert not path.exists()


# What is not loaded


def contents(model, path):
    """Return header and tensors of a model's file."""
    save(model, path)
    return tensorfile.read(path, weights._FORMAT, "a checkpoint")


def write(path, header, tensors):
    """Write a file whose hash is right, whatever it says."""
    path.write_bytes(tensorfile.pack(header, tensors))


def test_other_files_are_refused(path, tmp_path):
    torch.save(tiny().state_dict(), path)
    with pytest.raises(ValueError, match=f"{path} is not a safetensors file .* pickled files"):
        weights.load_checkpoint(path)
    safetensors.torch.save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match=f"{path} is a safetensors file of something else"):
        weights.load_checkpoint(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=f"{path} is not a safetensors file"):
        weights.load_checkpoint(path)
    with pytest.raises(FileNotFoundError, match=f"no checkpoint at {tmp_path}/none"):
        weights.load_checkpoint(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="is a folder: name the .safetensors file"):
        weights.load_checkpoint(tmp_path)


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


HUGE = 10**9
WRONG_HEADERS = {
    "format": (lambda h: h.update(format="csae-2"), "its format is 'csae-2', not 'csae-3'"),
    "no format": (lambda h: h.pop("format"), "its format is None, not 'csae-3'"),
    "kind": (lambda h: h.update(kind="gan"), "kind must be one of 'csae'"),
    "text setting": (lambda h: h["settings"].update(noise="x"), "noise must be a finite number"),
    "unknown likelihood": (lambda h: h.update(kind="vae", settings={"likelihood": "x"}),
                           "likelihood must be one of 'bernoulli'"),
    "other kind": (lambda h: h.update(kind="autoencoder"), "centroids belongs to another network"),
    "missing": (lambda h: h.pop("dataset"), "dataset is missing"),
    "missing inside": (lambda h: h["network"].pop("widths"), "network.widths is missing"),
    "unknown": (lambda h: h.update(more=1), "it has no entries but .* got 'more'"),
    "unknown inside": (lambda h: h["network"].update(more=1), "network has no entries but"),
    "text": (lambda h: h.update(num_classes="3"), "num_classes must be an integer, got '3'"),
    "float": (lambda h: h.update(num_classes=3.0), "num_classes must be an integer, got 3.0"),
    "flag": (lambda h: h["network"].update(latent_dim=True), "network.latent_dim must be an int"),
    "list": (lambda h: h.update(network=[]), "network must be an object with names"),
    "width": (lambda h: h["network"].update(widths=[4, "4"]), r"network.widths\[1\] must be"),
    "classes": (lambda h: h.update(num_classes=4), "its model is not for 4 classes"),
    "dimensions": (lambda h: h["network"].update(latent_dim=7), "centroids have 4 dimensions"),
    "setting": (lambda h: h["settings"].update(more=1.0), "unexpected keyword argument 'more'"),
    "noise": (lambda h: h["settings"].update(noise=-1.0), "noise must be a finite number of at"),
    "large": (lambda h: h["settings"].update(noise=10**400), "settings.noise must be a finite"),
    "wide": (lambda h: h["network"].update(widths=[HUGE, HUGE]), "is damaged: Storage size"),
    "wider": (lambda h: h["network"].update(widths=[10**30, 4]), "is damaged: "),
    "pixels": (lambda h: h["network"].update(image_size=2 * HUGE), "is damaged: Storage"),
    "deep": (lambda h: h.update(settings=nested(50)), "nested too deeply"),
    "deeper": (lambda h: h.update(dataset=nested(900)), "nested too deeply"),
    "escape": (lambda h: h.update(dataset="\x1b[2Jmine"), "dataset must be printable text"),
    "escape in a name": (lambda h: h["settings"].update({"\x1b[2J": 1.0}), "a name in settings"),
    "escape outside": (lambda h: h.update({"\x1b[2J": 1.0}), "it has no entries but"),
    "escape in format": (lambda h: h.update(format="\x1b[2J"), "its format is '"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_HEADERS)
def test_wrong_headers_are_refused(path, name):
    change, message = WRONG_HEADERS[name]
    header, tensors = contents(tiny(), path)
    change(header)
    write(path, header, tensors)
    with pytest.raises(ValueError, match=message) as caught:
        weights.load_checkpoint(path)
    assert_is_an_answer(caught.value, path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("decoder.0.weight"), "decoder.0.weight is missing"),
        (lambda t: t.pop("centroids"), "centroids are missing"),
        (lambda t: t.update(more=torch.zeros(1)), "more belongs to another network"),
        (lambda t: t.update({"\x1b[2J": torch.zeros(1)}), "a tensor is named"),
        (lambda t: t.update(centroids=torch.zeros(3, 4)), "norm"),
        (lambda t: t.update(centroids=torch.zeros(3, 4).long()), "centroids must be floating"),
        (lambda t: t.update({"decoder.0.weight": torch.zeros(2)}), r"is float32 of shape \(2,\)"),
        (
            lambda t: t.update({"decoder.0.weight": t["decoder.0.weight"].double()}),
            "decoder.0.weight is float64 of",
        ),
    ],
)
def test_tensors_of_another_network_are_refused(path, change, message):
    header, tensors = contents(tiny(), path)
    change(tensors)
    write(path, header, tensors)
    with pytest.raises(ValueError, match=message) as caught:
        weights.load_checkpoint(path)
    assert_is_an_answer(caught.value, path)


def assert_is_an_answer(error, path):
    """One line that names the file and steers no terminal."""
    assert str(path) in str(error)
    assert str(error).isprintable()


def test_a_header_that_names_huge_networks_takes_no_memory(path):
    """A small file, a thousand gigabytes of weights: sizes are compared first."""
    header, tensors = contents(tiny("autoencoder", DENSE), path)
    header["network"]["widths"] = [10**6, 10**6]
    write(path, header, tensors)
    with pytest.raises(ValueError, match="encoder.1.weight is float32 of shape"):
        weights.load_checkpoint(path)


# Damage of every kind, by chance, but always the same


def assert_refused(path, what):
    try:
        weights.load_checkpoint(path)
    except ValueError as error:
        assert_is_an_answer(error, path)
    except Exception as error:
        pytest.fail(f"{what}: {type(error).__name__}: {error}")
    else:
        pytest.fail(f"{what} was loaded")


def test_flipped_bits_are_refused(path):
    """In each byte of what surrounds the weights, and in some of those of the weights."""
    save(tiny(), path)
    whole, chance = path.read_bytes(), random.Random(0)
    start = 8 + int.from_bytes(whole[:8], "little")
    places = [*chance.sample(range(start), 250), *chance.sample(range(start, len(whole)), 50)]
    for place in [*range(8), *places]:
        bit = 1 << chance.randrange(8)
        damaged = bytearray(whole)
        damaged[place] ^= bit
        path.write_bytes(damaged)
        assert_refused(path, f"byte {place} ^ {bit}")


def test_files_cut_short_or_with_more_behind_are_refused(path):
    save(tiny(), path)
    whole, chance = path.read_bytes(), random.Random(1)
    for length in [0, 1, 7, 8, 9, *chance.sample(range(len(whole)), 20), len(whole) - 1]:
        path.write_bytes(whole[:length])
        assert_refused(path, f"{length} bytes")
    path.write_bytes(whole + b"\0")
    assert_refused(path, "one byte more")


VALUES = [
    None, True, 0, -1, 1, 3, 2**31, 2**63, 10**30, 10**400, -0.5, 1e308, "", "x", "\x1b[2J",
    "\ud800", "centroids", [], [3], [[]], {}, {"x": 1}, {"": None}, nested(15), nested(40),
]  # fmt: skip


def mutate(value, chance):
    """Change, remove, add or swap something somewhere in plain values."""
    inside = isinstance(value, dict | list) and value and chance.random() < 0.75
    if not inside:
        return chance.choice(VALUES)
    if isinstance(value, list):
        index = chance.randrange(len(value))
        return [*value[:index], mutate(value[index], chance), *value[index + 1 :]]
    changed, name = dict(value), chance.choice(list(value))
    match chance.randrange(5):
        case 0:
            del changed[name]
        case 1:
            changed[chance.choice(["x", "\x1b[2J", "", *value])] = chance.choice(VALUES)
        case _:
            changed[name] = mutate(changed[name], chance)
    return changed


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_mutated_headers_are_refused_or_fit_their_weights(path, kind):
    """The hash is right: somebody has written them so. Another data set or noise, say, may be."""
    header, tensors = contents(tiny(kind, DENSE), path)
    refused = 0
    for number in range(120):
        changed = mutate(header, random.Random(number))
        if not isinstance(changed, dict):
            continue
        write(path, changed, tensors)
        try:
            model, read = weights.load_checkpoint(path)
        except ValueError as error:
            assert_is_an_answer(error, path)
            refused += 1
        except Exception as error:
            pytest.fail(f"{json.dumps(changed)[:300]}: {type(error).__name__}: {error}")
        else:
            assert (read.kind, read.network) == (kind, DENSE)
            assert all(torch.equal(model.state_dict()[name], tensors[name]) for name in tensors)
    assert refused > 60


def test_mutated_texts_of_headers_are_refused(path):
    """Letters instead of values; the hash is wrong, and often it is no json at all."""
    save(tiny(), path)
    with safetensors.safe_open(path, framework="pt") as file:
        text = file.metadata()["csae"]
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    chance = random.Random(2)
    changes = [
        *("", "null", "[]", "{}", "3", '"x"', "NaN", "{" * 5000, "[" * 100_000, text + " "),
        *(text.replace("0.1", other) for other in ("NaN", "1e-1", "0.10", "1e999")),
    ]
    for _ in range(150):
        place, length = chance.randrange(len(text)), chance.randrange(4)
        new = "".join(chance.choices('{}[]",:0e-\\u \x1b\0é', k=chance.randrange(4)))
        changes.append(text[:place] + new + text[place + length :])
    for changed in changes:
        if changed != text:
            safetensors.torch.save_file(tensors, path, {"csae": changed})
            assert_refused(path, repr(changed[:200]))


def test_the_header_is_a_value():
    """It can be changed as a whole, checked again."""
    header = weights.CheckpointHeader("csae-3", "csae", 3, TINY, {"noise": 0.1}, "mine")
    with pytest.raises(ValueError, match="kind must be one of"):
        replace(header, kind="gan")


def test_plain_autoencoders_have_no_classes_of_their_own(path):
    save(Autoencoder(TINY), path, num_classes=7)
    model, header = weights.load_checkpoint(path)
    assert header.num_classes == 7
    assert not hasattr(model, "num_classes")
