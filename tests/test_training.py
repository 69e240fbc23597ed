import copy
import dataclasses
import math
from types import SimpleNamespace

import pytest
import torch

from csae import training
from csae.centroids import simplex
from csae.data import Augmentation, load_dataset
from csae.evaluation import evaluate
from csae.kinds import build
from csae.losses import CentroidDistance, CSAELoss, ImageError, JointLoss
from csae.models import CSAE, Autoencoder, CSAEOutput, VAEOutput
from csae.networks import NetworkConfig
from csae.training import (
    TIMINGS,
    Machine,
    TrainingConfig,
    make_optimizer,
    make_schedule,
    range_test,
    train,
    visiting_order,
)
from csae.training.graphs import is_worth_recording, record_kernels
from csae.training.loop import _fits

SHORT = TrainingConfig(epochs=2, batch_size=32, augmentation=Augmentation(shift=1))
CPU = Machine(accelerator="cpu")


def without_timings(history):
    return [{k: v for k, v in epoch.items() if k not in TIMINGS} for epoch in history]


def run(model, digits, config=SHORT, machine=CPU):
    history = train(model, CSAELoss(), digits, config, machine=machine, progress=False)
    return without_timings(history), [p.detach().clone() for p in model.state_dict().values()]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_same_seed_repeats_a_run_bit_for_bit(model, digits, precision):
    machine = Machine(accelerator="cpu", precision=precision)
    twin, digits = copy.deepcopy(model), digits.first(96)
    first, weights = run(model, digits, machine=machine)
    torch.rand(7)  # what happens in between does not matter
    second, other_weights = run(twin, digits, machine=machine)
    assert first == second
    assert all(torch.equal(a, b) for a, b in zip(weights, other_weights, strict=True))


def test_another_seed_is_another_run(model, digits):
    twin = copy.deepcopy(model)
    assert run(model, digits)[0] != run(twin, digits, dataclasses.replace(SHORT, seed=1))[0]


def test_global_random_state_is_left_alone(model, digits):
    before = torch.random.get_rng_state()
    run(model, digits)
    assert torch.equal(before, torch.random.get_rng_state())


def test_model_learns_to_classify_and_to_reconstruct(model, digits):
    before = evaluate(model, digits)
    config = TrainingConfig(epochs=12, batch_size=32)
    history, _ = run(model, digits, config)
    after = evaluate(model, digits)
    assert after["accuracy"] > 0.9 > 0.5 > before["accuracy"]
    assert after["psnr"] > before["psnr"] + 5
    assert history[-1]["loss"] < history[0]["loss"] / 2


def test_any_autoencoder_learns_without_labels(digits):
    torch.manual_seed(0)
    model = Autoencoder(NetworkConfig("fully_connected", 8, widths=(32,), image_size=28))
    before = evaluate(model, digits)
    criterion = JointLoss(reconstruction=(1.0, ImageError()))
    config = dataclasses.replace(SHORT, epochs=8)
    history = train(model, criterion, digits, config, machine=CPU, progress=False)
    assert history[0].keys() >= {"loss", "reconstruction"}
    assert evaluate(model, digits)["psnr"] > before["psnr"] + 5
    assert evaluate(model, digits).keys() == {"psnr"}


