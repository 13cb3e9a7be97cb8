"""The estimated cost of a run, printed for `--dry-run` and at the start of a run."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headspex.study import Study

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


def _loaded(study: Study, begin: float) -> float:
    """Seconds since `begin`, once model and questions are loaded."""
    _ = study.encoded, study.model.fingerprint
    return time.perf_counter() - begin
