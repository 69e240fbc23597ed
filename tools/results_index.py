"""Write the index of the records, results/README.md, from the records and the experiments.

python -m tools.results_index
"""

from pathlib import Path

from csae.experiments import book_experiments
from csae.records import Record, describe_machine, experiments, load_runs

INDEX = Path(__file__).parents[1] / "results" / "README.md"
_HEAD = """\
# Records

Every figure of the book that is not computed on its page stands in a record of this folder. Written
by `python -m tools.results_index`; do not edit.

`runs/<experiment>/<data set>/<setting>-seed<N>.json` is one run: the kind of model, every term of
its loss with its weight, training, data with hashes, metrics of each epoch, what was measured at
the end, versions, machine and commit. What a run did not write itself, and was added later from the
code of its commit, is named under `filled_in`. `benchmarks/` holds timings.

An experiment is defined in the folder `experiments`; `csae experiment run NAME` makes the runs that
have no record.

| experiment | question | data sets | settings | runs | measured on | machines | commits |
|---|---|---|---|---|---|---|---|
"""


def index() -> str:
    """Return the text of the index."""
    known = book_experiments()
    lines = [_line(name, known[name].question, load_runs(name)) for name in experiments()]
    return _HEAD + "\n".join(lines) + "\n"


def _line(name: str, question: str, runs: list[Record]) -> str:
    parts = "validation and test" if any(run.test for run in runs) else "validation"
    cells = (
        f"`{name}`",
        question,
        ", ".join(sorted({run.dataset for run in runs})),
        str(len({run.setting for run in runs})),
        str(len(runs)),
        parts,
        "; ".join(sorted({describe_machine(run.environment) for run in runs})),
        ", ".join(sorted({run.environment["commit"][:7] for run in runs})),
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    INDEX.write_text(index(), encoding="utf-8")
