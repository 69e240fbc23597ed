"""Run the notebooks that have not run yet, and keep what ran for the pages.

``python -m tools.notebooks [TESTS]`` runs them through nbmake, beside other tests if any are named:
as many at a time as there are cores, with one thread each, because threads of several processes
wait for each other. Every notebook that ran to its end goes into the cache that Jupyter Book builds
from, whatever became of the others; next time only those run that are missing there. What failed
is said at the end.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn, JupyterCacheAbstract
from nbformat import NotebookNode

ROOT = Path(__file__).parents[1]
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def main(arguments: list[str] | None = None) -> int:
    """Run what is missing; return 0, or the status of pytest, or 1 where a notebook failed."""
    parser = argparse.ArgumentParser(prog="python -m tools.notebooks", description=__doc__)
    parser.add_argument("tests", nargs="*", help="tests to run beside the notebooks")
    parser.add_argument("--book", type=Path, default=ROOT / "book", help="folder of the notebooks")
    parser.add_argument("--build", type=Path, default=ROOT / "_build", help="folder of the cache")
    options = parser.parse_args(arguments)
    return run(options.book, options.build, options.tests)


def run(book: Path, build: Path, tests: list[str]) -> int:
    """Run the notebooks of a folder that are not in the cache, and other tests beside them.

    Args:
        book: Folder of the notebooks; they are not changed.
        build: Folder for the cache. Copies run in ``.executed``, beside ``book``.
        tests: What to give to pytest besides.

    Returns:
        0 if everything passed and every notebook is in the cache.
    """
    build.mkdir(parents=True, exist_ok=True)
    cache = get_cache(str(build / ".jupyter_cache"))
    notebooks = sorted(book.glob("*.ipynb"))
    missing = [path for path in notebooks if not _is_kept(cache, path)]
    print(f"{len(missing)} of {len(notebooks)} notebooks have to run", flush=True)
    copies = _copy(missing, book.parent / ".executed")  # nbmake takes nothing from a _build
    status = 0
    try:
        if copies or tests:
            status = _pytest([*map(str, copies), *tests])
    finally:  # an interrupt keeps what has run, too
        failures = [
            text
            for path, copy in zip(missing, copies, strict=True)
            if (text := _keep(cache, path, copy)) is not None
        ]
        if failures:
            print(
                f"\n{len(failures)} of {len(missing)} notebooks failed. The others are kept: the "
                "next run takes up what is missing or has changed.\n\n" + "\n\n".join(failures),
                flush=True,
            )
    return status or bool(failures)


def _is_kept(cache: JupyterCacheAbstract, path: Path) -> bool:
    try:
        cache.match_cache_notebook(_read(path))
    except KeyError:
        return False
    return True


def _read(path: Path) -> NotebookNode:
    notebook: NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    return notebook


def _copy(notebooks: list[Path], folder: Path) -> list[Path]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return [Path(shutil.copy(path, folder)) for path in notebooks]


def _pytest(targets: list[str]) -> int:
    workers = ["-n", "auto", "--dist", "worksteal"]
    command = [sys.executable, "-m", "pytest", *workers, "--nbmake", "--overwrite", *targets]
    return subprocess.run(
        command, env={"OMP_NUM_THREADS": "1"} | os.environ, check=False
    ).returncode


def _keep(cache: JupyterCacheAbstract, path: Path, copy: Path) -> str | None:
    """Put a notebook's outputs into the cache; return what went wrong if it did not run whole."""
    notebook, ran = _read(path), _read(copy)
    if (failure := _failure(ran)) is not None:
        return f"{path}, {failure}"
    # Only what a run adds: other metadata of it would make it another notebook to the cache.
    for cell, executed in zip(notebook.cells, ran.cells, strict=True):
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = executed.outputs, executed.execution_count
    if "widgets" in ran.metadata:
        notebook.metadata["widgets"] = ran.metadata["widgets"]
    cache.cache_notebook_bundle(CacheBundleIn(notebook, str(path)), overwrite=True)
    return None


def _failure(ran: NotebookNode) -> str | None:
    """Say which cell failed and how; None if all ran."""
    for number, cell in enumerate(ran.cells):
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        where = f"cell {number} ({cell.get('id', 'no id')}):\n\n{_indented(cell.source)}\n\n"
        for output in cell.outputs:
            if output.output_type == "error":
                lines = _COLOUR.sub("", "\n".join(output.traceback)).splitlines()
                return where + "\n".join(lines[-12:])
        if cell.execution_count is None:
            return where + "did not run to its end; pytest says why, above"
    return None


def _indented(source: str, most: int = 12) -> str:
    lines = source.splitlines()
    more = [f"... and {len(lines) - most} lines more"] if len(lines) > most else []
    return "\n".join(f"    {line}" for line in [*lines[:most], *more])


if __name__ == "__main__":
    sys.exit(main())
