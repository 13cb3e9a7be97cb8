"""A finished run, read from the files of its folder."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from headspex.engine.spectrum import Spectrum
from headspex.mask_file import MaskFile, read_mask
from headspex.players import Players
from headspex.runs.curve import CURVE, CurvePoint, of_method
from headspex.runs.interactions_table import Interaction, read_interactions
from headspex.runs.run_folder import RunFolder, finished_run, read_run
from headspex.runs.summary import answer, summary
from headspex.schedules.schedule import Schedule
from headspex.setup import Setup
from headspex.support.files import read_text
from headspex.support.html_table import TOP, html_table


@dataclass(frozen=True, eq=False, repr=False)
class FinishedRun:
    """The results of a run; each file is read on first use, which may raise UsageError.

    Attributes:
        folder: the run's files.
        identity: everything that decided a score or a choice, as in run.json.
        results: numbers, as in run.json.
    """

    folder: RunFolder
    identity: dict[str, Any]
    results: dict[str, Any]

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The run in a folder.

        Raises:
            UsageError: no run, an unfinished one, or a damaged `run.json`.
        """
        folder, content = finished_run(Path(path))
        results = content["results"]
        if "loss_at_most" not in results:  # 0.1 reported the largest of nine untested estimates
            results = {**results, "free": None, "loss_at_most": {}, "may_cost": None}
        return cls(folder, content["identity"], results)

    @cached_property
    def players(self) -> Players:
        """The switched heads or other units."""
        return Players.of_run(self.results)

    @cached_property
    def spectrum(self) -> Spectrum:
        """The fitted spectrum."""
        return Spectrum.load(self.folder.spectrum)

    @cached_property
    def interactions(self) -> list[Interaction]:
        """The spectrum's terms with intervals, strongest first."""
        return read_interactions(self.folder.interactions)

    @cached_property
    def curve(self) -> list[CurvePoint]:
        """Held-out scores of every method at every size, the whole model first."""
        return CURVE.read(self.folder.curve)

    @cached_property
    def schedule(self) -> Schedule:
        """The run's pruning schedule."""
        return Schedule.from_json(read_text(self.folder.schedule), self.players)

    @property
    def metric(self) -> str:
        """The metric that the spectrum explains."""
        metric: str = self.results["metric"]
        return metric

    @property
    def task_metric(self) -> str:
        """The metric that schedules are judged in."""
        own: str = self.results.get("own_metric", "accuracy")
        return own

    @property
    def judged(self) -> bool:
        """Whether schedules were judged; `headspex explain` judges none."""
        return bool(of_method(self.curve, "proxyspex", self.task_metric))

    @property
    def answer(self) -> list[str]:
        """The main results as sentences, the most important first."""
        return answer(self.results, self.curve)

    def mask(self, n_pruned: int) -> np.ndarray:
        """The mask [players] with the schedule's first `n_pruned` players removed."""
        return self.schedule.mask(n_pruned)

    def mask_file(self, n_pruned: int) -> MaskFile:
        """The mask file of a judged size.

        Raises:
            UsageError: the size was not judged.
        """
        return read_mask(self.folder.mask(n_pruned))

    def __str__(self) -> str:
        """What `headspex prune` prints at its end."""
        return summary(self.results, self.curve, self.interactions)

    def __repr__(self) -> str:
        """The answer in a few sentences."""
        return "\n".join([f"FinishedRun({self.folder.path})", *self.answer])

    def _repr_html_(self) -> str:
        """The answer and the strongest interactions, for a notebook."""
        rows = [
            (" ".join(row.heads), f"{row.effect:+.3f}", f"[{row.low:+.3f}, {row.high:+.3f}]")
            for row in self.interactions[:TOP]
        ]
        return html_table(
            " ".join(self.answer), ("players", "effect", "95 % interval"), rows,
            left_out=len(self.interactions) - len(rows), noun="players and interactions",
        )  # fmt: skip


def load_run(path: str | Path) -> FinishedRun:
    """The finished run in a folder; UsageError if the folder holds no finished run."""
    return FinishedRun.load(path)


def same_finished_run(setup: Setup, out: Path) -> FinishedRun | None:
    """The run in `out`, if it is this run, finished, and its files are unchanged.

    Missing or changed files are reported on standard error; the run then rewrites them from its
    scores.
    """
    folder = RunFolder(out)
    if not folder.run.exists():
        return None
    content = read_run(out)
    if "results" not in content or content["identity"] != setup.identity:
        return None
    if changed := folder.changed(content.get("files", {})):
        print(
            f"headspex: {', '.join(changed)} in {out} missing or changed since; rewriting from the "
            "scores",
            file=sys.stderr,
        )
        return None
    return FinishedRun(folder, content["identity"], content["results"])
