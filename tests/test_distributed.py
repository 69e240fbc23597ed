"""Two and four processes on one machine, against one: the same batches, the same results."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from csae.distributed import (
    SharedBatchNorm2d,
    all_reduce_bytes,
    mean_over_processes,
    own_rows,
    share_batch_norm,
    sharing_speedup,
)
from csae.losses import CSAELoss

ROOT = Path(__file__).parents[1]
SCRIPT = """
import copy, dataclasses, json, math, sys
import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from csae import (
    CSAE, Augmentation, Machine, TrainingConfig, evaluate, load_dataset, simplex, train,
)
from csae.kinds import build
from csae.losses import CSAELoss, JointLoss, KLDivergence, NegativeLogLikelihood
from csae.training import launch

processes, bits, images, out = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
conditional = sys.argv[5] == "cvae"
data = load_dataset("fashion-mnist", "train", sample=True)
data = dataclasses.replace(data, images=data.images[:images], labels=data.labels[:images])
config = TrainingConfig(
    epochs=1, batch_size=64,
    augmentation=Augmentation(shift=2, flip=True, rotation=10, erase=0.5),
)
machine = Machine(accelerator="cpu", devices=processes, precision="fp32")
if bits == "64":
    strategy = DDPStrategy(forward_sync_buffers=False) if processes > 1 else "auto"
    fabric = Fabric(accelerator="cpu", devices=processes, precision="64-true", strategy=strategy)
    fabric.launch()
else:
    # Rounding grows with every step, the faster the larger the steps are.
    config = dataclasses.replace(config, learning_rate=1e-5, schedule="constant")
    fabric = launch(config, machine)
torch.manual_seed(0)
if conditional:
    model = build("cvae", 10, likelihood="gaussian-optimal")
    terms = {"kl": (1.0, KLDivergence()), "likelihood": (1.0, NegativeLogLikelihood())}
else:
    model, terms = CSAE(simplex(10, 40, scale=math.sqrt(40))), {}
losses, held = [], []

class Noted(JointLoss if conditional else CSAELoss):
    def forward(self, output, images, labels):
        terms = super().forward(output, images, labels)
        losses.append(float(fabric.all_reduce(terms["loss"].detach().clone(), reduce_op="mean")))
        held.append(len(images))
        return terms

history = train(model, Noted(**terms), data, config, machine=machine, fabric=fabric, progress=False,
                validate=lambda trained: evaluate(copy.deepcopy(trained).float(), data))
result = {"losses": losses, "history": history, "images": sum(held), "processes": fabric.world_size}
if conditional:
    result["variance"] = float(model.running_variance)
with open(f"{out}.{fabric.global_rank}", "w") as file:
    json.dump(result, file)
