"""`headspex doctor`: check that headspex works on this machine."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

MARKS = {"ok": "ok   ", "missing": "note ", "wrong": "WRONG"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add its flags."""
    parser.add_argument("folder", nargs="?", type=Path, default=Path(),
                        help="where runs would be stored (default: here)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code, 1 if something is wrong."""
    from headspex.cli.machine import examine, verdict
    from headspex.errors import UsageError

    if not options.folder.is_dir():
        raise UsageError(f"{options.folder} is not a folder; name one where runs would be stored")
    findings = []
    for finding in examine(options.folder):
        findings.append(finding)
        if not options.json:
            print(f"{MARKS[finding.state]}  {finding.about}: {finding.said}", flush=True)
    code, content = verdict(findings)
    if options.json:
        print(json.dumps(content))
    return code
