"""`headspex tasks`: values of --task, the subjects of each, and an example of generated ones."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headspex.tasks.templates.template import Template

_TOLD = 2  # tokens of an example on each side


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add its flags."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    from headspex.tasks import SUBJECTS, load_task
    from headspex.tasks.catalogue import WRITTEN
    from headspex.tasks.templates.table import TEMPLATES

    subjects = {
        "mini": sorted({question.subject for question in load_task("mini").test}),
        "mmlu": sorted(SUBJECTS),
    }
    if options.json:
        made = {name: _described(template) for name, template in TEMPLATES.items()}
        print(json.dumps({"tasks": subjects, "generated": made, "written": WRITTEN}))
        return 0
    for name, parts in subjects.items():
        print(f"{name}, {len(parts)} subjects:")
        print(_indented(", ".join(parts)))
    for name, template in TEMPLATES.items():
        print(f"{name}: {template.summary}")
        pair = template.example()
        right, wrong = _told(pair.answers), _told(pair.wrong)
        print(_indented(json.dumps(pair.clean)))
        print(_indented(f"-> {right}, not {wrong}"))
    print(f"or {WRITTEN}")
    return 0


def _indented(text: str) -> str:
    return textwrap.fill(text, 96, initial_indent="  ", subsequent_indent="  ")


def _told(tokens: Sequence[object]) -> str:
    left_out = len(tokens) - _TOLD
    told = ", ".join(json.dumps(token) for token in tokens[:_TOLD])
    return f"{told} and {left_out} more" if left_out > 0 else told


def _described(template: Template) -> dict[str, object]:
    pair = template.example()
    return {
        "summary": template.summary,
        "source": template.source,
        "metric": template.metric,
        "clean": pair.clean,
        "corrupted": pair.corrupted,
        "answers": pair.answers,
        "wrong": pair.wrong,
    }
