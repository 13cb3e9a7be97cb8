"""Pruning curves: the score that is left after each share of the heads is removed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from headspex.errors import UsageError
from headspex.files import read_csv, write_csv


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


_HEADER = [field.name for field in fields(CurvePoint)]


def write_curve(path: Path, points: Iterable[CurvePoint]) -> None:
    """Write `curve.csv`."""
    write_csv(path, _HEADER, (astuple(point) for point in points))


def read_curve(path: Path) -> list[CurvePoint]:
    """Read what `write_curve` wrote.

    Raises:
        UsageError: the file is missing, has other columns, or holds what is no number.
    """
    rows = read_csv(path, _HEADER)
    try:
        return [_parse(row) for row in rows]
    except (TypeError, ValueError) as error:
        raise UsageError(f"{path} is damaged: {error}; repeat the run") from error


def _parse(row: dict[str, str]) -> CurvePoint:
    return CurvePoint(
        method=row["method"],
        n_pruned=int(row["n_pruned"]),
        sparsity=float(row["sparsity"]),
        metric=row["metric"],
        score=float(row["score"]),
        low=float(row["low"]),
        high=float(row["high"]),
        n_questions=int(row["n_questions"]),
    )


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