def test_steps_are_announced_with_the_share_that_is_done(model, digits):
    shares = []
    train(model, CSAELoss(), digits, SHORT, machine=CPU, on_step=shares.append, progress=False)
    steps = 2 * (len(digits) // 32)
    assert shares == pytest.approx([step / steps for step in range(steps)])


def test_epochs_are_reported_as_they_finish(model, digits):
    seen = []
    history = train(
        model,
        CSAELoss(),
        digits,
        SHORT,
        machine=CPU,
        validate=lambda trained: {"score": float(trained is model)},
        on_epoch=seen.append,
        progress=False,
    )
    assert seen == history
    assert [epoch["epoch"] for epoch in history] == [1, 2]
    for epoch in history:
        assert epoch["validation_score"] == 1.0
        assert epoch["loss"] == pytest.approx(
            epoch["classification"] + 10 * epoch["reconstruction"], rel=1e-5
        )
        assert epoch["images_per_second"] == pytest.approx(320 / epoch["seconds"])


def test_progress_bar_names_losses_and_speed(model, digits, capsys):
    train(model, CSAELoss(), digits, SHORT, machine=CPU, validate=lambda m: evaluate(m, digits))
    text = capsys.readouterr().err
    for part in ("epoch 2/2", "classification", "reconstruction", "accuracy", "PSNR", "images/s"):
        assert part in text


def test_a_loss_that_blows_up_is_reported(model, digits):
    def exploding(output, images, labels):
        return {"loss": CSAELoss()(output, images, labels)["loss"] * float("nan")}

    with pytest.raises(
        FloatingPointError,
        match="loss is nan after step .* of epoch 1: begin a new run with a learning_rate",
    ):
        train(model, exploding, digits, SHORT, machine=CPU, progress=False)


def test_batch_larger_than_the_data_is_refused(model, digits):
    config = dataclasses.replace(SHORT, batch_size=512)
    with pytest.raises(ValueError, match="batch_size must be at most the 320 training images"):
        train(model, CSAELoss(), digits, config, progress=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": 0}, "epochs must be an integer of at least 1, got 0"),
        ({"epochs": 1.5}, "epochs must be an integer of at least 1, got 1.5"),
        ({"images_per_epoch": 100}, "images_per_epoch must be .* the batch_size 256, got 100"),
        ({"images_per_epoch": 3e4}, "images_per_epoch must be .* got 30000.0"),
        ({"batch_size": 1}, "batch_size must be an integer of at least 2, got 1"),
        ({"seed": -1}, "seed must be an integer from 0 to .* got -1"),
        ({"learning_rate": 0.0}, "learning_rate must be a finite number above 0, got 0.0"),
        ({"weight_decay": -1.0}, "weight_decay must be a finite number of at least 0, got -1.0"),
    ],
)
def test_wrong_configuration_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        TrainingConfig(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"accelerator": "tpu"}, "accelerator must be one of .* got 'tpu'"),
        ({"precision": "fp8"}, "precision must be one of .* got 'fp8'"),
        ({"devices": 0}, "devices must be an integer of at least 1, got 0"),
        ({"num_nodes": 1.5}, "num_nodes must be an integer of at least 1, got 1.5"),
        ({"threads": 0}, "threads must be an integer of at least 1, got 0"),
        ({"cuda_graphs": "no"}, "cuda_graphs must be True or False, got 'no'"),
    ],
)
def test_a_wrong_machine_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Machine(**arguments)


def test_a_machine_is_settled():
    settled = Machine(accelerator="cpu", threads=2).settled()
    assert settled.precision in ("fp32", "bf16")
    assert settled == Machine(accelerator="cpu", threads=2, precision=settled.precision)


def test_threads_are_those_of_the_machine(model, digits):
    seen, before = set(), torch.get_num_threads()
    two = Machine(accelerator="cpu", threads=before + 1)
    config, few = dataclasses.replace(SHORT, epochs=1), digits.first(64)

    def note(done):
        seen.add(torch.get_num_threads())

    train(model, CSAELoss(), few, config, machine=two, on_step=note, progress=False)
    assert seen == {before + 1}
    assert torch.get_num_threads() == before


def test_equation_one_cycle():
    """Up along half a cosine to 0.3 of all steps, down along another; the first beta mirrored."""
    config = TrainingConfig(epochs=4, learning_rate=0.02)
    layer = torch.nn.Linear(2, 2)
    optimizer = make_optimizer(layer, config)
    schedule = make_schedule(optimizer, config, 25)
    steps, top = 100, 0.3 * 100 - 1
    for step in range(steps):
        if step <= top:
            start, end, share = 0.02 / 25, 0.02, step / top
        else:
            start, end, share = 0.02, 0.02 / 25e4, (step - top) / (steps - 1 - top)
        wanted = end + (start - end) * (1 + math.cos(math.pi * share)) / 2
        assert schedule.get_last_lr()[0] == pytest.approx(wanted, rel=1e-9)
        beta = optimizer.param_groups[0]["betas"][0]
        low, high = (0.95, 0.85) if step <= top else (0.85, 0.95)
        assert beta == pytest.approx(high + (low - high) * (1 + math.cos(math.pi * share)) / 2)
        optimizer.step()
        if step < steps - 1:
            schedule.step()


