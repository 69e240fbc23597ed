"""The command ``csae experiment``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from csae import checks, experiments
from csae.cli import options as shared
from csae.experiments import Task


def add(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    command = commands.add_parser(
        "experiment",
        help="make the runs of an experiment of the book",
        description="Make the runs of an experiment of the book that have no record yet, or say "
        "which ones have.\nIt can be ended at any time and started again.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=_run)
    command.add_argument(
        "action",
        choices=("list", "plan", "run"),
        help="list: all experiments; plan: what is recorded, what is left, and how long it will "
        "take; run: make what is left",
    )
    command.add_argument("names", nargs="*", metavar="NAME", help="experiments; all for a plan")
    command.add_argument(
        "--seeds", type=int, nargs="+", metavar="N", help="other seeds than the experiment's own"
    )
    command.add_argument(
        "--datasets", nargs="+", metavar="NAME", help="some of its data sets (default: all)"
    )
    command.add_argument(
        "--settings", nargs="+", metavar="NAME", help="some of its settings (default: all)"
    )
    command.add_argument(
        "--root",
        type=shared.path,
        metavar="FOLDER",
        help="where the data sets lie (default: $CSAE_DATA, else a cache folder)",
    )
    command.add_argument(
        "--results",
        type=shared.path,
        metavar="FOLDER",
        default=experiments.RESULTS,
        help="where the records lie (default: %(default)s)",
    )
    command.add_argument(
        "--work",
        type=shared.path,
        metavar="FOLDER",
        default=experiments.WORK,
        help="where states and weights lie (default: %(default)s)",
    )
    command.add_argument(
        "--side-by-side",
        type=int,
        metavar="N",
        default=1,
        help="how many runs at once, each with its share of the cores (default: %(default)s)",
    )


def _run(options: argparse.Namespace) -> None:
    known = experiments.book_experiments()
    if options.action == "list":
        for experiment in known.values():
            print(f"{experiment.name:22}{experiment.question}")
        return
    for name in options.names:
        checks.choice("name", name, tuple(known))
    seeds = _checked_seeds(options.seeds)
    if options.action == "plan":
        for name in options.names or known:
            plan = experiments.describe_plan(
                known[name], seeds, options.results, options.datasets, options.settings
            )
            print(plan)
        return
    if not options.names:
        raise ValueError(f"name the experiments to run, of {', '.join(known)}")
    options.interrupted = "go on with the same command"
    for name in options.names:
        _make(options, name, seeds)


def _make(options: argparse.Namespace, name: str, seeds: Sequence[int] | None) -> None:
    def say(task: Task, done: int, count: int) -> None:
        print(f"[{done}/{count}] {name}: {task}", flush=True)

    experiments.run_experiment(
        name,
        seeds=seeds,
        datasets=options.datasets,
        settings=options.settings,
        root=options.root,
        results=Path(options.results),
        work=Path(options.work),
        side_by_side=options.side_by_side,
        on_done=say,
    )


def _checked_seeds(seeds: Sequence[int] | None) -> list[int] | None:
    return None if seeds is None else [checks.seed("seeds", seed) for seed in seeds]
