"""A finished run told again from its files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headspex.runs.curve import read_curve
from headspex.runs.interactions_table import read_interactions
from headspex.runs.results import summary
from headspex.runs.run_folder import RunFolder, read_run

if TYPE_CHECKING:
    from headspex.study import Study


def told_again(study: Study, out: Path) -> tuple[dict[str, Any], str] | None:
    """Results and summary of this very run, if it is finished and its files are as it left them.

    Nothing is scored, fitted or written. Where files are missing or changed, this is said on
    standard error: the run makes them anew from its scores.
    """
    folder = RunFolder(out)
    if not folder.run.exists():
        return None
    content = read_run(out)
    if "results" not in content or content["identity"] != study.identity:
        return None
    if changed := folder.changed(content.get("files", {})):
        print(
            f"headspex: {', '.join(changed)} in {out} missing or changed since; made anew from "
            "the scores",
            file=sys.stderr,
        )
        return None
    results = content["results"]
    return results, told_of(folder, results)


def told_of(folder: RunFolder, results: dict[str, Any]) -> str:
    """The summary of a finished run, from its files."""
    return summary(results, read_curve(folder.curve), read_interactions(folder.interactions))
