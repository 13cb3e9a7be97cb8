"""The verify budget: fresh masks for the spectrum, held-out questions for schedules."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

# Fresh masks are asked a few random questions each, and R² is corrected for that. On 500 masks of
# `mini` with 400 questions each, the standard deviation of R² was .018 for 300 masks x 32
# questions, .021 for 400 x 24, .026 for 400 x 16, .021 for 100 x 400 and .012 for 200 x 400.
FRESH_MASKS = (100, 300)  # least and most; at most a quarter of all masks
QUESTIONS = 48  # of each fresh mask, from both halves, if the budget allows
SEARCHED_SHARE = 0.8  # of them search questions, for faithfulness; the rest for transfer
FRESH_SHARE = 0.53  # of the budget for fresh masks, at most
OWN_SHARE = 0.55  # of the remaining budget for the run's schedule; other methods get the rest
RANDOM_SCHEDULES = 5  # the baseline `random` is their mean
RIVALS = 1 + RANDOM_SCHEDULES  # the LASSO and these
MOST_COMPARED = 1_000  # questions for other methods: intervals of +-3 points
ROUNDED = 200  # passes of a budget that may be left, so that all parts are large enough
FEWEST_QUESTIONS = 10  # of each half, and for each schedule
FEWEST_ANSWERS = 2  # of a mask: one answer has no variance


@dataclass(frozen=True)
class Verification:
    """How a spectrum and its schedules are judged.

    Attributes:
        n_heldout: questions on which the whole model and the run's own schedule are judged.
        n_compared: questions on which other methods' schedules are judged.
        n_fresh: masks outside the search on which the spectrum is judged.
        fresh_search, fresh_heldout: questions of either half for each fresh mask.
    """

    n_heldout: int
    n_compared: int
    n_fresh: int
    fresh_search: int
    fresh_heldout: int


@dataclass(frozen=True)
class Room:
    """What a verify budget is spread over.

    Attributes:
        most_fresh: fresh masks, at most.
        n_watched: masks for looks at the search, each asked `fresh_search` questions.
        n_search, n_heldout: questions in each half.
        n_sizes: how many sizes are judged; 0 judges the whole model only.
        n_own: at how many further sizes the run's own schedule alone is judged.
    """

    most_fresh: int
    n_watched: int
    n_search: int
    n_heldout: int
    n_sizes: int
    n_own: int


def spread(passes: int, room: Room) -> Verification | None:
    """Spread a budget; None if it is too small.

    Near the least budget a few passes more may round to parts that are too small where fewer do
    not: the largest budget within `ROUNDED` passes that can be spread is.
    """
    budgets = range(passes, max(0, passes - ROUNDED), -1)
    return next((found for some in budgets if (found := _all_of(some, room))), None)


def _all_of(passes: int, room: Room) -> Verification | None:
    """All of a budget, in shares; None if a part is too small."""
    fewest, most = FRESH_MASKS
    for_masks = int(min(FRESH_SHARE * passes, (most + room.n_watched) * QUESTIONS))
    n_fresh = min(room.most_fresh, int(np.clip(for_masks // QUESTIONS, fewest, most)))
    each = for_masks / (n_fresh + SEARCHED_SHARE * room.n_watched)
    # Rounding must leave the held-out questions of each fresh mask.
    most_asked = (for_masks - FEWEST_ANSWERS * n_fresh) // (n_fresh + room.n_watched)
    fresh_search = min(room.n_search, int(SEARCHED_SHARE * each), most_asked)
    left = for_masks - (n_fresh + room.n_watched) * fresh_search
    fresh_heldout = min(room.n_heldout, left // n_fresh)
    left = passes - (n_fresh + room.n_watched) * fresh_search - n_fresh * fresh_heldout
    own = int((OWN_SHARE if room.n_sizes else 1) * left)
    n_heldout = min(room.n_heldout, own // (1 + room.n_sizes + room.n_own))
    left -= n_heldout * (1 + room.n_sizes + room.n_own)
    n_compared = min(n_heldout, MOST_COMPARED, left // max(1, room.n_sizes * RIVALS))
    few = min(fresh_search, fresh_heldout) < FEWEST_ANSWERS
    if few or min(n_heldout, n_compared) < FEWEST_QUESTIONS:
        return None
    return Verification(n_heldout, n_compared, n_fresh, fresh_search, fresh_heldout)


def least_budget(room: Room) -> int:
    """The smallest budget that `spread` can spread."""
    return bisect_left(range(1 << 30), True, key=lambda passes: spread(passes, room) is not None)