RANGE = TrainingConfig(batch_size=32)
FP32 = Machine(accelerator="cpu", precision="fp32")


def test_equation_range_rates(model, digits):
    """The same factor from step to step, and the losses of just these steps."""
    twin = copy.deepcopy(model)
    limits = {"lowest": 1e-4, "highest": 1e-2, "steps": 11}
    found = range_test(model, CSAELoss(), digits, RANGE, machine=FP32, **limits)
    assert found.rates[0] == pytest.approx(1e-4)
    assert found.rates[-1] == pytest.approx(1e-2)
    ratios = found.rates[1:] / found.rates[:-1]
    assert torch.allclose(ratios, ratios[:1].expand(10))
    assert len(found.losses) == 11
    # A run with tiny, equal rates begins with the same loss; the first smoothed one is that loss.
    first = []

    def noted(output, images, labels):
        terms = CSAELoss()(output, images, labels)
        first.append(terms["loss"].item())
        return terms

    config = dataclasses.replace(RANGE, epochs=1)
    train(twin, noted, digits, config, machine=FP32, progress=False)
    assert found.losses[0].item() == pytest.approx(first[0], rel=1e-6)


def test_range_test_finds_where_training_breaks(model, digits):
    before = [value.clone() for value in model.state_dict().values()]
    state, was_training = torch.random.get_rng_state(), model.training
    config = dataclasses.replace(RANGE, optimizer="sgd", weight_decay=0.0)
    limits = {"lowest": 1e-6, "highest": 1e6, "steps": 60}
    found = range_test(model, CSAELoss(), digits, config, machine=FP32, **limits)
    assert 10 < len(found.rates) == len(found.losses) < 60  # it stopped, although rates go on
    assert found.losses.isfinite().all()
    assert found.losses.min() < found.losses[0]
    assert torch.equal(state, torch.random.get_rng_state())
    assert model.training == was_training
    after = model.state_dict().values()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_range_test_without_any_finite_loss_is_empty(model, digits):
    def broken(output, images, labels):
        return {"loss": CSAELoss()(output, images, labels)["loss"] * float("inf")}

    found = range_test(model, broken, digits, RANGE, machine=FP32)
    assert len(found.rates) == len(found.losses) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lowest": 0.0}, "lowest must be a finite number above 0, got 0.0"),
        ({"lowest": 2.0}, "highest must be a finite number above 2, got 1.0"),
        ({"highest": math.inf}, "highest must be a finite number above 1e-05, got inf"),
        ({"highest": math.nan}, "highest must be a finite number above 1e-05, got nan"),
        ({"steps": 1}, "steps must be an integer of at least 2, got 1"),
        ({"steps": 2.5}, "steps must be an integer of at least 2, got 2.5"),
    ],
)
def test_wrong_range_is_named(model, digits, arguments, message):
    with pytest.raises(ValueError, match=message):
        range_test(model, CSAELoss(), digits, RANGE, **arguments)


def test_range_test_refuses_a_batch_larger_than_the_data(model, digits):
    config = dataclasses.replace(RANGE, batch_size=512)
    with pytest.raises(ValueError, match="batch_size must be at most the 320 training images"):
        range_test(model, CSAELoss(), digits, config)


def test_images_move_to_a_device_only_where_they_fit(digits, monkeypatch):
    free = 4 * digits.images.nbytes
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 10 * free))
    cuda = torch.device("cuda")
    assert _fits(digits, cuda)
    free = 2 * digits.images.nbytes
    assert not _fits(digits, cuda)  # half of the memory is for the rest
    assert _fits(digits, torch.device("cpu"))


