"""What every chapter must have, checked on the files in git."""

import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))
DRAWS = ("plt.show()", "plt.subplots(", "plt.figure(")
LIVE = "live"  # cells that draw only where Python runs: live-..., each followed by twin-...


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_are_chapters():
    assert NOTEBOOKS


def test_no_outputs_in_git(notebook):
    nbformat.validate(notebook)
    for cell in code_cells(notebook):
        assert not cell.outputs
        assert cell.execution_count is None


def test_opens_with_title_and_objectives(notebook):
    first = notebook.cells[0]
    assert first.cell_type == "markdown"
    assert first.source.startswith("# ")
    assert "**By the end you will be able to**" in first.source
    assert "**You need**" in first.source
    assert "Reading takes" in first.source


def test_first_code_cell_installs_and_describes(notebook):
    first = code_cells(notebook)[0].source
    assert 'importlib.util.find_spec("csae")' in first
    assert "--constraint" in first
    assert "csae.settle_threads()" in first
    assert "csae.describe()" in first


def test_first_code_cell_is_the_same_everywhere(notebook):
    """tests/test_install_cell.py runs that of the quickstart."""
    quickstart = nbformat.read(ROOT / "book" / "quickstart.ipynb", as_version=4)
    assert code_cells(notebook)[0].source == code_cells(quickstart)[0].source


def questions_or_answers(text, title):
    """The numbers of the list under a heading, or none if there is no such heading."""
    _, _, rest = text.partition(f"## {title}\n")
    return re.findall(r"^\d+\. ", rest.partition("\n## ")[0], re.M)


def test_every_question_has_an_answer(notebook, request):
    chapter = request.node.callspec.params["notebook"].stem
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    questions = questions_or_answers(text, "Check yourself")
    if not questions:
        pytest.skip("this chapter asks no questions")
    assert "[answers](answers.md)" in text
    title = text.partition("\n")[0].removeprefix("# ")
    answers = (ROOT / "book" / "answers.md").read_text()
    assert questions_or_answers(answers, f"[{title}]({chapter})") == questions


def test_closes_with_limits_and_summary(notebook):
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert "## What this does not show" in text
    assert "## Summary" in text
    assert "**What is next.**" in text


def test_every_figure_has_caption_name_and_alt_text(notebook):
    for cell in code_cells(notebook):
        if any(call in cell.source for call in DRAWS) and not cell.id.startswith(LIVE):
            described = cell.metadata.get("mystnb", {})
            assert len(described["figure"]["caption"]) > 20, cell.id
            assert described["figure"]["name"] == f"fig-{cell.id}"
            assert len(described["image"]["alt"]) > 60, cell.id


def test_a_figure_is_alone_in_its_cell(notebook):
    """Whatever else a cell displays would become a second figure of the same name."""
    for cell in code_cells(notebook):
        if "figure" in cell.metadata.get("mystnb", {}):
            assert "display(" not in cell.source, cell.id
            assert "show_table(" not in cell.source, cell.id


def test_live_figures_have_a_still_twin(notebook):
    """The page leaves the widget out; the next cell draws the same with chosen settings."""
    cells = code_cells(notebook)
    live = [cell for cell in cells if "widgets." in cell.source]
    assert live == [cell for cell in cells if cell.id.startswith(LIVE)]
    for cell in live:
        assert cell.metadata.tags == ["remove-output"]
        twin = cells[cells.index(cell) + 1]
        assert twin.id == cell.id.replace(LIVE, "twin", 1)
        assert "figure" in twin.metadata.mystnb


def test_only_plain_markdown(notebook):
    """Colab shows directives as raw text."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            assert "```{" not in cell.source
            assert ":::" not in cell.source
            assert "{ref}`" not in cell.source


def test_claims_are_asserted(notebook):
    assert sum("assert " in cell.source for cell in code_cells(notebook)) >= 3


def test_figures_of_all_chapters_have_different_names():
    names = [
        cell.metadata.mystnb.figure.name
        for path in NOTEBOOKS
        for cell in code_cells(nbformat.read(path, as_version=4))
        if "figure" in cell.metadata.get("mystnb", {})
    ]
    assert len(names) == len(set(names)), [name for name in names if names.count(name) > 1]
