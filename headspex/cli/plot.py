"""`headspex plot`: draw the figures and the report of a finished run."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from headspex.errors import UsageError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add its flags."""
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help="the run's folder")
    add("name", nargs="?", metavar="NAME", help="curve, heads, energy, graph, orders or report; "
        "after `headspex compare` also faithfulness; with shapiq also upset, waterfall and "
        "force (default: all that every run has)")  # fmt: skip
    add("--ranges", metavar="RANGES", help="for energy and curve: groups of layers, such as "
        "0-2,13-15,29-31; for a curve, the model scores their schedules first")  # fmt: skip
    add("--dark", action="store_true", help="dark background")
    add("--to", type=Path, metavar="FILE", help=".svg, .png or .pdf; the table it was drawn from "
        "goes beside it as .csv (default: RUN/figures/NAME.svg)")  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    from headspex.figures.of_run import draw, figures_of
    from headspex.figures.run_view import RunView
    from headspex.figures.style import DARK, LIGHT
    from headspex.report import write_report
    from headspex.runs.layer_ranges import parse_ranges

    view = replace(RunView.load(options.run), theme=DARK if options.dark else LIGHT)
    if options.ranges is not None:
        if options.name not in ("energy", "curve"):
            raise UsageError(
                f"--ranges goes with the figures energy and curve, but NAME is {options.name}"
            )
        ranges = parse_ranges(options.ranges, view.players)
        view = replace(view, ranges=ranges)
        if options.name == "curve":
            from headspex.runs.range_verification import measure_ranges  # it needs the model

            measure_ranges(options.run, ranges)
    if options.name == "report":
        print(write_report(view, to=options.to))
        return 0
    if options.name is None and options.to is not None:
        raise UsageError(f"--to is a file for one figure, but no NAME stands before {options.to}")
    names = [options.name] if options.name else figures_of(view)
    ending = "-dark.svg" if options.dark else ".svg"
    for name in names:
        for path in draw(view, name, options.to or view.folder.figures / f"{name}{ending}"):
            print(path)
    if options.name is None:
        print(write_report(view, to=options.to))
    return 0
