"""The folder of a run: what stands where, and what may be written into it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headspex.errors import UsageError, argument
from headspex.runs.lock import NAME as LOCK
from headspex.runs.run_schema import PARTS
from headspex.support.files import TEMPORARY, read_json, sha256_of, write_json
from headspex.support.identity import first_difference

FORMAT = "headspex.run/1"
MAY_CHANGE = ("search_budget", "may_cost")  # of an identity, by going on with a run


@dataclass(frozen=True)
class RunFolder:
    """Names of the files of a run."""

    path: Path

    @property
    def run(self) -> Path:
        """Everything needed to repeat the run, and its results in numbers."""
        return self.path / "run.json"

    @property
    def questions(self) -> Path:
        """Ids of the questions it searched on and was judged on."""
        return self.path / "questions.json"

    @property
    def scores(self) -> Path:
        """What each mask answered to each question."""
        return self.path / "scores.sqlite"

    @property
    def slopes(self) -> Path:
        """What each head would add to the score of a question, where a walk asked for that."""
        return self.path / "slopes.sqlite"

    @property
    def spectrum(self) -> Path:
        """The fitted spectrum."""
        return self.path / "spectrum.json"

    @property
    def near_spectrum(self) -> Path:
        """The spectrum refitted near the schedule, where a run did that."""
        return self.path / "near_spectrum.json"

    @property
    def pruning_spectrum(self) -> Path:
        """The spectrum that knows most about masks near the schedule."""
        return self.near_spectrum if self.near_spectrum.is_file() else self.spectrum

    @property
    def interactions(self) -> Path:
        """Its terms, strongest first."""
        return self.path / "interactions.csv"

    @property
    def schedule(self) -> Path:
        """Which head goes first, second, ..."""
        return self.path / "schedule.json"

    @property
    def curve(self) -> Path:
        """Held-out scores at each sparsity."""
        return self.path / "curve.csv"

    @property
    def ranged_curves(self) -> Path:
        """The same where only heads of some layers are removed; measured when they are drawn."""
        return self.path / "ranges" / "curve.csv"

    @property
    def report(self) -> Path:
        """The page for people."""
        return self.path / "report.html"

    @property
    def timing(self) -> Path:
        """Seconds of each stage; the only result that differs between equal runs."""
        return self.path / "timing.json"

    @property
    def comparison(self) -> Path:
        """Folder of what `headspex compare` finds."""
        return self.path / "compare"

    @property
    def figures(self) -> Path:
        """Folder of the pictures."""
        return self.path / "figures"

    def mask(self, n_pruned: int) -> Path:
        """The mask file with this many heads removed."""
        return self.path / "masks" / f"{n_pruned:03d}.json"

    @property
    def status(self) -> Path:
        """How far an unfinished run is; gone when it is finished."""
        return self.path / "status.json"

    def begin(self, identity: dict[str, Any]) -> dict[str, Any] | None:
        """Claim the folder for a run, go on with the same run, or extend it by a larger budget.

        Args:
            identity: what decides every score and every choice: settings and fingerprints.

        Returns:
            How the run that is extended spent its budget, where there is one that is.

        Raises:
            UsageError: the folder holds another run, or something else than a run.
        """
        if not self.run.exists():
            if self.path.exists() and not _is_free(self.path):
                raise UsageError(
                    f"{argument('out')} must be a new or empty folder, or one that holds this run, "
                    f"but {self.path} holds something else"
                )
            write_json(self.run, {"format": FORMAT, "identity": identity})
            return None
        for folder in (self.path, self.mask(0).parent, self.figures):
            for left in folder.glob(TEMPORARY):  # of a process that was killed
                left.unlink(missing_ok=True)
        content = read_run(self.path)
        there = content["identity"]
        grown = {**there, **{name: identity[name] for name in MAY_CHANGE}}
        difference = first_difference(grown, identity)
        if difference is not None:
            raise UsageError(
                f"an output folder holds one run, but {self.path} holds another "
                f"({difference}); choose another {argument('out')}"
            )
        if grown == there:
            return None
        spent, budget = there["search_budget"], identity["search_budget"]
        if "results" in content and spent > budget:
            raise UsageError(
                f"a run can be extended but not cut, and the one in {self.path} had a budget of "
                f"{spent:,} passes, not {budget:,}; choose another {argument('out')}"
            )
        earlier = self.allocation()
        if spent == budget and earlier is not None:
            self.allocate(identity, earlier)
            return None
        write_json(self.run, {"format": FORMAT, "identity": identity})
        return earlier

    def allocation(self) -> dict[str, Any] | None:
        """How the run spends its budget; None where that has not been chosen yet."""
        content = read_run(self.path)
        chosen: dict[str, Any] | None = content.get("results", content).get("allocation")
        return chosen

    def allocate(self, identity: dict[str, Any], allocation: dict[str, Any]) -> None:
        """Record how the run spends its budget, before it does."""
        write_json(self.run, {"format": FORMAT, "identity": identity, "allocation": allocation})

    def finish(
        self, identity: dict[str, Any], results: dict[str, Any], files: Iterable[Path]
    ) -> None:
        """Record what came out, and the sha256 of the files that hold the rest of it."""
        sums = {path.relative_to(self.path).as_posix(): sha256_of(path) for path in files}
        content = {"format": FORMAT, "identity": identity, "results": results, "files": sums}
        write_json(self.run, content)
        self.status.unlink(missing_ok=True)

    def changed(self, files: dict[str, str]) -> list[str]:
        """Which of the files are missing or not as they were written."""
        # A name in a file must not lead out of the folder.
        inside = {name for name in files if re.fullmatch(r"(\w+/)?\w+\.\w+", name, re.ASCII)}
        return [
            name
            for name, known in files.items()
            if name not in inside or sha256_of(self.path / name) != known
        ]


def _is_free(path: Path) -> bool:
    """Whether a folder holds nothing but what a run that was killed at its start leaves."""
    left = {path / LOCK, *path.glob(TEMPORARY)}
    return path.is_dir() and all(entry in left for entry in path.iterdir())


def is_empty_folder(path: Path) -> bool:
    """Whether a folder holds nothing.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return path.is_dir() and not any(path.iterdir())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def check_can_be_made(path: Path, flag: str) -> None:
    """Refuse a path that is not a folder and cannot become one; nothing is made.

    Raises:
        UsageError: a file is in its place or above it, or that may not be written.
    """
    nearest = next(there for there in (path, *path.absolute().parents) if there.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise UsageError(
            f"{flag} must be a folder that can be written, but {path} cannot be, as {nearest} is "
            f"not; choose another {flag}"
        )


def read_run(path: Path) -> dict[str, Any]:
    """The content of `run.json`, all that is used of it checked.

    Raises:
        UsageError: the folder holds no run of headspex, or a damaged one.
    """
    file = path / "run.json"
    if not file.is_file():
        raise UsageError(f"{path} holds no run (no run.json); name a folder `headspex prune` made")
    content = read_json(file)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UsageError(f"{file} is not a run of this version of headspex (format {FORMAT!r})")
    for part, check in PARTS.items():
        if (part in content or part == "identity") and (where := check.misfit(content.get(part))):
            raise UsageError(
                f"{file} is damaged: {where!r} in its {part} is missing or cannot be; repeat the "
                "run in a new folder"
            )
    return content


def finished_run(path: Path) -> tuple[RunFolder, dict[str, Any]]:
    """The folder and `run.json` of a run that came to its end.

    Raises:
        UsageError: no run, or an unfinished one.
    """
    content = read_run(path)
    if "results" not in content:
        raise UsageError(
            f"the run in {path} is not finished; repeat its `headspex prune` with --out {path}"
        )
    return RunFolder(path), content


def judged_run(path: Path) -> tuple[RunFolder, dict[str, Any]]:
    """As `finished_run`, of a run that judged schedules.

    Raises:
        UsageError: no run, an unfinished one, or one of `headspex explain`.
    """
    folder, content = finished_run(path)
    if not content["identity"]["sizes"]:
        raise UsageError(
            f"this takes a run that judged schedules, but {path} is of `headspex explain`; make "
            "one with `headspex prune`"
        )
    return folder, content
