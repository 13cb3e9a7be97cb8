"""`headspex prune`: find the heads that matter and the ones that can go."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from typing import TYPE_CHECKING

from headspex.cli.options import add_model, add_run, out_of, study_of

if TYPE_CHECKING:
    from headspex.study import Study

_ALONE = "the time is that of one process, whose passes Ray's workers share"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its flags."""
    add_model(parser)
    add_run(parser)


def run(options: argparse.Namespace) -> int:
    """Do it; returns the exit code."""
    from headspex.runs.finished_run import FinishedRun, same_finished_run
    from headspex.runs.ray_pool import check_workers
    from headspex.runs.results import command_of
    from headspex.runs.run_folder import RunFolder

    begin = time.perf_counter()
    check_workers(options.ray, options.cpus_per_worker)
    study = study_of(options)
    if options.dry_run:
        _tell_costs(study, options, begin)
        return 0
    out = out_of(options)
    finished = same_finished_run(study, out)
    if finished is None:
        try:
            if not RunFolder(out).run.exists():  # one that goes on has told it before
                _tell_costs_at_start(study, options, begin)
            study.run(out, ray=options.ray, cpus_per_worker=options.cpus_per_worker)
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


def _tell_costs(study: Study, options: argparse.Namespace, begin: float) -> None:
    from headspex.estimates.estimate import estimate

    costs = estimate(study, start=_loaded(study, begin))
    if options.json:
        print(json.dumps(costs.to_dict()))
        return
    print(costs)
    if options.ray is not None:
        print(_ALONE)


def _tell_costs_at_start(study: Study, options: argparse.Namespace, begin: float) -> None:
    from headspex.estimates.estimate import estimate_at_start

    costs = estimate_at_start(study, start=_loaded(study, begin))
    if costs is not None:
        alone = "" if options.ray is None else f"; {_ALONE}"
        print(f"headspex: {costs.line}{alone}", file=sys.stderr)


def _loaded(study: Study, begin: float) -> float:
    """Seconds until model and questions were there."""
    _ = study.encoded, study.model.fingerprint
    return time.perf_counter() - begin
