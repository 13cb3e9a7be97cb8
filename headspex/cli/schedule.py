"""`headspex schedule`: a new schedule from finished runs, judged beside their own."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add its flags."""
    add = parser.add_argument
    add("runs", type=Path, nargs="+", metavar="RUN", help="folders of runs on one model")
    add("--method", default="greedy", help="greedy removes one after the other, build-up adds "
        "one after the other; exact finds the best set of each size, nested the best that contain "
        "the smaller ones (default: %(default)s)")  # fmt: skip
    add(
        "--protect",
        nargs="+",
        default=[],
        metavar="PLAYER",
        help="heads never to remove, such as L0H3",
    )
    add("--per-layer", type=int, metavar="N", help="remove at most N heads from each layer")
    add("--combine", default="mean", help="of several runs: mean or worst, what schedules are "
        "judged by (default: %(default)s)")  # fmt: skip
    add("--weights", type=float, nargs="+", metavar="W", help="weights of the runs in their mean")
    add("--keep-only", action="store_true", help="look for how few heads suffice: judge masks "
        "that keep only a few")  # fmt: skip
    add("--text", type=Path, metavar="FILE", help="judge the loss on this text too")
    add("--to", type=Path, required=True, metavar="DIR", help="a new folder for the results")
    add("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    from headspex.rescheduling.outcome import ScheduleRequest
    from headspex.rescheduling.reschedule import schedule_runs

    request = ScheduleRequest(
        method=options.method, protect=tuple(options.protect), per_layer=options.per_layer,
        combine=options.combine, weights=None if options.weights is None else
        tuple(options.weights), keep_only=options.keep_only, text=options.text,
    )  # fmt: skip
    found = schedule_runs(options.runs, request, options.to)
    if options.json:
        print(json.dumps({"to": str(options.to), **found.to_dict()}))
        return 0
    print(found)
    print(f"\nMasks and curves are in {options.to}")
    return 0
