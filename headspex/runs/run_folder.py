"""The folder of a run: its files, and when it may be written to."""

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
MAY_CHANGE = ("search_budget", "may_cost")  # parts of an identity that may differ on resuming


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run's files."""

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
        """Scores of each mask on each question."""
        return self.path / "scores.sqlite"

    @property
    def slopes(self) -> Path:
        """Gradients of questions' scores in each head, where a walk took them."""
        return self.path / "slopes.sqlite"

    @property
    def search_gradients(self) -> Path:
        """Gradients of the score under masks of the search, where it took them."""
        return self.path / "search_gradients.sqlite"

    @property
    def spectrum(self) -> Path:
        """The fitted spectrum."""
        return self.path / "spectrum.json"

    @property
    def near_spectrum(self) -> Path:
        """The spectrum that the schedule was found by, where it is not the fitted one.

        It was refitted near the schedule, or explains how near the whole model masks are.
        """
        return self.path / "near_spectrum.json"

    @property
    def pruning_spectrum(self) -> Path:
        """The spectrum to prune by."""
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
        """The same, removing heads of some layers only; measured when first plotted."""
        return self.path / "ranges" / "curve.csv"

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.path / "report.html"

    @property
    def gradients(self) -> Path:
        """Gradients that a comparison took."""
        return self.path / "gradients.sqlite"

    @property
    def timing(self) -> Path:
        """Seconds of each stage; the only file that differs between equal runs."""
        return self.path / "timing.json"

    @property
    def comparison(self) -> Path:
        """Folder of the results of `headspex compare`."""
        return self.path / "compare"

    @property
    def figures(self) -> Path:
        """Folder of the figures."""
        return self.path / "figures"

    def mask(self, n_pruned: int) -> Path:
        """The mask file with this many heads removed."""
        return self.path / "masks" / f"{n_pruned:03d}.json"

    @property
    def status(self) -> Path:
        """Progress of an unfinished run; deleted at its end."""
        return self.path / "status.json"

    def begin(self, identity: dict[str, Any]) -> dict[str, Any] | None:
        """Claim the folder for a run, resume the same run, or extend it by a larger budget.

        Args:
            identity: what decides every score and every choice: settings and fingerprints.

        Returns:
            How an extended run had spent its budget; None for a new or resumed run.

        Raises:
            UsageError: the folder holds another run, or something that is not a run.
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
        earlier_identity = content["identity"]
        grown = {**earlier_identity, **{name: identity[name] for name in MAY_CHANGE}}
        difference = first_difference(grown, identity)
        if difference is not None:
            raise UsageError(
                f"an output folder holds one run, but {self.path} holds another "
                f"({difference}); choose another {argument('out')}"
            )
        if grown == earlier_identity:
            return None
        spent, budget = earlier_identity["search_budget"], identity["search_budget"]
        if "results" in content and spent > budget:
            raise UsageError(
                f"a run's budget can only grow, but the run in {self.path} had {spent:,} passes "
                f"and {budget:,} are asked for; choose another {argument('out')}"
            )
        earlier = self.allocation()
        if spent == budget and earlier is not None:
            self.allocate(identity, earlier)
            return None
        write_json(self.run, {"format": FORMAT, "identity": identity})
        return earlier

    def allocation(self) -> dict[str, Any] | None:
        """How the run spends its budget; None if not chosen yet."""
        content = read_run(self.path)
        chosen: dict[str, Any] | None = content.get("results", content).get("allocation")
        return chosen

    def allocate(self, identity: dict[str, Any], allocation: dict[str, Any]) -> None:
        """Record how the run will spend its budget."""
        write_json(self.run, {"format": FORMAT, "identity": identity, "allocation": allocation})

    def finish(
        self, identity: dict[str, Any], results: dict[str, Any], files: Iterable[Path]
    ) -> None:
        """Record the results, and the sha256 of the other files."""
        sums = {path.relative_to(self.path).as_posix(): sha256_of(path) for path in files}
        content = {"format": FORMAT, "identity": identity, "results": results, "files": sums}
        write_json(self.run, content)
        self.status.unlink(missing_ok=True)

    def changed(self, files: dict[str, str]) -> list[str]:
        """Names of the files that are missing or were modified."""
        # run.json is untrusted: its names must not lead out of the folder.
        inside = {name for name in files if re.fullmatch(r"(\w+/)?\w+\.\w+", name, re.ASCII)}
        return [
            name
            for name, known in files.items()
            if name not in inside or sha256_of(self.path / name) != known
        ]


def _is_free(path: Path) -> bool:
    """Whether a folder holds at most what a run killed at its start leaves behind."""
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
    """Refuse a path that is not a writable folder and cannot become one; creates nothing.

    Raises:
        UsageError: the nearest existing path is a file, or a folder without write permission.
    """
    nearest = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise UsageError(
            f"{flag} must be a writable folder, but {path} cannot be one, as {nearest} is not; "
            f"choose another {flag}"
        )


def read_run(path: Path) -> dict[str, Any]:
    """The content of `run.json`, checked.

    Raises:
        UsageError: the folder holds no run, or a damaged one.
    """
    file = path / "run.json"
    if not file.is_file():
        raise UsageError(
            f"{path} holds no run (no run.json); name a folder that `headspex prune` made"
        )
    content = read_json(file)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UsageError(f"{file} is not a run of this version of headspex (format {FORMAT!r})")
    for part, check in PARTS.items():
        if (part in content or part == "identity") and (where := check.misfit(content.get(part))):
            raise UsageError(
                f"{file} is damaged: {where!r} in its {part} is missing or invalid; repeat the run "
                "in a new folder"
            )
    return content


def finished_run(path: Path) -> tuple[RunFolder, dict[str, Any]]:
    """The folder and `run.json` of a finished run.

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
        UsageError: no run, an unfinished one, or one that `headspex explain` made.
    """
    folder, content = finished_run(path)
    if not content["identity"]["sizes"]:
        raise UsageError(
            f"this needs a run with schedules, but {path} was made by `headspex explain`; make one "
            "with `headspex prune`"
        )
    return folder, content
