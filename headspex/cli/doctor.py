"""`headspex doctor`: whether this machine can do what headspex does."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

MARKS = {"ok": "ok     ", "missing": "missing", "wrong": "WRONG  "}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its flags."""
    parser.add_argument("folder", nargs="?", type=Path, default=Path(),
                        help="where runs would be kept (default: here)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Do it; returns the exit code, 1 where something is wrong."""
    from headspex.cli.machine import examine, verdict
    from headspex.errors import UsageError

    if not options.folder.is_dir():
        raise UsageError(f"{options.folder} is not a folder; name one where runs would be kept")
    findings = []
    for finding in examine(options.folder):
        findings.append(finding)
        if not options.json:
            print(f"{MARKS[finding.state]}  {finding.about}: {finding.said}", flush=True)
    code, told = verdict(findings)
    if options.json:
        print(json.dumps(told))
    return code
