"""Judge pruning schedules on held-out questions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np
from jaxtyping import Float, Int

from headspex.players import Masks
from headspex.runs.curve import CurvePoint
from headspex.scores.judge import Judge
from headspex.tasks import interval


class HasMasks(Protocol):
    """A schedule, or sets that are not nested."""

    def masks(self, n_pruned: Iterable[int], /) -> Masks:
        """The masks with these numbers of players off."""


WHOLE = "whole model"  # its name among the methods


def verify_whole(
    judge: Judge, questions: Int[np.ndarray, " questions"], *, metrics: Sequence[str]
) -> tuple[list[CurvePoint], dict[str, Float[np.ndarray, " questions"]]]:
    """Score of the whole model in each metric: its point, and that of each question."""
    whole = np.ones((1, len(judge.players)), dtype=bool)
    scores = judge.ask_all(whole, questions, metrics=metrics, what="whole model")
    points = [_point(WHOLE, 0, len(judge.players), metric, scores[metric]) for metric in metrics]
    return points, {metric: found[0] for metric, found in scores.items()}


def verify(
    judge: Judge,
    schedules: Mapping[str, Sequence[HasMasks]],
    sizes: Sequence[int],
    questions: Int[np.ndarray, " questions"],
    *,
    metrics: Sequence[str],
) -> tuple[list[CurvePoint], dict[str, dict[str, Float[np.ndarray, "schedules sizes questions"]]]]:
    """Scores of every schedule at every size.

    Args:
        judge: scores masks.
        schedules: method -> its schedules; the score of several is their mean.
        sizes: numbers of players removed.
        questions: held-out ones, by their position in the judge.
        metrics: of the scores.

    Returns:
        The points of the curve, and by metric and method the score of each question.
    """
    n_players = len(judge.players)
    masks = [s.masks(sizes) for several in schedules.values() for s in several]
    scores = judge.ask_all(np.concatenate(masks), questions, metrics=metrics, what="schedules")
    points: list[CurvePoint] = []
    verified: dict[str, dict[str, np.ndarray]] = {metric: {} for metric in scores}
    for metric, values in scores.items():
        row = 0
        for method, several in schedules.items():
            last = row + len(several) * len(sizes)
            block = values[row:last].reshape(len(several), len(sizes), len(questions))
            row = last
            verified[metric][method] = block
            points += [
                _point(method, size, n_players, metric, block[:, i]) for i, size in enumerate(sizes)
            ]
    return points, verified


def _point(
    method: str,
    size: int,
    n_players: int,
    metric: str,
    values: Float[np.ndarray, "schedules questions"],
) -> CurvePoint:
    per_question = values.mean(axis=0)
    low, high = interval(metric, per_question)
    return CurvePoint(
        method, size, size / n_players, metric, float(per_question.mean()), low, high,
        len(per_question),
    )  # fmt: skip
