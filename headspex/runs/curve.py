"""Pruning curves: the score that is left after each share of the heads is removed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from headspex.errors import UsageError
from headspex.support.records import read_records, write_records


@dataclass(frozen=True)
class CurvePoint:
    """One row of `curve.csv`: a held-out score with its 95 % interval.

    For a method with several schedules (`random`) the score is their mean, and the interval covers
    the choice of questions, not the draw of schedules.
    """

    method: str
    n_pruned: int
    sparsity: float  # the share removed: n_pruned / players
    metric: str
    score: float
    low: float
    high: float
    n_questions: int


def write_curve(path: Path, points: Iterable[CurvePoint]) -> None:
    """Write `curve.csv`."""
    write_records(path, CurvePoint, points)


def read_curve(path: Path) -> list[CurvePoint]:
    """Read what `write_curve` wrote.

    Raises:
        UsageError: as `read_records`.
    """
    return read_records(path, CurvePoint, again="repeat the run")


def of_method(points: Iterable[CurvePoint], method: str, metric: str) -> list[CurvePoint]:
    """The points of one line, ascending in sparsity, without the whole model."""
    chosen = [p for p in points if (p.method, p.metric) == (method, metric) and p.n_pruned > 0]
    return sorted(chosen, key=lambda point: point.n_pruned)


def whole_model(points: Iterable[CurvePoint], metric: str) -> CurvePoint:
    """The point where nothing is removed.

    Raises:
        UsageError: there is none.
    """
    for point in points:
        if point.n_pruned == 0 and point.metric == metric:
            return point
    raise UsageError(f"the curve lacks the whole model's {metric}; repeat the run")
