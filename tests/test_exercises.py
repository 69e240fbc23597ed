"""The exercises: stubs fail, solutions pass, and typical mistakes get a hint of their own."""

import ast
import itertools
import math
from pathlib import Path

import matplotlib as mpl
import nbformat
import pytest
import torch

from csae import exercises

ROOT = Path(__file__).parents[1]
NOTEBOOKS = {path.stem: nbformat.read(path, 4) for path in (ROOT / "book").glob("*.ipynb")}
TASKS = [
    (chapter, cell.id.removeprefix("exercise-"))
    for chapter, notebook in sorted(NOTEBOOKS.items())
    for cell in notebook.cells
    if cell.id.startswith("exercise-")
]


def cell_of(chapter, cell_id):
    return next(cell for cell in NOTEBOOKS[chapter].cells if cell.id == cell_id)


def verdict(chapter, cell_id):
    """Run a cell after the chapter's imports, as a reader does; its last line is the check."""
    mpl.use("agg")
    names = {}
    default = torch.get_default_dtype()
    try:
        exec(cell_of(chapter, "imports").source, names)
        *body, last = ast.parse(cell_of(chapter, cell_id).source).body
        exec(compile(ast.Module(body, []), cell_id, "exec"), names)
        return eval(compile(ast.Expression(last.value), cell_id, "eval"), names)
    finally:
        torch.set_default_dtype(default)


def test_the_geometry_chapter_has_exercises():
    assert sum(chapter == "centroids" for chapter, _ in TASKS) >= 4


@pytest.mark.parametrize(("chapter", "task"), TASKS)
def test_the_stub_fails_and_says_what_to_do(chapter, task):
    found = verdict(chapter, f"exercise-{task}")
    assert isinstance(found, exercises.Verdict)
    assert not found
    assert "eplace" in found.text
    assert "three dots" in found.text
    assert max(map(len, repr(found).splitlines())) <= 66
    assert repr(found).startswith("✗ Not yet.")


@pytest.mark.parametrize(("chapter", "task"), TASKS)
def test_the_solution_passes(chapter, task):
    found = verdict(chapter, f"solution-{task}")
    assert found.passed, found.text
    assert repr(found).startswith("✓ Right.")


@pytest.mark.parametrize(("chapter", "task"), TASKS)
def test_stub_and_solution_belong_together(chapter, task):
    """The same check, and nothing before the dots that the solution does not keep."""
    ids = [cell.id for cell in NOTEBOOKS[chapter].cells]
    start = ids.index(f"task-{task}")
    assert ids[start : start + 3] == [f"task-{task}", f"exercise-{task}", f"solution-{task}"]
    stub = cell_of(chapter, f"exercise-{task}").source.splitlines()
    solution = cell_of(chapter, f"solution-{task}").source.splitlines()
    assert solution.pop(0) == '# @title Solution {display-mode: "form"}'  # folded in Colab
    assert stub[-1] == solution[-1]
    assert stub[-1].startswith("exercises.check_")
    kept = list(itertools.takewhile(lambda line: "..." not in line, stub))
    assert solution[: len(kept)] == kept
    assert any("..." in line for line in stub)


@pytest.mark.parametrize(("chapter", "task"), TASKS)
def test_the_solution_is_folded(chapter, task):
    metadata = cell_of(chapter, f"solution-{task}").metadata
    assert "hide-cell" in metadata.tags  # on the page
    assert metadata.jupyter.source_hidden  # in JupyterLab
    assert not cell_of(chapter, f"exercise-{task}").metadata.get("tags")


def test_every_check_is_used():
    used = {
        cell.source.split("exercises.")[-1].split("(")[0]
        for notebook in NOTEBOOKS.values()
        for cell in notebook.cells
        if cell.id.startswith("exercise-")
    }
    assert used == {name for name in dir(exercises) if name.startswith("check_")}


def centred(k):
    corners = torch.eye(k)
    return corners - corners.mean(dim=0)


def force(x, power=3.0, radial=False):
    apart = x[:, None] - x
    distance = apart.norm(dim=2, keepdim=True)
    distance.diagonal().fill_(math.inf)
    total = (apart / distance**power).sum(dim=1)
    return total if radial else total - (total * x).sum(dim=1, keepdim=True) * x


