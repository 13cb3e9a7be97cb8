"""`headspex status`: the progress of a run, from another terminal."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add its flags."""
    parser.add_argument("run", type=Path, metavar="RUN", help="the run's folder")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    from headspex.runs.status import status

    found = status(options.run)
    print(json.dumps({"run": str(options.run), **found.to_dict()}) if options.json else found)
    return 0
