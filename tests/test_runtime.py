import re
import time

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


def test_fastest_is_the_shortest_time_after_a_warm_up():
    pauses = [0.05, 0.03, 0.01, 0.02]
    left = iter(pauses)
    found = runtime.fastest(lambda: time.sleep(next(left)), repeats=3)
    assert 0.01 <= found < 0.03
    assert next(left, None) is None


@pytest.mark.parametrize("name", ["intensity", "peak", "bandwidth"])
def test_impossible_roofs_are_named(name):
    usual = {"intensity": 2.0, "peak": 1e11, "bandwidth": 1e10}
    with pytest.raises(ValueError, match=f"{name} must be positive, got 0"):
        runtime.attainable(**usual | {name: 0})
