"""`headspex prune`: find the heads that matter and those that can be removed."""

from __future__ import annotations

import argparse
import json
import shlex
import time
from dataclasses import asdict

from headspex.cli.costs import print_costs, print_costs_at_start, study_of_minutes
from headspex.cli.options import add_minutes, add_run, add_study, out_of, pool_of, study_of


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add its flags."""
    add_study(parser)
    add_run(parser)
    add_minutes(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    from headspex.runs.finished_run import FinishedRun, same_finished_run
    from headspex.runs.results import command_of
    from headspex.runs.run_folder import RunFolder

    begin = time.perf_counter()
    pool = pool_of(options)
    study, out = study_of(options), out_of(options)
    if options.minutes is not None:
        study = study_of_minutes(study, options, out, begin)
    if options.dry_run:
        print_costs(study, options, begin)
        return 0
    finished = same_finished_run(study, out)
    if finished is None:
        try:
            if not RunFolder(out).run.exists():  # a resumed run has printed them before
                print_costs_at_start(study, options, begin)
            study.run(out, **asdict(pool))
        except KeyboardInterrupt:
            if not RunFolder(out).scores.is_file():
                raise KeyboardInterrupt("stopped before anything was scored") from None
            again = f"{command_of(study)} --out {shlex.quote(str(out))}"
            raise KeyboardInterrupt(
                f"stopped; what was scored is kept, go on with: {again}"
            ) from None
        finished = FinishedRun.load(out)
    if options.json:
        print(json.dumps({"run": str(out), **finished.results}))
        return 0
    print(finished)
    print(f"Everything is in {out}; the report is {out / 'report.html'}")
    return 0