"""


def run(tmp_path, processes, bits, images=512, launcher=(), kind="csae"):
    script, out = tmp_path / "script.py", tmp_path / f"{processes}-{bits}-{len(launcher)}"
    script.write_text(SCRIPT)
    # Threads sum in another order: with one each, only the number of processes differs.
    alone = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [
            sys.executable,
            *launcher,
            script,
            str(1 if launcher else processes),
            bits,
            str(images),
            out,
            kind,
        ],
        check=True,
        env=os.environ | alone,
        timeout=1800,
    )
    return [json.loads(Path(f"{out}.{rank}").read_text()) for rank in range(processes)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """An epoch in float32, by one process."""
    return run(tmp_path_factory.mktemp("alone"), 1, "32")[0]


def test_processes_share_an_epoch_as_one_would_run_it(tmp_path):
    """In float64, with the steps of the recipes."""
    single = run(tmp_path, 1, "64")[0]
    parts = run(tmp_path, 4, "64")
    assert [part["processes"] for part in parts] == [4] * 4
    assert sum(part["images"] for part in parts) == single["images"] == 512
    tolerance = 1e-6  # Fabric hands outputs back in float32
    for part in parts:
        assert part["losses"] == pytest.approx(single["losses"], rel=tolerance)
        assert part["history"] == parts[0]["history"]  # metrics are those of all processes
    ours, theirs = parts[0]["history"][0], single["history"][0]
    for name in ("loss", "classification", "reconstruction"):
        assert ours[name] == pytest.approx(theirs[name], rel=tolerance)
    assert ours["validation_accuracy"] == pytest.approx(theirs["validation_accuracy"], abs=3e-3)


def test_processes_share_the_codes_that_are_drawn(tmp_path):
    """Of a conditional VAE: the noise, the labels, and the variance of the whole batch."""
    single = run(tmp_path, 1, "64", 128, kind="cvae")[0]
    for part in run(tmp_path, 2, "64", 128, kind="cvae"):
        assert part["processes"] == 2
        assert part["losses"] == pytest.approx(single["losses"], rel=1e-6)
        assert part["variance"] == pytest.approx(single["variance"], rel=1e-6)


def test_torchrun_launches_as_it_is(tmp_path, alone):
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    launched = run(tmp_path, 2, "32", launcher=launcher)
    for part in launched:
        assert part["processes"] == 2
        assert part["losses"] == pytest.approx(alone["losses"], rel=1e-5)


def test_slurm_launches_as_it_is(tmp_path, alone):
    """Two processes with the variables that srun sets, as on two tasks of one node."""
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, tmp_path / "script.py", "2", "32", "512", tmp_path / "out", "csae"]
    common = {
        "SLURM_JOB_ID": str(20_000 + os.getpid() % 10_000),  # the port of the meeting point
        "SLURM_JOB_NAME": "csae",
        "SLURM_NODELIST": "localhost",
        "SLURM_NODEID": "0",
        "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "2",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }
    tasks = [
        subprocess.Popen(
            command, env=os.environ | common | {"SLURM_PROCID": rank, "SLURM_LOCALID": rank}
        )
        for rank in "01"
    ]
    assert [task.wait(timeout=1800) for task in tasks] == [0, 0]
    for rank in range(2):
        part = json.loads((tmp_path / f"out.{rank}").read_text())
        assert part["processes"] == 2
        assert part["losses"] == pytest.approx(alone["losses"], rel=1e-5)


def test_a_single_process_changes_nothing(model):
    before = list(map(type, model.modules()))
    share_batch_norm(model)
    assert list(map(type, model.modules())) == before
    torch.manual_seed(0)
    drawn = own_rows(lambda count: torch.rand(count, 3), 5)
    torch.manual_seed(0)
    assert torch.equal(drawn, torch.rand(5, 3))


def test_a_mean_over_processes_is_that_of_all(two_processes):
    value = torch.tensor(3.0, requires_grad=True)
    mean = mean_over_processes(value)
    assert mean.item() == 3  # both hold the same
    assert not mean.requires_grad


@pytest.fixture
def two_processes(monkeypatch):
    """What the layer sees in the first of two processes that hold the same images."""
    from csae import distributed

    monkeypatch.setattr(distributed, "_is_shared", lambda: True)
    monkeypatch.setattr(distributed.dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(distributed.dist, "all_reduce", lambda total: total.mul_(2))


def test_equation_shared_batch_norm(two_processes):
    torch.manual_seed(0)
    x = (3 * torch.randn(6, 4, 5, 5) + 1).requires_grad_()
    ordinary = torch.nn.BatchNorm2d(4)
    torch.nn.init.uniform_(ordinary.weight)
    torch.nn.init.uniform_(ordinary.bias)
    twin = torch.nn.BatchNorm2d(4)
    twin.load_state_dict(ordinary.state_dict())
    shared = SharedBatchNorm2d.of(twin)
    assert list(shared.state_dict()) == list(ordinary.state_dict())

    weights = torch.randn(6, 4, 5, 5)
    whole = ordinary(torch.cat([x, x]))  # the batch of both processes
    part = shared(x)
    assert torch.allclose(part, whole[:6], atol=1e-5)
    wanted = torch.autograd.grad((whole * torch.cat([weights, weights])).sum(), x)[0]
    found = torch.autograd.grad((part * weights).sum(), x)[0]
    assert torch.allclose(2 * found, wanted, atol=1e-4)  # x is in the whole batch twice
    for name, value in ordinary.state_dict().items():
        assert torch.allclose(shared.state_dict()[name].float(), value.float(), atol=1e-5), name
    assert torch.equal(shared.eval()(x), twin.eval()(x))


def test_equation_mean_gradient(model, digits):
    """The mean of the gradients of equal parts is that of the whole, where images stand alone."""
    from csae.data import prepare

    model = model.double().eval()  # normalisation by fixed numbers
    images, labels = prepare(digits.images[:24]).double(), digits.labels[:24]

    def gradient(rows):
        loss = CSAELoss()(model(images[rows]), images[rows], labels[rows])["loss"]
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss, model.parameters())])

    whole = gradient(slice(None))
    # Three parts: a third is rounded, so that float32 anywhere in between would show.
    parts = [gradient(slice(start, start + 8)) for start in range(0, 24, 8)]
    assert torch.allclose(torch.stack(parts).mean(dim=0), whole, rtol=1e-9, atol=1e-12)
    unequal = [gradient(slice(0, 4)), gradient(slice(4, 24))]
    assert not torch.allclose(torch.stack(unequal).mean(dim=0), whole, rtol=1e-2)


def test_equation_ring_all_reduce():
    """A ring, played: parts travel from neighbour to neighbour until everybody has all sums."""
    for processes in (1, 2, 3, 4, 8):
        values = 24
        held = torch.randn(processes, values).double()
        parts = held.view(processes, processes, -1).clone()  # (process, part, numbers)
        sent = [0] * processes
        for turn in range(2 * (processes - 1)):
            add = turn < processes - 1
            moving = [(p, (p - turn) % processes) for p in range(processes)]
            carried = [parts[p, k].clone() for p, k in moving]
            for (p, k), piece in zip(moving, carried, strict=True):
                sent[p] += piece.numel() * 4
                receiver = (p + 1) % processes
                parts[receiver, k] = parts[receiver, k] + piece if add else piece
        assert torch.allclose(parts.view(processes, -1), held.sum(dim=0).expand(processes, -1))
        assert sent == [all_reduce_bytes(values, processes)] * processes
    assert all_reduce_bytes(10, 2, width=2) == 20


def test_equation_sharing_speedup():
    common = {"values": 1000, "bandwidth": 1e6}
    assert sharing_speedup(0.2, 1, **common) == 1
    # 0.1 s of computing, 2 * 3 * 1e-3 s of waiting, 4,000 bytes sent by each
    assert sharing_speedup(0.2, 2, latency=1e-3, collectives=3, **common) == pytest.approx(
        0.2 / (0.1 + 0.006 + 0.004)
    )
    free = {"values": 1000, "bandwidth": math.inf}
    assert sharing_speedup(0.2, 8, **free) == 8
    times = [0.2 / sharing_speedup(0.2, p, **common) for p in (2, 8, 1000)]
    assert times[-1] == pytest.approx(2 * 4000 / 1e6, rel=0.05)  # only the sending remains


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"processes": 0}, "processes must be an integer of at least 1, got 0"),
        ({"bandwidth": 0.0}, "bandwidth must be a number above 0, got 0.0"),
        ({"seconds": -1.0}, "seconds must be a finite number above 0, got -1.0"),
    ],
)
def test_impossible_machines_are_named(arguments, message):
    usual = {"seconds": 0.2, "processes": 2, "values": 10, "bandwidth": 1e9}
    with pytest.raises(ValueError, match=message):
        sharing_speedup(**usual | arguments)


def children(process):
    return Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc to find the other process")
@pytest.mark.parametrize("killed", ["first", "second"])
def test_the_partner_of_a_killed_process_says_so_in_one_line(tmp_path, killed):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "csae", "train", "--dataset", "mnist", "--sample"]
    command += ["--epochs", "1000", "--accelerator", "cpu", "--devices", "2", "--save-every", "1"]
    with subprocess.Popen(
        [*command, "--quiet", "--out", out],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    ) as process:
        while not (out / "state.safetensors").exists():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.1)
        victim = process.pid if killed == "first" else int(children(process)[0])
        os.kill(victim, signal.SIGKILL)
        _, shown = process.communicate(timeout=1800)  # ends when both have
    assert process.returncode != 0
    assert shown.count("\n") == 1
    assert shown.startswith("csae: error: another process of this run has ended")
    assert f"go on with: csae train --resume {out}" in shown