def test_every_epoch_has_an_order_of_its_own():
    config = TrainingConfig(batch_size=7, seed=3)
    orders = [training.visiting_order(50, config, epoch) for epoch in (1, 2, 3)]
    for order in orders:
        assert order.shape == (7, 7)
        assert len(set(order.flatten().tolist())) == 49  # no image twice
    left_out = {(set(range(50)) - set(order.flatten().tolist())).pop() for order in orders}
    assert len(left_out) > 1
    assert torch.equal(orders[1], training.visiting_order(50, config, 2))
    other = dataclasses.replace(config, seed=4)
    assert not torch.equal(orders[1], training.visiting_order(50, other, 2))


def test_an_epoch_may_take_some_of_the_images_others_each_time(model, digits):
    config = TrainingConfig(batch_size=64, images_per_epoch=150, epochs=2)
    orders = [training.visiting_order(320, config, epoch) for epoch in (1, 2)]
    assert orders[0].shape == (2, 64)
    assert set(orders[0].flatten().tolist()) != set(orders[1].flatten().tolist())
    history = train(model, CSAELoss(), digits, config, machine=CPU, progress=False)
    images = [epoch["images_per_second"] * epoch["seconds"] for epoch in history]
    assert images == pytest.approx([128, 128])
    everything = dataclasses.replace(config, images_per_epoch=1000)
    assert training.steps_per_epoch(digits, everything) == 5


@pytest.mark.parametrize(
    ("schedule", "wanted"),
    [("constant", [0.1] * 4), ("step", [0.1, 0.01, 0.001, 0.0001]), ("one-cycle", None)],
)
def test_schedules(model, digits, schedule, wanted):
    config = TrainingConfig(
        epochs=4, batch_size=160, learning_rate=0.1, schedule=schedule, optimizer="sgd"
    )
    optimizer = training.make_optimizer(model, config)
    moving = training.make_schedule(optimizer, config, steps=2)
    rates = []
    for _ in range(8):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        moving.step()
    if wanted is None:
        assert max(rates) == pytest.approx(0.1, rel=0.1)
        assert rates[0] < 0.01
        assert rates[-1] < 0.01
    else:
        assert rates[::2] == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("change", "steps", "expected"),
    [
        ({}, 30, True),
        ({}, 29, False),
        ({"cuda_graphs": False}, 30, False),
        ({"world_size": 2}, 30, False),
        ({"device": torch.device("cpu")}, 30, False),
        ({"replayable": False}, 30, False),
        ({"takes_labels": True}, 30, False),
    ],
)
def test_kernels_are_recorded_where_it_is_safe_and_pays(change, steps, expected):
    found = {"device": torch.device("cuda"), "world_size": 1, "cuda_graphs": True}
    found |= {"replayable": True, **change}
    place = SimpleNamespace(**found)  # stands for model, machine and Fabric
    assert is_worth_recording(place, place, place, steps) == expected
    assert Autoencoder.replayable


on_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


@on_cuda
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_recorded_kernels_train_as_others_do(precision):
    images = load_dataset("mnist", "train", sample=True).first(1280)
    losses, tracked = {}, {}
    for graphs in (False, True):
        torch.manual_seed(0)
        model = CSAE(simplex(10, 40, scale=math.sqrt(40)), noise=0.0)
        config = TrainingConfig(epochs=2, batch_size=32)
        machine = Machine(accelerator="cuda", precision=precision, cuda_graphs=graphs)
        history = train(model, CSAELoss(), images, config, machine=machine, progress=False)
        losses[graphs] = [epoch["loss"] for epoch in history]
        tracked[graphs] = model.encoder[1].num_batches_tracked.item()
    # Kernels are free to add in another order, and eighty steps make much of little.
    assert losses[True] == pytest.approx(losses[False], rel=0.03)
    assert losses[True][1] < 0.7 * losses[True][0]
    assert tracked[True] == tracked[False] == 80  # recording left no trace


