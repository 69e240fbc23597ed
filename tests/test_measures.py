"""What experiments measure of a trained model: of each kind of model what it can do."""

import math

import pytest
import torch
from torch.nn import functional as F

from csae import data, evaluation, experiments, generation, measures
from csae.baselines import Classifier, SupervisedAutoencoder
from csae.centroids import class_component, class_subspace, random_directions, simplex
from csae.evaluation import (
    Trained,
    class_measures,
    decode_latents,
    encode,
    noise_measures,
    perturbation_measures,
    predict,
    spread_of,
)
from csae.evaluation.batchwise import pick_images
from csae.experiments import Experiment
from csae.kinds import KINDS, defaults
from csae.models import CSAE, VAE, Autoencoder, ConditionalVAE
from csae.networks import NetworkConfig
from csae.recipes import Recipe
from csae.records import load_record, write_record
from csae.training import Machine
from csae.weights import load_pretrained

CONFIG = NetworkConfig(latent_dim=12, widths=(8, 8), image_size=28)
FITTED = {"between", "within", "ratio", "silhouette", "spread", "probe_accuracy"}
CALIBRATED = {"calibration_error", "temperature", "calibration_error_tempered"}


@pytest.fixture(scope="module")
def parts():
    """A few images of each part, every class among them."""
    loaded = experiments.load_parts("mnist-sample", tested=True)
    return {name: part.first(200) for name, part in loaded.items()}


def small_csae(num_classes=10):
    torch.manual_seed(0)
    centroids = simplex(num_classes, 12, scale=math.sqrt(12)).float()
    return CSAE(centroids, config=CONFIG)


@pytest.fixture(scope="module")
def csae(parts):
    """It has learned a little: its codes lie apart."""
    model = small_csae()
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    images, labels = data.prepare(parts["train"].images, 28), parts["train"].labels
    for _ in range(30):
        output = model(images)
        loss = F.cross_entropy(4 * output.similarities, labels)
        loss = loss + 10 * F.mse_loss(output.reconstructions, images)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


def told():
    torch.manual_seed(0)
    return ConditionalVAE(10, CONFIG).eval()


@pytest.fixture
def few(monkeypatch):
    """Fewer images, and two Gaussians for each class."""
    for name, count in {"FITTED": 15, "SAMPLED": 60, "MANIFOLD": 40, "PERTURBED": 50}.items():
        monkeypatch.setattr(measures, name, count)
    monkeypatch.setattr(measures, "COMPARED", 20)
    monkeypatch.setattr(measures, "COMPONENTS", 2)


def compared(*names):
    scores = ("frechet", "frechet_pixels", "precision", "recall")
    return {f"{score}_{name}" for name in names for score in scores}


def measured(model, parts, judge, scale=4.0):
    found = measures.result_measures(lambda name: judge)(Trained(model, parts, scale))
    assert all(math.isfinite(value) for value in found.values())
    return found


# The images that are measured


def test_test_images_are_measured_where_they_are_there(csae, parts):
    assert Trained(csae, parts).held_out is parts["test"]
    without = {name: parts[name] for name in ("train", "validation")}
    assert Trained(csae, without).held_out is parts["validation"]
    with pytest.raises(ValueError, match="parts must hold 'train', and 'validation' or 'test'"):
        Trained(csae, {"train": parts["train"]})


def test_images_are_picked_at_random_and_once_each(parts):
    picked = pick_images(parts["test"], 50, seed=3)
    rows = [
        (parts["test"].images == image).flatten(1).all(dim=1).nonzero()[0].item()
        for image in picked.images
    ]
    assert len(set(rows)) == 50
    assert rows == sorted(rows) != list(range(50))
    assert torch.equal(picked.labels, parts["test"].labels[rows])
    assert pick_images(parts["test"], 200) is parts["test"]
    assert pick_images(parts["test"], 50, seed=4).fingerprint != picked.fingerprint


def test_encoder_and_decoder_work_in_batches_and_leave_the_mode(csae, parts, monkeypatch):
    expected = predict(csae, parts["test"])
    monkeypatch.setattr("csae.evaluation.batchwise._BATCH", 7)
    csae.train()
    latents = encode(csae, parts["test"])
    decoded = decode_latents(csae, latents)
    assert csae.training
    csae.eval()
    assert torch.allclose(latents, expected.latents, atol=1e-5)
    assert torch.allclose(decoded, expected.reconstructions, atol=1e-5)


