"""`headspex tasks`: values of --task, and the subjects of each."""

from __future__ import annotations

import argparse
import json
import textwrap


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add its flags."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    from headspex.tasks import SUBJECTS, load_task
    from headspex.tasks.catalogue import WRITTEN

    subjects = {
        "mini": sorted({question.subject for question in load_task("mini").test}),
        "mmlu": sorted(SUBJECTS),
    }
    if options.json:
        print(json.dumps({"tasks": subjects, "written": WRITTEN}))
        return 0
    for name, parts in subjects.items():
        print(f"{name}, {len(parts)} subjects:")
        print(textwrap.fill(", ".join(parts), 96, initial_indent="  ", subsequent_indent="  "))
    print(f"or {WRITTEN}")
    return 0
