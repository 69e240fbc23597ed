"""Notebooks run once: what ran is kept, what failed is said at the end and runs again."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tools import notebooks

KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


@pytest.fixture
def book(tmp_path):
    folder = tmp_path / "book"
    folder.mkdir()
    return folder


def write(book, name, *sources):
    cells = [new_markdown_cell("# A chapter"), *map(new_code_cell, sources)]
    nbformat.write(new_notebook(cells=cells, metadata=KERNEL), book / f"{name}.ipynb")


def executed(book):
    return sorted(path.stem for path in (book.parent / ".executed").glob("*.ipynb"))


def test_a_failure_costs_no_other_run_and_stands_at_the_end(book, capfd):
    write(book, "right", "print('fine')", "x = 1")
    write(book, "wrong", "first = 1", "assert first == 2, 'one is not two'")
    assert notebooks.run(book, book.parent / "_build", []) != 0
    assert executed(book) == ["right", "wrong"]
    last = capfd.readouterr().out[-600:]
    assert "1 of 2 notebooks failed" in last
    assert "wrong.ipynb, cell 2" in last
    assert "assert first == 2, 'one is not two'" in last
    assert last.rstrip().endswith("AssertionError: one is not two")

    write(book, "wrong", "first = 2", "assert first == 2, 'one is not two'")
    assert notebooks.run(book, book.parent / "_build", []) == 0
    assert executed(book) == ["wrong"]  # the other one is kept
    assert notebooks.run(book, book.parent / "_build", []) == 0
    assert executed(book) == []


def test_a_dead_kernel_is_a_failure(book, capfd):
    write(book, "dead", "import os", "os._exit(1)")
    assert notebooks.run(book, book.parent / "_build", []) != 0
    assert "dead.ipynb, cell" in capfd.readouterr().out


def test_kept_outputs_are_those_of_the_run(book):
    write(book, "speaks", "print(6 * 7)")
    assert notebooks.run(book, book.parent / "_build", []) == 0
    cache = notebooks.get_cache(str(book.parent / "_build" / ".jupyter_cache"))
    source = nbformat.read(book / "speaks.ipynb", as_version=4)
    _, merged = cache.merge_match_into_notebook(source)
    assert merged.cells[1].outputs[0].text == "42\n"
    assert not source.cells[1].outputs  # the file itself stays as it is


def test_a_failing_test_fails_the_run(book, tmp_path):
    write(book, "right", "x = 1")
    test = tmp_path / "test_wrong.py"
    test.write_text("def test_wrong():\n    assert False\n")
    assert notebooks.run(book, book.parent / "_build", [str(test)]) == 1
    assert notebooks.run(book, book.parent / "_build", []) == 0
    assert executed(book) == []  # it ran beside the failing test, and is kept