def stops(*_):
    raise RuntimeError("out of ideas")


MISTAKES = [
        ("simplex_angle", ..., "Replace the three dots"),
        ("simplex_angle", 120.0, "Pass the function itself"),
        ("simplex_angle", stops, "stopped: RuntimeError: out of ideas"),
        ("simplex_angle", lambda k: -1 / (k - 1), "This is the cosine"),
        ("simplex_angle", lambda k: math.acos(-1 / (k - 1)), "in radians"),
        ("simplex_angle", lambda k: math.degrees(math.acos(1 / (k - 1))), "Mind the sign"),
        ("simplex_angle", lambda k: math.degrees(math.acos(-1 / k)), "among K - 1"),
        ("simplex_angle", lambda k: 360 / k, "For K = 2 you return 180|For K = 4 you return 90"),
        ("simplex_angle", lambda k: "wide", "Return a number, not a str"),
        ("centred_corners", lambda k: None, "returned None"),
        ("centred_corners", lambda k: [1.0] * k, "Return a torch tensor, not a list"),
        ("centred_corners", lambda k: torch.eye(k)[:-1], r"shape \(3, 3\); yours has \(2, 3\)"),
        ("centred_corners", lambda k: torch.full((k, k), math.nan), "not finite"),
        ("centred_corners", torch.eye, "do not sum to zero"),
        ("centred_corners", centred, "norms should be 1; for K = 3 the first is 0.816"),
        (
            "centred_corners",
            lambda k: torch.linspace(0, 2 * math.pi, k + 1)[:-1, None].add(
                torch.tensor([[0, -math.pi / 2]])
            ).cos() @ torch.eye(2, k),
            "not all pairs have cosine",
        ),
        ("fewest_dimensions", 46, "Keep the dictionary"),
        ("fewest_dimensions", {"simplex": 46}, "lacks .'orthoplex'"),
        ("fewest_dimensions", {"simplex": 46, "orthoplex": ...}, "three dots of .'orthoplex'"),
        ("fewest_dimensions", {"simplex": 47, "orthoplex": 24}, "How many are independent"),
        ("fewest_dimensions", {"simplex": 24, "orthoplex": 24}, "three points need two"),
        ("fewest_dimensions", {"simplex": 46, "orthoplex": 23}, "46 vertices"),
        ("fewest_dimensions", {"simplex": 46, "orthoplex": 47}, "brings two vertices"),
        ("tangential_force", lambda x: -force(x), "turn the sign"),
        ("tangential_force", lambda x: -force(x, radial=True), "sum over the other index"),
        ("tangential_force", lambda x: force(x, radial=True), "points outwards: subtract it"),
        ("tangential_force", lambda x: force(x, 2), "first power"),
        ("tangential_force", lambda x: force(x, 1), "zeroth power"),
        ("tangential_force", lambda x: force(x, 4), "third power"),
        ("tangential_force", lambda x: force(x) + x, "subtract its component"),
        ("tangential_force", lambda x: 2 * force(x), "is not the sum"),
        ("tangential_force", lambda x: force(x) * math.nan, "not finite"),
        ("orthogonal_simplices", lambda k, d: k - d, "return a list"),
        ("orthogonal_simplices", lambda k, d: [], "return a list"),
        ("orthogonal_simplices", lambda k, d: [k / (k - d)] * (k - d), "// divides"),
        ("orthogonal_simplices", lambda k, d: [k - 1], "sizes sum to 4, not 5"),
        ("orthogonal_simplices", lambda k, d: [1] * k, "no direction"),
        ("orthogonal_simplices", lambda k, d: [k], "use 4 dimensions, not 3"),
]  # fmt: skip


def test_every_check_knows_typical_mistakes():
    checks = {name for name in dir(exercises) if name.startswith("check_")}
    assert checks == {f"check_{name}" for name, _, _ in MISTAKES}


@pytest.mark.parametrize(("check", "answer", "hint"), MISTAKES)
def test_typical_mistakes_get_a_hint(check, answer, hint):
    found = getattr(exercises, f"check_{check}")(answer)
    assert not found.passed
    with pytest.raises(AssertionError, match=hint):
        raise AssertionError(found.text)
