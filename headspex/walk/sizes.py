"""How many questions and gradients a walk takes, decided before its first forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headspex.walk.gate_gradients import most_looks, sloped_questions
from headspex.walk.walk import CANDIDATES

WALK_SHARE = 0.25  # of the search budget: what a round of refinement may spend on top of it
SLOPE_SHARE = 0.5  # of that, at most, for gradients, if the score has any
FEWEST_WALK_QUESTIONS = 2  # enough to estimate their noise


@dataclass(frozen=True)
class WalkSizes:
    """The sizes of a walk.

    Attributes:
        questions: per candidate.
        slopes: gradient batches, at most.
        passes: in all, at most.
    """

    questions: int
    slopes: int
    passes: int


def walk_sizes(
    *,
    n_players: int,
    n_questions: int,
    sizes: Sequence[int],
    search_budget: int,
    slope_passes: int | None,
) -> WalkSizes:
    """Divide the passes of a walk among its steps, candidates and gradients.

    Args:
        n_players: at the start of the walk.
        n_questions: of the search.
        sizes: numbers of players removed that are judged, ascending; the walk ends at the last.
        search_budget: passes of pilot and search.
        slope_passes: cost of one question's gradient; None if the score has no gradient.
    """
    if not sizes:
        return WalkSizes(0, 0, 0)
    steps = sizes[-1]
    left = (n_players - step for step in range(steps))
    tried = sum(min(CANDIDATES, n) for n in left if n > 1)  # the last one needs no measurement
    budget, slopes = int(WALK_SHARE * search_budget), 0
    batch = (slope_passes or 0) * sloped_questions(n_questions)
    if batch and budget < steps * CANDIDATES * n_questions:  # else everything can be measured
        paid = int(SLOPE_SHARE * budget) // batch
        slopes = min(steps, paid, most_looks(n_questions))
    affordable = (budget - slopes * batch) // (steps * CANDIDATES)
    questions = min(n_questions, max(FEWEST_WALK_QUESTIONS, affordable))
    return WalkSizes(questions, slopes, tried * questions + slopes * batch)
