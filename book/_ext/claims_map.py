"""Claims map: where each numbered equation is implemented, tested and drawn.

An equation of a page has an id, ``$$ ... $$ (id)``. The function that
implements it says so in its docstring, in a line ``Equations: id, id.``; a
test named ``test_equation_id`` (with underscores) checks it; the cell that
draws it names it in its metadata, ``"equations": ["id"]``. This module
collects the four, finds the gaps, and makes the table of the appendix page.
"""

import ast
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

LABEL = re.compile(r"\$\$ \(([a-z0-9-]+)\)[ \t]*$", re.M)
CITATION = re.compile(r"^ *Equations: ([a-z0-9-]+(?:, [a-z0-9-]+)*)\.$", re.M)
ATTEMPT = re.compile(r"^ *Equations?:.*$", re.M)
TEST = "test_equation_"


@dataclass
class Claim:
    """An equation and all that belongs to it."""

    id: str
    pages: list[str] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)
    tests: list[str] = field(default_factory=list)
    figures: list[str] = field(default_factory=list)

    def gaps(self) -> list[str]:
        """Say what is missing."""
        found = []
        if len(self.pages) > 1:
            found.append(f"stands more than once: {', '.join(self.pages)}")
        for needed, what in (
            (self.pages, "stands on no page of the book"),
            (self.functions, "is cited by no docstring"),
            (self.tests, "is checked by no test"),
            (self.figures, "is drawn by no figure"),
        ):
            if not needed:
                found.append(what)
        return [f"equation {self.id} {gap}" for gap in found]


def collect(root: Path) -> list[Claim]:
    """Collect the claims of a checkout, in the order of the book.

    What cites an equation that stands on no page comes last.
    """
    claims: dict[str, Claim] = {}

    def claim(name: str) -> Claim:
        return claims.setdefault(name, Claim(name))

    for page in pages(root):
        for text in markdown(page):
            for name in LABEL.findall(text):
                claim(name).pages.append(page.stem)
    for page in pages(root):
        for figure, names in figures(page):
            for name in names:
                claim(name).figures.append(figure)
    for path in sorted((root / "csae").rglob("*.py")):
        for function, text in docstrings(path):
            for line in ATTEMPT.findall(text):
                if not (cited := CITATION.fullmatch(line)):
                    raise ValueError(
                        f"{function} cites equations in a line that cannot be"
                        f' read: "{line.strip()}"; write it like'
                        ' "Equations: one-id, another-id."'
                    )
                for name in cited[1].split(", "):
                    claim(name).functions.append(function)
    for path in sorted((root / "tests").glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith(
                TEST
            ):
                name = node.name.removeprefix(TEST).replace("_", "-")
                claim(name).tests.append(f"{path.name}::{node.name}")
    return list(claims.values())


def pages(root: Path) -> list[Path]:
    """List the sources of the pages in the table of contents, in order."""
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    chapters = [c["file"] for part in toc["parts"] for c in part["chapters"]]
    names = [toc["root"], *chapters]
    return [
        next(
            p
            for end in ("ipynb", "md")
            if (p := root / f"{n}.{end}").exists()
        )
        for n in names
    ]


def cells(page: Path) -> list[dict[str, Any]]:
    """Return the cells of a notebook; none for other pages."""
    if page.suffix != ".ipynb":
        return []
    loaded: list[dict[str, Any]] = json.loads(page.read_text("utf-8"))[
        "cells"
    ]
    return loaded


def markdown(page: Path) -> list[str]:
    """Return the Markdown of a page, cell by cell."""
    if page.suffix == ".md":
        return [page.read_text(encoding="utf-8")]
    return [
        "".join(cell["source"])
        for cell in cells(page)
        if cell["cell_type"] == "markdown"
    ]


def figures(page: Path) -> list[tuple[str, list[str]]]:
    """Return figure names and the equations that each of them draws."""
    found = []
    for cell in cells(page):
        if names := cell["metadata"].get("equations"):
            figure = cell["metadata"].get("mystnb", {}).get("figure")
            if figure is None:
                raise ValueError(
                    f"cell {cell['id']} of {page.name} names equations, but "
                    "its metadata describe no figure"
                )
            found.append((figure["name"], names))
    return found


def docstrings(path: Path) -> list[tuple[str, str]]:
    """Return the docstrings of a module with the names of their objects."""
    found = []

    def visit(node: ast.AST, name: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                inner = f"{name}.{child.name}"
                found.append((inner, ast.get_docstring(child) or ""))
                visit(child, inner)

    visit(ast.parse(path.read_text(encoding="utf-8")), public_module(path))
    return found


def public_module(path: Path) -> str:
    """Name where a reader imports a file's objects: its package."""
    parts = path.with_suffix("").parts
    start = len(parts) - 1 - parts[::-1].index("csae")
    return ".".join(parts[start : start + 2])


class ClaimsMap(SphinxDirective):
    """The table of all claims: ``{claims-map}``."""

    def run(self) -> list[nodes.Node]:
        """Make the table; warn of every gap, which fails a strict build."""
        root = Path(self.env.srcdir)
        for folder in ("book", "csae", "tests"):
            for path in (root / folder).rglob("*.*"):
                if "__pycache__" not in path.parts:
                    self.env.note_dependency(str(path))
        lines = [
            "| equation | implemented by | checked by | drawn in |",
            "|---|---|---|---|",
        ]
        for claim in collect(root):
            for gap in claim.gaps():
                logging.getLogger(__name__).warning(
                    gap, location=self.get_location()
                )
            if not claim.pages:
                continue
            code = " ".join(f"`{name}`" for name in claim.functions)
            test = " ".join(
                "`{1}` in `{0}`".format(*name.split("::"))
                for name in claim.tests
            )
            seen = ", ".join(f"{{numref}}`{name}`" for name in claim.figures)
            shown = f"{{eq}}`{claim.id}` {claim.id}"
            lines.append(f"| {shown} | {code} | {test} | {seen} |")
        return [parsed(self, lines)]


class VerdictsMap(SphinxDirective):
    """The table of what is claimed of the method: ``{verdicts-map}``."""

    def run(self) -> list[nodes.Node]:
        """Make the table from the package and the records of its runs."""
        from csae.claims import CLAIMS, SPREAD_EVENLY, result_runs, verdict
        from csae.figures import against

        root = Path(self.env.srcdir)
        for path in (root / "results" / "runs").rglob("*.json"):
            self.env.note_dependency(str(path))
        runs = result_runs()
        lines = [
            "| claim | verdict | decided by | their runs | drawn in |",
            "|---|---|---|---|---|",
        ]
        for claim in (SPREAD_EVENLY, *CLAIMS):
            decided = "; ".join(
                dict.fromkeys(against(c) for c in claim.comparisons)
            )
            compared = {s for c in claim.comparisons for s in (c.new, c.old)}
            counted = sum(run.setting in compared for run in runs)
            found = verdict(claim, runs)
            lines.append(
                f"| {claim.id}: {claim.text} | {found} | {decided} "
                f"| {counted} | {{numref}}`{claim.figure}` |"
            )
        return [parsed(self, lines)]


def parsed(directive: SphinxDirective, lines: list[str]) -> nodes.Node:
    """Turn a table in Markdown into a node."""
    holder = nodes.container(classes=[directive.name])
    source = StringList(lines, directive.name)
    directive.state.nested_parse(source, 0, holder)
    return holder


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("claims-map", ClaimsMap)
    app.add_directive("verdicts-map", VerdictsMap)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
