"""One list of dependencies, one address of the repository, and an import that stays light."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONSTRAINTS = {
    name.lower().replace("_", "-"): version
    for name, _, version in (
        line.partition("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    )
}


def requirements():
    groups = PROJECT["project"]["optional-dependencies"].values()
    return [*PROJECT["project"]["dependencies"], *(r for group in groups for r in group)]


def test_environment_yml_points_to_the_one_list():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    assert [re.split(r"[=<>]", name)[0] for name in conda] == ["python", "pip"]
    assert pip == {"pip": ["--constraint constraints.txt", "--editable .[book,test]"]}
    assert {"book", "test"} <= PROJECT["project"]["optional-dependencies"].keys()


def test_bounds_are_loose_and_constraints_exact():
    for requirement in requirements():
        name, bound = re.fullmatch(r"([\w-]+)(.*)", requirement).groups()
        assert bound.startswith(">="), requirement
        assert name.lower() in CONSTRAINTS, requirement
    assert "jupyter-book>=1.0.4,<2" in requirements()
    assert CONSTRAINTS["jupyter-book"].startswith("1.")


def test_the_clients_packages_are_declared():
    names = {re.split(r"[<>=]", requirement)[0] for requirement in requirements()}
    assert names >= {
        "torch", "torchvision", "pywavelets", "matplotlib", "jupyter-book", "ipywidgets", "nbmake",
    }  # fmt: skip


def test_commit_hooks_use_the_versions_of_the_constraints():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    for hook in hooks:
        for pin in hook["additional_dependencies"]:
            name, version = pin.split("==")
            assert CONSTRAINTS[name] == version, pin


@pytest.mark.parametrize(
    "file",
    [
        "README.md",
        "CITATION.cff",
        "_config.yml",
        "book/index.md",
        *(f"book/{path.name}" for path in sorted((ROOT / "book").glob("*.ipynb"))),
    ],
)
def test_repository_has_one_address(file):
    address = PROJECT["project"]["urls"]["Repository"]
    owner_and_name = address.removeprefix("https://github.com/")
    text = (ROOT / file).read_text()
    others = set(re.findall(r"github\.com/([\w.-]+/[\w.-]*csae[\w.-]*)", text)) - {owner_and_name}
    assert not others, f"{file} names {others}, pyproject.toml names {owner_and_name}"
    if file != "README.md":
        assert address in text


def test_version_is_the_same_everywhere():
    import csae

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == csae.__version__
    assert f"## {csae.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_import_is_light_and_has_no_side_effects(tmp_path):
    """No plotting library, no files, no threads or random numbers touched."""
    script = """
import sys, torch, torchvision
state, threads = torch.random.get_rng_state(), torch.get_num_threads()
import csae
assert "matplotlib" not in sys.modules, "matplotlib is imported"
assert torch.equal(state, torch.random.get_rng_state())
assert torch.get_num_threads() == threads
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)
    assert not list(tmp_path.iterdir())


def test_layers_depend_one_way():
    """A module imports only what stands below it; argument checks stand below everything."""
    above = {
        "checks": set(),
        "centroids": {"progress"},
        "distributed": set(),
        "files": set(),
        "muon": set(),
        "progress": set(),
        "noise": {"distributed"},
        "wavelets": set(),
        "generation": set(),
        "runtime": set(),
        "data": {"distributed", "files"},
        "state": {"files"},
        "networks": {"noise"},
        "losses": {"centroids", "networks"},
        "records": {"files", "networks"},
        "training": {"data", "distributed", "muon", "progress", "runtime", "state"},
        "evaluation": {"data", "losses", "networks"},
        "figures": {"evaluation"},
        "baselines": {"networks"},
        "recipes": {"centroids", "data", "losses", "networks", "training", "wavelets"},
        "export": {"files", "networks", "records", "runtime"},
    }
    modules = {path.stem: path.read_text() for path in (ROOT / "csae").glob("[a-z]*.py")}
    assert modules.keys() == above.keys()
    for name, allowed in above.items():
        imported = re.findall(r"^from csae\.(\w+) import", modules[name], re.M)
        for names in re.findall(r"^from csae import (.+)$", modules[name], re.M):
            imported += names.split(", ")
        assert set(imported) <= allowed | ({"checks"} if name != "checks" else set()), name