def test_a_model_that_takes_labels_gets_them(parts):
    model = told()
    latents, labels = encode(model, parts["test"]), parts["test"].labels
    decoded = decode_latents(model, latents, labels)
    assert not torch.equal(decoded, decode_latents(model, latents, 9 - labels))
    with pytest.raises(ValueError, match="labels must be a torch.Tensor, got None"):
        decode_latents(model, latents)
    with pytest.raises(ValueError, match="labels must be int64"):
        decode_latents(model, latents, labels[:3])


# Noise


def test_noise_takes_accuracy_and_fidelity(csae, parts):
    found = perturbation_measures(csae, parts["train"], latent_stds=(0, 1), pixel_stds=(0, 0.5))
    assert list(found) == [
        f"{score}_{name}"
        for name in ("quiet", "codes_0", "codes_1", "pixels_0", "pixels_0.5")
        for score in ("accuracy", "psnr")
    ]
    result = evaluation.evaluate(csae, parts["train"])
    for name in ("quiet", "codes_0", "pixels_0"):
        assert found[f"accuracy_{name}"] == pytest.approx(result["accuracy"])
        assert found[f"psnr_{name}"] == pytest.approx(result["psnr"], abs=1e-3)
    for name in ("codes_1", "pixels_0.5"):
        assert found[f"accuracy_{name}"] < result["accuracy"]
        assert found[f"psnr_{name}"] < result["psnr"]


def test_relative_noise_does_not_see_the_size_of_codes(csae, parts):
    """Codes three times as large, made small again by the decoder, are as sensitive."""
    large = small_csae()
    large.load_state_dict(csae.state_dict())
    with torch.no_grad():
        large.encoder[-1].weight *= 3
        large.encoder[-1].bias *= 3
        large.decoder[0].weight /= 3
    options = {"latent_stds": (4.0,), "pixel_stds": ()}
    small, big = (
        perturbation_measures(m.eval(), parts["test"], relative=True, **options)
        for m in (csae, large)
    )
    assert small == pytest.approx(big, abs=1e-3)
    assert list(small)[-1] == "psnr_codes_4_spreads"
    small, big = (
        perturbation_measures(m, parts["test"], **options)["accuracy_codes_4"]
        for m in (csae, large)
    )
    assert big > small + 0.1
    latents = encode(csae, parts["test"])
    assert spread_of(3 * latents + 7) == pytest.approx(3 * spread_of(latents), rel=1e-4)


def test_noise_is_measured_on_any_kind_that_decodes(csae, parts):
    names = noise_measures(Trained(csae, parts))
    assert set(names) == {
        *(f"{score}_{name}" for score in ("accuracy", "psnr") for name in (
            "quiet", "codes_0.5", "codes_1", "codes_2", "codes_3", "pixels_0.1", "pixels_0.2",
            "pixels_0.3")),
        "spread", "free_spread", "squared_jacobian", "stretch", "largest_step",
    }  # fmt: skip
    plain = noise_measures(Trained(Autoencoder(CONFIG), parts))
    assert set(names) - set(plain) == {k for k in names if "accuracy" in k} | {"free_spread"}
    with pytest.raises(ValueError, match="model must have a decoder, got Classifier"):
        noise_measures(Trained(Classifier(csae.centroids, config=CONFIG), parts))
    with pytest.raises(ValueError, match="model must decode without labels, got ConditionalVAE"):
        noise_measures(Trained(told(), parts))


def test_recorded_names_are_still_measured():
    """The experiments on losses and noise go on with the names that their records hold."""
    model, _ = load_pretrained("fashion-mnist")
    loaded = experiments.load_parts("fashion-mnist-sample")
    trained = Trained(model, {name: part.first(300) for name, part in loaded.items()})
    for name, setting in (("losses", "cross-entropy"), ("noise", "noise-0.04")):
        experiment = experiments.load_experiment(name)
        path = experiments.RESULTS / name / "fashion-mnist" / f"{setting}-seed0.json"
        record = experiments.load_record(path)
        assert experiment.measure(trained).keys() == record.measures.keys()


