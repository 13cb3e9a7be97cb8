"""What a walk may ask, decided before its first forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headspex.walk.gate_gradients import most_looks, sloped_questions
from headspex.walk.walk import CANDIDATES

WALK_SHARE = 0.25  # of the search budget, that a round of refinement may spend on top of it
SLOPE_SHARE = 0.5  # of that, at most, for slopes, where the score has any
FEWEST_WALK_QUESTIONS = 2  # from which their noise can be told


@dataclass(frozen=True)
class WalkSizes:
    """The sizes of a walk.

    Attributes:
        questions: that each candidate is asked.
        slopes: how often slopes are taken, at most.
        passes: of all of it, at most.
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
    """Spread the passes of a walk over its steps, and over candidates and slopes.

    Args:
        n_players: that the walk begins with.
        n_questions: of the search.
        sizes: numbers of players removed that are judged, ascending; the walk ends at the last.
        search_budget: passes of pilot and search.
        slope_passes: what a slope of one question costs; None: the score has no slopes.
    """
    if not sizes:
        return WalkSizes(0, 0, 0)
    steps = sizes[-1]
    left = (n_players - step for step in range(steps))
    tried = sum(min(CANDIDATES, n) for n in left if n > 1)  # the last one needs no measurement
    budget, slopes = int(WALK_SHARE * search_budget), 0
    each = (slope_passes or 0) * sloped_questions(n_questions)
    if each and budget < steps * CANDIDATES * n_questions:  # else all is measured
        paid = int(SLOPE_SHARE * budget) // each
        slopes = min(steps, paid, most_looks(n_questions))
    affordable = (budget - slopes * each) // (steps * CANDIDATES)
    questions = min(n_questions, max(FEWEST_WALK_QUESTIONS, affordable))
    return WalkSizes(questions, slopes, tried * questions + slopes * each)
