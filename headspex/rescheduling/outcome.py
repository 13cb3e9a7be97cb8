"""Request and result of `headspex schedule`, as numbers and as sentences."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headspex.engine.paired import Difference
from headspex.players import Players
from headspex.runs.curve import CurvePoint
from headspex.runs.verification import WHOLE
from headspex.schedules.exact import BestSets
from headspex.schedules.schedule import Schedule
from headspex.units import plural

METHODS = ("greedy", "build-up", "exact", "nested")
RUNS_OWN = "the run's schedule"
TEXT_LOSS = "text loss"
CURVE_FIELDS = ("method", "n_pruned", "metric", "score", "low", "high")  # of `--json`


@dataclass(frozen=True)
class ScheduleRequest:
    """The kind of schedule to make.

    Attributes:
        method: one of `METHODS`.
        protect: labels of players that are never removed, such as "L0H3".
        per_layer: most players to remove from one layer.
        combine: how to combine several runs, "mean" or "worst".
        weights: one for each run, for "mean".
        keep_only: judge masks that keep only a few players, from 1 to 32.
        text: a file to measure the loss on as well.
    """

    method: str = "greedy"
    protect: tuple[str, ...] = ()
    per_layer: int | None = None
    combine: str = "mean"
    weights: tuple[float, ...] | None = None
    keep_only: bool = False
    text: Path | None = None


@dataclass(frozen=True, eq=False)
class HeldoutResult:
    """A schedule judged on the held-out questions of one run.

    Attributes:
        path: of the run.
        curve: of the new schedule, the run's own, and the whole model.
        differences: accuracy minus that of the run's own schedule, at each size.
        may_cost: the loss that is still allowed.
        free: by method, the most players shown to be removable within `may_cost`, or None.
    """

    path: Path
    curve: list[CurvePoint]
    differences: dict[int, Difference]
    may_cost: float
    free: dict[str, int | None]


@dataclass(frozen=True, eq=False)
class ScheduleResult:
    """The new schedule and how it did on each run."""

    request: ScheduleRequest
    players: Players
    found: Schedule | BestSets
    judged: list[HeldoutResult]
    sizes: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        gaps = {}
        if isinstance(self.found, BestSets):
            gaps = {size: best.gap for size, best in self.found.optima.items()}
        return {
            "method": self.request.method,
            "sizes": list(self.sizes),
            "gaps": {str(size): gap for size, gap in gaps.items()},
            "runs": [
                {
                    "run": str(result.path),
                    "free": result.free,
                    "curve": [
                        {name: getattr(point, name) for name in CURVE_FIELDS}
                        for point in result.curve
                    ],
                    "less_the_runs_own": {
                        str(size): difference.to_dict()
                        for size, difference in result.differences.items()
                    },
                }
                for result in self.judged
            ],
        }

    def __str__(self) -> str:
        heads, lines = plural(self.players.unit), []
        if isinstance(self.found, BestSets):
            unproven = {s: o.gap for s, o in self.found.optima.items() if not o.proven}
            lines.append(
                "All sets are proven to be the best by the spectrum."
                if not unproven
                else "Not proven within the solver's node limit, gap to its bound: "
                + ", ".join(f"{size} removed {gap:.2g}" for size, gap in unproven.items())
            )
        for result in self.judged:
            lines += ["", str(result.path), *_table(result)]
            lines.append(
                f"  {heads} that can be removed at a loss below {result.may_cost:.3g} (95% "
                "confidence, sizes tested from the smallest up):"
            )
            lines += [
                f"    {method}: {'none shown' if free is None else free}"
                for method, free in result.free.items()
            ]
        return "\n".join(lines).strip()


def _table(result: HeldoutResult) -> list[str]:
    methods = list(dict.fromkeys(p.method for p in result.curve if p.method != WHOLE))
    lines = []
    for metric in dict.fromkeys(p.metric for p in result.curve):
        points = {(p.method, p.n_pruned): p for p in result.curve if p.metric == metric}
        whole = points[WHOLE, 0]
        lines.append(f"  {metric}: whole model {whole.score:.3f}, {whole.n_questions} questions")
        header = "".join(f"{name:>26}" for name in methods)
        lines.append(f"  {'removed':<10}{header}" + (f"{'difference':>28}" * (metric != TEXT_LOSS)))
        for size, difference in result.differences.items():
            cells = "".join(
                f"{f'{p.score:.3f} [{p.low:.3f}, {p.high:.3f}]':>26}"
                for p in (points[name, size] for name in methods)
            )
            lines.append(f"  {size:<10}{cells}" + (f"{difference!s:>28}" * (metric != TEXT_LOSS)))
    return lines