def test_classes_are_measured_in_the_class_subspace_where_there_is_one(csae, parts):
    found = class_measures(Trained(csae, parts))
    latents, labels = encode(csae, parts["test"]), parts["test"].labels
    assert found["silhouette"] == pytest.approx(evaluation.silhouette(latents, labels))
    assert found["class_subspace_within"] < found["within"]
    plain = class_measures(Trained(Autoencoder(CONFIG), parts))
    assert set(plain) == {"between", "within", "ratio", "silhouette"}


@pytest.mark.parametrize("kind", ["trained head", "random directions"])
def test_the_class_subspace_is_all_that_differences_of_scores_see(kind, parts):
    """Differences of scores are those of the component, and measures do not see the rest."""
    if kind == "trained head":
        model = SupervisedAutoencoder(10, CONFIG).eval()
        rows = model.head.weight.detach()
    else:
        rows = random_directions(10, 12, seed=0).float()
        model = CSAE(rows, config=CONFIG).eval()
    found = class_measures(Trained(model, parts))
    assert found["class_subspace_within"] < found["within"]
    latents = encode(model, parts["test"])
    rows = rows - rows.mean(dim=0)
    assert class_subspace(rows).shape == (12, 9)
    inside = class_component(latents, rows)
    with torch.no_grad():
        scores, kept = model.similarities(latents), model.similarities(inside)
    moved = scores - kept
    assert torch.allclose(moved, moved[:, :1].expand_as(moved), atol=1e-5)
    expected = evaluation.silhouette(inside, parts["test"].labels)
    assert found["class_subspace_silhouette"] == pytest.approx(expected, abs=1e-5)


def test_a_trained_head_is_measured_with_its_bias(parts):
    """With one that outweighs all else it names one class, whatever the class means say."""
    model = SupervisedAutoencoder(10, CONFIG).eval()
    before = class_measures(Trained(model, parts))["class_subspace_disagreement"]
    with torch.no_grad():
        model.head.bias[0] = 1e3
    after = class_measures(Trained(model, parts))["class_subspace_disagreement"]
    latents, labels = encode(model, parts["test"]), parts["test"].labels
    rows = model.head.weight.detach()
    inside = class_component(latents, rows - rows.mean(dim=0)).double()
    means = torch.stack([inside[labels == k].mean(dim=0) for k in range(10)])
    nearest = torch.cdist(inside, means).argmin(dim=1)
    assert after == pytest.approx((nearest != 0).double().mean().item())
    assert after != before


# All of them


def test_all_is_measured_of_a_csae(csae, parts, few):
    found = measured(csae, parts, csae)
    assert set(found) >= FITTED | CALIBRATED | {"ssim", "error_D1", "gradient_energy_kept"}
    names = ("gaussian_classes", "gaussian_all", "mixture_classes", "mixture_all")
    assert set(found) >= compared("train", "validation", *names)
    assert set(found) >= {"confirmed_gaussian_classes", "confirmed_mixture_classes"}
    assert set(found) >= {"judge_accuracy", "memorisation", "class_subspace_silhouette"}
    assert set(found) >= {"accuracy_codes_2", "psnr_codes_2", "accuracy_codes_1_spreads"}
    assert not {name for name in found if name.endswith("prior")}
    result = evaluation.evaluate(csae, parts["test"])
    assert found["judge_accuracy"] == result["accuracy"]
    shares = [found[name] for name in found if name.startswith(("precision", "recall"))]
    assert all(0 <= share <= 1 for share in shares)
    assert measured(csae, parts, csae) == found  # seeds are fixed


def test_validation_images_are_measured_of_what_is_not_tested(csae, parts, few):
    """No temperature is fitted to the images on which it would be measured."""
    without = {name: parts[name] for name in ("train", "validation")}
    found = measured(csae, without, csae)
    assert "calibration_error" in found
    assert "temperature" not in found
    assert set(found) >= compared("train")
    assert "frechet_validation" not in found


