"""The estimated cost of a run, printed for `--dry-run` and at the start of a run."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from headspex.errors import UsageError

if TYPE_CHECKING:
    from headspex.study import Study

MOST_MINUTES = 1e6  # two years
_ALONE = "the time is that of one process; Ray's workers share its passes"


def print_costs(study: Study, options: argparse.Namespace, begin: float) -> None:
    """Print the estimate of `--dry-run`.

    Args:
        study: to estimate.
        options: of the command.
        begin: start of the command, by `time.perf_counter`.
    """
    from headspex.estimates.estimate import estimate

    costs = estimate(study, start=_loaded(study, begin))
    if options.json:
        print(json.dumps(costs.to_dict()))
        return
    print(costs)
    if options.ray is not None:
        print(_ALONE)


def print_costs_at_start(study: Study, options: argparse.Namespace, begin: float) -> None:
    """Print one line on standard error at the start of a run that takes long enough."""
    from headspex.estimates.estimate import estimate_at_start

    costs = estimate_at_start(study, start=_loaded(study, begin))
    if costs is not None:
        alone = "" if options.ray is None else f"; {_ALONE}"
        print(f"headspex: {costs.line}{alone}", file=sys.stderr)


def study_of_minutes(study: Study, options: argparse.Namespace, out: Path, begin: float) -> Study:
    """The study with the budgets of `--minutes`; a run that has begun keeps its own.

    Raises:
        UsageError: budgets beside the minutes, or too few minutes.
    """
    from headspex.budget.plan import Plan
    from headspex.estimates.costs import with_budgets
    from headspex.estimates.estimate import budgets_of
    from headspex.runs.run_folder import RunFolder, read_run

    if options.budget is not None or options.verify_budget is not None:
        raise UsageError("--minutes chooses the budgets, but one was given too; leave one out")
    if study.settings.protocol == "paper":
        raise UsageError(
            "--minutes chooses the budgets, but --protocol paper has budgets of its own; leave one "
            "out"
        )
    if not 0 < options.minutes < MOST_MINUTES:
        raise UsageError(f"--minutes must be above 0 and finite, but is {options.minutes:g}")
    if RunFolder(out).run.is_file():
        identity = read_run(out)["identity"]
        settings = with_budgets(study.settings, identity["search_budget"], None)
        return study.replanned(settings, Plan.of_run(identity))
    found = budgets_of(study, options.minutes, start=_loaded(study, begin))
    print(
        f"headspex: --minutes {options.minutes:g} buy --budget {found.budget} --verify-budget "
        f"{found.verify_budget} on this machine",
        file=sys.stderr,
    )
    settings = with_budgets(study.settings, found.budget, found.verify_budget)
    return study.replanned(settings)


def _loaded(study: Study, begin: float) -> float:
    """Seconds since `begin`, once model and questions are loaded."""
    _ = study.encoded, study.model.fingerprint
    return time.perf_counter() - begin