@on_cuda
def test_each_replay_draws_its_own_noise():
    torch.manual_seed(0)
    model = CSAE(simplex(10, 40, scale=math.sqrt(40)), noise=0.5).cuda().train()
    before = torch.cuda.get_rng_state()
    replay = record_kernels(model, 8, "fp32", torch.device("cuda"))
    assert torch.equal(torch.cuda.get_rng_state(), before)
    images = torch.rand(8, 1, 32, 32, device="cuda")
    # The results of a replay lie where those of the next one will.
    first, second = (CSAEOutput(*(part.clone() for part in replay(images))) for _ in range(2))
    assert torch.equal(first.latents, second.latents)  # before the noise
    assert not torch.allclose(first.reconstructions, second.reconstructions)


@on_cuda
def test_each_replay_draws_its_own_codes():
    """And follows the variance, which is a buffer, as normalisation's statistics are."""
    torch.manual_seed(0)
    model = build("vae", 10, likelihood="gaussian-optimal").cuda().train()
    replay = record_kernels(model, 8, "fp32", torch.device("cuda"))
    assert model.running_variance.item() == pytest.approx(0.01)  # recording left no trace
    images = torch.rand(8, 1, 32, 32, device="cuda")
    first, second = (VAEOutput(*(part.clone() for part in replay(images))) for _ in range(2))
    assert torch.equal(first.latents, second.latents)
    assert not torch.allclose(first.log_likelihoods, second.log_likelihoods)
    assert model.running_variance.item() > 0.01


@on_cuda
def test_kernels_are_recorded_only_where_nothing_can_change_them(monkeypatch):
    recorded = []
    monkeypatch.setattr("csae.training.loop.record_kernels", lambda *_: recorded.append(1) or 1 / 0)
    images = load_dataset("mnist", "train", sample=True).first(960)
    model = CSAE(simplex(10, 40, scale=math.sqrt(40)))
    config, machine = TrainingConfig(epochs=1, batch_size=32), Machine(accelerator="cuda")
    options = {"machine": machine, "progress": False}
    train(model, CSAELoss(), images, config, on_step=lambda _: None, **options)
    off = dataclasses.replace(machine, cuda_graphs=False)
    train(model, CSAELoss(), images, config, machine=off, progress=False)
    assert not recorded
    with pytest.raises(ZeroDivisionError):
        train(model, CSAELoss(), images, config, **options)


@pytest.mark.parametrize(
    ("classes", "criterion"),
    [(20, CSAELoss()), (4, CSAELoss()), (10, JointLoss(far=(1.0, CentroidDistance(torch.eye(4)))))],
)
def test_other_classes_are_refused_before_anything_starts(digits, classes, criterion):
    model = CSAE(simplex(classes, 40, scale=2.0))
    before = copy.deepcopy(model.state_dict())
    for call in (train, range_test):
        with pytest.raises(ValueError, match="dataset has 10 classes, but .* was built for"):
            call(model, criterion, digits, RANGE, machine=FP32)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("returned", [None, {}, {"error": torch.ones(())}, torch.ones(())])
def test_a_criterion_without_a_loss_is_named(model, digits, returned):
    for call in (train, range_test):
        with pytest.raises(ValueError, match='criterion must return .* "loss" among them'):
            call(model, lambda *_: returned, digits, RANGE, machine=FP32)


def test_the_default_device_does_not_matter():
    expected = visiting_order(300, SHORT, 2)
    with torch.device("meta"):
        assert torch.equal(visiting_order(300, SHORT, 2), expected)


def test_the_state_may_be_named_by_a_string(model, digits, tmp_path):
    path = tmp_path / "state"
    config = dataclasses.replace(SHORT, epochs=1)
    options = {"machine": CPU, "progress": False}
    history = train(model, CSAELoss(), digits, config, state_file=str(path), **options)
    assert path.is_file()
    again = train(model, CSAELoss(), digits, config, state_file=path, **options)
    assert again == history
