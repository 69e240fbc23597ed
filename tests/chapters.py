"""The chapters' own definitions, taken out of the notebooks as the reader sees them."""

import ast
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[1]
OTHER_CELLS = ("setup", "exercise-", "solution-", "live")


def definitions(chapter):
    """Return all functions and classes that a chapter defines, and what it imports, by name.

    What a chapter defines is kept where it imports the package's version of that name later.
    """
    notebook = nbformat.read(ROOT / "book" / f"{chapter}.ipynb", as_version=4)
    names, defined = {}, set()
    for cell in notebook.cells:
        if cell.cell_type != "code" or cell.id.startswith(OTHER_CELLS):
            continue
        for node in ast.parse(cell.source).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                node.names = [a for a in node.names if (a.asname or a.name) not in defined]
                if not node.names:
                    continue
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                defined.add(node.name)
            else:
                continue
            exec(compile(ast.Module([node], []), cell.id, "exec"), names)
    return names