def test_what_a_model_cannot_do_is_not_measured(csae, parts, few):
    plain = measured(Autoencoder(CONFIG).eval(), parts, csae)
    assert set(plain) >= FITTED | compared("gaussian_classes", "mixture_all")
    assert not set(plain) & CALIBRATED
    assert not {name for name in plain if name.startswith(("accuracy", "class_subspace"))}

    blind = Classifier(csae.centroids, config=CONFIG)
    blind.load_state_dict(csae.state_dict(), strict=False)
    found = measured(blind.eval(), parts, csae)
    assert set(found) >= FITTED | CALIBRATED | {"accuracy_pixels_0.1"}
    assert not {name for name in found if name.startswith(("psnr", "ssim", "frechet", "error"))}

    head = measured(SupervisedAutoencoder(10, CONFIG).eval(), parts, csae)
    assert set(head) >= CALIBRATED | {"accuracy_quiet", "psnr_quiet", "confirmed_mixture_classes"}

    conditional = measured(told(), parts, csae)
    assert "probe_accuracy" not in conditional
    bound = {"bound", "active_dimensions"}
    assert set(conditional) >= compared("gaussian_classes", "prior") | bound | {"confirmed_prior"}
    assert "frechet_gaussian_all" not in conditional

    variational = measured(VAE(CONFIG).eval(), parts, csae)
    assert set(variational) >= FITTED | compared("gaussian_all", "prior") | bound
    assert "confirmed_prior" not in variational  # it was asked for no class


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_run_of_any_kind_ends_with_them(kind, csae, parts, few, tmp_path):
    """And its record, which holds them, can be read back."""
    base = Recipe(network=CONFIG).change(**defaults(kind), epochs=1, batch_size=64)
    experiment = Experiment(
        "tiny",
        "Are they measured?",
        base,
        {kind: {}},
        datasets=("mnist-sample",),
        measure=measures.result_measures(lambda name: csae),
        tested=True,
    )
    task = next(iter(experiment.tasks([0])))
    machine = Machine(accelerator="cpu", precision="fp32", threads=1)
    run = experiments.run_task(experiment, task, parts, machine=machine, progress=False)
    write_record(tmp_path / "record.json", run.record)
    record = load_record(tmp_path / "record.json")
    assert record.measures == run.record.measures
    assert {"between", "spread"} < set(record.measures)
    assert ("frechet_mixture_classes" in record.measures) == run.model.decodes


def test_samples_of_a_sampler_that_knows_the_images_are_good(csae, parts, few, monkeypatch):
    """Images drawn again in place of samples: of their class, near the real ones, and copies."""

    class Copies(generation.LatentSampler):
        def _fitted(self, latents):
            return None

        def sample(self, count, *, seed=0):
            return generation.Samples(self.latents, self.labels)

        def fit(self, latents, labels=None):
            self.latents, self.labels = latents, labels
            return self

    model = Autoencoder(CONFIG).eval()
    monkeypatch.setattr(measures, "GaussianSampler", Copies)
    monkeypatch.setattr(measures, "MixtureSampler", lambda _: Copies())
    images = {len(part): part for part in (pick_images(parts["train"], 10 * measures.FITTED),)}

    def decode(model, latents, labels=None):
        return images.get(len(latents), parts["test"]).images / 255

    monkeypatch.setattr(measures, "decode_latents", decode)
    found = measured(model, parts, csae)
    assert found["memorisation"] < 1e-3
    judged = predict(csae, images[150]).labels == images[150].labels
    assert found["confirmed_gaussian_classes"] == pytest.approx(judged.double().mean().item())
    assert found["frechet_gaussian_classes"] < 1.5 * found["frechet_train"]


def test_the_judges_of_digits_and_clothes_travel_with_the_package(parts):
    judge = measures.pretrained_judge("mnist-sample")
    assert isinstance(judge, Classifier)
    right = evaluation.classify(judge, parts["test"]) == parts["test"].labels
    assert right.double().mean() > 0.97
    assert measures.pretrained_judge("fashion-mnist").num_classes == 10


def test_unfit_judges_are_named(csae, parts):
    trained = Trained(csae, parts)
    for judge, message in (
        (Autoencoder(CONFIG), "judge must name classes by codes, got Autoencoder"),
        (small_csae(5), "judge must name the 10 classes of mnist.*, got one of 5"),
    ):
        with pytest.raises(ValueError, match=message):
            measures.result_measures(lambda name, judge=judge: judge)(trained)
    message = "there is no 'judge-emnist-balanced' among .*'judge-mnist'"
    with pytest.raises(ValueError, match=message):
        measures.pretrained_judge("emnist-balanced")
