"""The exercises: stubs fail, solutions pass, and typical mistakes get a hint of their own."""

import ast
import itertools
from pathlib import Path

import matplotlib as mpl
import nbformat
import pytest
import torch

from csae import exercises
from tests.mistakes import MISTAKES

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


def test_every_check_knows_typical_mistakes():
    checks = {name for name in dir(exercises) if name.startswith("check_")}
    assert checks == {f"check_{name}" for name, _, _ in MISTAKES}


@pytest.mark.parametrize(("check", "answer", "hint"), MISTAKES)
def test_typical_mistakes_get_a_hint(check, answer, hint):
    found = getattr(exercises, f"check_{check}")(answer)
    assert not found.passed
    with pytest.raises(AssertionError, match=hint):
        raise AssertionError(found.text)
