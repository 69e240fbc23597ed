import re

import pytest
import torch

from csae import runtime


def test_tier_comes_from_one_variable(monkeypatch):
    monkeypatch.setenv("CSAE_TIER", "full")
    assert runtime.tier() == "full"
    assert "tier: full" in runtime.describe()
    monkeypatch.delenv("CSAE_TIER")
    assert runtime.tier() == ("full" if torch.cuda.is_available() else "quick")
    monkeypatch.setenv("CSAE_TIER", "medium")
    with pytest.raises(ValueError, match="CSAE_TIER must be one of .* got 'medium'"):
        runtime.tier()


def test_one_thread_is_no_threads(monkeypatch):
    for count, words in ((1, "1 thread)"), (2, "2 threads)")):
        monkeypatch.setattr(torch, "get_num_threads", lambda count=count: count)
        assert words in runtime.describe()


def test_absent_device_is_named():
    absent = next(
        name
        for name, present in (
            ("cuda", torch.cuda.is_available()),
            ("mps", torch.backends.mps.is_available()),
        )
        if not present
    )
    with pytest.raises(
        ValueError, match=f"accelerator must be one that is present .* got '{absent}'"
    ):
        runtime.resolve_device(absent)


def test_precision_follows_the_processor(monkeypatch):
    cpu = torch.device("cpu")
    for flags, expected in (({"avx512_bf16": True}, "bf16"), ({"avx512_bf16": False}, "fp32")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda f=flags: f, raising=False)
        assert runtime.resolve_precision("auto", cpu) == expected
    monkeypatch.delattr(torch.cpu, "get_capabilities")  # as before PyTorch 2.11
    assert runtime.resolve_precision("auto", cpu) == "fp32"
    assert runtime.resolve_precision("bf16", cpu) == "bf16"


def test_environment_names_versions_and_commit():
    here = runtime.environment(torch.device("cpu"))
    assert here["packages"]["torch"] == torch.__version__
    assert here["threads"] == torch.get_num_threads()
    assert here["commit"] is None or re.fullmatch(r"[0-9a-f]{40}(-dirty)?", here["commit"])


def test_missing_extra_says_how_to_install_it():
    runtime.require_extra("some", "torch", "numpy")
    with pytest.raises(runtime.MissingExtraError, match=r"needs no_such, .*'csae\[some\]'"):
        runtime.require_extra("some", "torch", "no_such")


@pytest.mark.parametrize(
    ("intensity", "wanted"), [(0.5, 5e9), (4.0, 4e10), (10.0, 1e11), (500.0, 1e11)]
)
def test_equation_roofline(intensity, wanted):
    assert runtime.attainable(intensity, peak=1e11, bandwidth=1e10) == wanted


def test_fastest_is_the_shortest_time_after_a_warm_up(monkeypatch):
    clock = [0.0]
    left = iter([5.0, 3.0, 1.0, 2.0])

    def work():
        clock[0] += next(left)

    monkeypatch.setattr(runtime.time, "perf_counter", lambda: clock[0])
    assert runtime.fastest(work, repeats=3) == 1.0
    assert next(left, None) is None


@pytest.fixture
def eight_threads(monkeypatch):
    """A machine of eight cores on which nobody has chosen a number of threads."""
    state = {"count": 8}
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: state["count"])
    monkeypatch.setattr(torch, "set_num_threads", lambda count: state.update(count=count))
    monkeypatch.setattr(runtime, "_available_cores", lambda: 8)
    monkeypatch.setattr(runtime, "_untouched", 8)
    monkeypatch.setattr(runtime, "_settled", None)
    return state


@pytest.mark.parametrize(
    ("speeds", "fastest"),
    [
        ({8: 8.0, 4: 5.0}, 8),  # idle
        ({8: 1.0, 4: 3.0, 2: 2.0}, 4),  # half of the cores are busy
        ({8: 1.0, 4: 2.0, 2: 3.0, 1: 4.0}, 1),  # all of them
    ],
)
def test_threads_are_as_many_as_are_fastest(eight_threads, monkeypatch, speeds, fastest):
    monkeypatch.setattr(runtime, "_probe", lambda count: speeds[count])
    assert runtime.free_threads() == fastest
    assert eight_threads["count"] == 8  # nothing is changed
    assert runtime.settle_threads() == fastest
    assert eight_threads["count"] == fastest
    monkeypatch.setattr(runtime, "_probe", None)  # measured once a process
    assert runtime.settle_threads() == fastest


def test_a_number_of_threads_that_somebody_chose_stays(eight_threads, monkeypatch):
    monkeypatch.setattr(runtime, "_probe", lambda count: 1.0 / count)
    assert not runtime.threads_are_chosen()
    torch.set_num_threads(3)
    assert runtime.threads_are_chosen()
    assert runtime.settle_threads() == 3
    torch.set_num_threads(8)
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert runtime.settle_threads() == 8


def test_a_number_chosen_after_settling_stays(eight_threads, monkeypatch):
    monkeypatch.setattr(runtime, "_probe", lambda count: 1.0 / count)
    assert runtime.settle_threads() == 1
    assert not runtime.threads_are_chosen()  # by a person
    torch.set_num_threads(5)
    assert runtime.threads_are_chosen()
    assert runtime.settle_threads() == 5


def test_probing_leaves_random_numbers_and_threads():
    before, count = torch.random.get_rng_state(), torch.get_num_threads()
    assert 1 <= runtime.free_threads() <= count
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.get_num_threads() == count


@pytest.mark.parametrize("name", ["intensity", "peak", "bandwidth"])
def test_impossible_roofs_are_named(name):
    usual = {"intensity": 2.0, "peak": 1e11, "bandwidth": 1e10}
    with pytest.raises(ValueError, match=f"{name} must be a .*number above 0, got 0"):
        runtime.attainable(**usual | {name: 0})


@pytest.mark.parametrize("name", ["cuda:0", "tpu", "CPU", "", None, 0])
def test_unknown_accelerators_are_named(name):
    with pytest.raises(ValueError, match="accelerator must be one of 'auto', 'cpu', 'cuda', 'mps'"):
        runtime.resolve_device(name)
