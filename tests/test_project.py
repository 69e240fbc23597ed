"""One list of dependencies, one address of the repository, and an import that stays light."""

import ast
import graphlib
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
    """No files, no threads or random numbers touched, nothing imported that takes seconds."""
    script = """
import sys, torch
state, threads = torch.random.get_rng_state(), torch.get_num_threads()
import csae
import csae.cli
slow = {"matplotlib", "torchvision", "lightning_fabric", "torch._dynamo", "sklearn", "skimage"}
assert not slow & set(sys.modules), f"{slow & set(sys.modules)} are imported"
assert torch.equal(state, torch.random.get_rng_state())
assert torch.get_num_threads() == threads
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)
    assert not list(tmp_path.iterdir())


# Modules and packages of csae from the ground up: each imports only what stands before it.
FLOORS = (
    "checks", "files", "schema", "tensorfile", "progress", "centroids", "wavelets", "distributed",
    "noise", "muon", "runtime", "data", "networks", "models", "baselines", "kinds", "losses",
    "training", "evaluation", "generation", "recipes", "records", "weights", "measures", "runs",
    "experiments", "claims", "export", "figures", "exercises", "cli", "__main__",
)  # fmt: skip


def imported(path):
    """Modules of csae that a file imports, at its top or inside of a function, by their full names.

    What is imported for the type checker only does not count.
    """
    tree = ast.parse(path.read_text())
    guarded = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in guarded:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module


MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "csae").rglob("*.py"))
}


def test_layers_depend_one_way():
    """A module or package imports only what stands below it."""
    units = {name.split(".")[1] for name in MODULES if name != "csae"}
    assert units == set(FLOORS)
    for name, path in MODULES.items():
        if name == "csae":
            continue
        floor = FLOORS.index(name.split(".")[1])
        for other in imported(path):
            if other.startswith("csae."):
                assert FLOORS.index(other.split(".")[1]) <= floor, f"{name} imports {other}"


def test_rooms_of_a_package_depend_one_way():
    """Inside of a package, too, no module imports one that needs it."""
    graph = {
        name: {other for other in imported(path) if other in MODULES and other != name}
        for name, path in MODULES.items()
        if name != "csae"
    }
    for name in graph:  # a package's first file names its modules; they do not need it
        graph[name] -= {"csae"}
    order = list(graphlib.TopologicalSorter(graph).static_order())
    assert len(order) >= len(graph)
