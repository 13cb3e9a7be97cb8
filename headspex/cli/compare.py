"""`headspex compare`: compare other methods on a finished run."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add its flags."""
    parser.add_argument("run", type=Path, metavar="RUN", help="the run's folder")
    parser.add_argument("--budgets", type=int, nargs="+", default=[], metavar="PASSES",
                         help="fit methods to this many passes of the run's search "
                         "too, besides all of them (default: 1/16, 1/8, 1/4 and 1/2)")  # fmt: skip
    parser.add_argument("--spex-budget", type=int, metavar="PASSES", help="passes of a search "
                         "of SPEX's own, with all search questions for each mask "
                         "(default: no SPEX)")  # fmt: skip
    parser.add_argument("--orders", nargs="*", metavar="NAME", help="pruning criteria to compare "
                         "besides the fitted methods, by name; the flag alone: none "
                         "(default: all)")  # fmt: skip
    parser.add_argument("--order-budget", type=int, metavar="PASSES", help="passes that each "
                         "criterion may take, a backward pass counting as two (default: as "
                         "many as the run's search and refinement took)")  # fmt: skip
    parser.add_argument("--to", type=Path, metavar="DIR", help="a new folder for the results "
                         "(default: RUN/compare)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    from headspex.comparison.compare import compare
    from headspex.comparison.outcome import check_folder
    from headspex.runs.run_folder import finished_run

    folder, _ = finished_run(options.run)
    to, figure = folder.comparison, folder.figures / "faithfulness.svg"
    if options.to is not None:
        to, figure = options.to, options.to / "faithfulness.svg"
        check_folder(to)
    found = compare(
        options.run, budgets=options.budgets, spex_budget=options.spex_budget,
        orders=options.orders, order_budget=options.order_budget,
    )  # fmt: skip
    found.write(to, figure)
    if options.json:
        print(json.dumps({"run": str(options.run), **found.to_dict()}))
        return 0
    print(found)
    print(f"\nThe numbers are in {to}, the figure is {figure}")
    return 0
