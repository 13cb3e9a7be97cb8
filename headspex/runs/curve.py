"""Curves of a run: score by share of heads removed, and R² by passes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from headspex.errors import UsageError
from headspex.support.records import Table


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


@dataclass(frozen=True)
class RangedPoint(CurvePoint):
    """A point of a curve on which only heads of `layers` are removed; sparsity is their share.

    The first rows of each range, with 0 removed, are of the whole model.
    """

    layers: str = ""  # such as "13-15"


@dataclass(frozen=True)
class FaithfulnessPoint:
    """R² on fresh masks, with its 95 % interval, of a method fitted to some passes."""

    method: str
    passes: int  # forward passes it was fitted to
    masks: int  # of these passes
    r2: float
    low: float
    high: float
    n_fresh: int


MIB = "mib-faithfulness"  # among the metrics: f of `headspex.engine.circuit_faithfulness`

CURVE = Table(CurvePoint, again="repeat the run")
RANGED_CURVE = Table(RangedPoint, again="remove it, and plot again")
FAITHFULNESS = Table(FaithfulnessPoint, again="repeat the comparison")


def of_method(points: Iterable[CurvePoint], method: str, metric: str) -> list[CurvePoint]:
    """The points of one method by sparsity, without the whole model."""
    chosen = [p for p in points if (p.method, p.metric) == (method, metric) and p.n_pruned > 0]
    return sorted(chosen, key=lambda point: point.n_pruned)


def whole_model(points: Iterable[CurvePoint], metric: str) -> CurvePoint:
    """The point where nothing is removed.

    Raises:
        UsageError: the curve has no such point.
    """
    for point in points:
        if point.n_pruned == 0 and point.metric == metric:
            return point
    raise UsageError(f"the curve lacks the whole model's {metric}; repeat the run")
