"""Figures and report of a run, from the numbers in its folder."""

from __future__ import annotations

from pathlib import Path

from headspex.figures.of_run import draw, figures_of
from headspex.figures.run_view import RunView
from headspex.report.page import write_report
from headspex.runs.finished_run import FinishedRun


def publish(run: FinishedRun) -> list[Path]:
    """Draw the figures of a run and write its report; returns the files."""
    view = RunView(run.folder, run.identity, run.results)
    pictures = [
        path
        for name in figures_of(view)
        for path in draw(view, name, run.folder.figures / f"{name}.svg")
    ]
    return [*pictures, write_report(view)]
