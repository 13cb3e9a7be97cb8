"""What `headspex schedule` is asked for, and what it found, as numbers and as sentences."""

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


@dataclass(frozen=True)
class ScheduleRequest:
    """What kind of schedule is wanted.

    Attributes:
        method: one of `METHODS`.
        protect: labels of players that stay, such as "L0H3".
        per_layer: the most players that a layer may lose.
        combine: how several runs count, "mean" or "worst".
        weights: of the runs, for "mean".
        keep_only: whether to judge what few players do, and not what is left of all.
        text: a file whose loss is judged too.
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
    """A schedule on the held-out questions of one run.

    Attributes:
        path: of the run.
        curve: of the schedule, of the run's own, and of the whole model.
        differences: accuracy less that of the run's own schedule, at each size.
        may_cost: the loss that counts as none.
        free: by method, the most players that can go; None where none can be shown to.
    """

    path: Path
    curve: list[CurvePoint]
    differences: dict[int, Difference]
    may_cost: float
    free: dict[str, int | None]


@dataclass(frozen=True, eq=False)
class ScheduleResult:
    """What came out; `write` it, or print it."""

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
                    "run": str(one.path),
                    "free": one.free,
                    "curve": [
                        {"method": p.method, "n_pruned": p.n_pruned, "metric": p.metric,
                         "score": p.score, "low": p.low, "high": p.high}
                        for p in one.curve
                    ],
                    "less_the_runs_own": {
                        str(size): each.to_dict() for size, each in one.differences.items()
                    },
                }
                for one in self.judged
            ],
        }  # fmt: skip

    def __str__(self) -> str:
        heads, lines = plural(self.players.unit), []
        if isinstance(self.found, BestSets):
            open_ones = {s: o.gap for s, o in self.found.optima.items() if not o.proven}
            lines.append(
                "All sets are proven to be the best by the spectrum."
                if not open_ones
                else "Not proven within the solver's nodes, gap to its bound: "
                + ", ".join(f"{size} removed {gap:.2g}" for size, gap in open_ones.items())
            )
        for one in self.judged:
            lines += ["", str(one.path), *_table(one)]
            lines.append(
                f"  {heads} that can go, at a loss below {one.may_cost:.3g} (95% confidence, sizes "
                "tested from the smallest up):"
            )
            lines += [
                f"    {method}: {'none that can be shown' if free is None else free}"
                for method, free in one.free.items()
            ]
        return "\n".join(lines).strip()


def _table(one: HeldoutResult) -> list[str]:
    methods = list(dict.fromkeys(p.method for p in one.curve if p.method != WHOLE))
    lines = []
    for metric in dict.fromkeys(p.metric for p in one.curve):
        points = {(p.method, p.n_pruned): p for p in one.curve if p.metric == metric}
        whole = points[WHOLE, 0]
        lines.append(f"  {metric}: whole model {whole.score:.3f}, {whole.n_questions} questions")
        header = "".join(f"{name:>26}" for name in methods)
        lines.append(f"  {'removed':<10}{header}" + (f"{'difference':>28}" * (metric != TEXT_LOSS)))
        for size, difference in one.differences.items():
            cells = "".join(
                f"{f'{p.score:.3f} [{p.low:.3f}, {p.high:.3f}]':>26}"
                for p in (points[name, size] for name in methods)
            )
            lines.append(f"  {size:<10}{cells}" + (f"{difference!s:>28}" * (metric != TEXT_LOSS)))
    return lines
