"""How a run spends its forward passes, decided before the first of them."""

from __future__ import annotations

from dataclasses import dataclass

from headspex.errors import UsageError
from headspex.schedule import n_pruned
from headspex.settings import Settings

SEARCH_PASSES_PER_PLAYER = 1_536  # default budget: R² on fresh masks of `mini` is then above .9
VERIFY_PASSES_PER_PLAYER = 768  # default verify budget: the curve's intervals are then +-8 points
FRESH_MASKS = 100  # faithfulness is R² over these; a quarter of all masks where there are few
SPARSITIES = tuple(step / 10 for step in range(1, 10))
RANDOM_SCHEDULES = 5  # the baseline `random` is their mean
FEWEST_QUESTIONS = 10  # of each half; fewer would say nothing
FEWEST_MASKS = 10  # of the search; intervals need as many
FEWEST_PLAYERS = 4  # have 12 masks to search and 4 fresh ones


@dataclass(frozen=True)
class Plan:
    """The sizes of a run.

    Attributes:
        n_players: heads that are switched.
        n_search, n_heldout: questions used of each half.
        n_masks: masks of the search, each asked `questions_per_mask` of the search questions.
        n_fresh: other masks, on which the spectrum is judged.
        sizes: numbers of heads removed that are verified, ascending and without 0.
        passes: of the search; one is one question under one mask.
        passes_total: with the fresh masks (on all search and held-out questions) and the
            schedules (on all held-out questions).
    """

    n_players: int
    n_search: int
    n_heldout: int
    n_masks: int
    n_fresh: int
    questions_per_mask: int
    sizes: tuple[int, ...]

    @property
    def passes(self) -> int:
        """Forward passes of the search."""
        return self.n_masks * self.questions_per_mask

    @property
    def passes_total(self) -> int:
        """All forward passes."""
        fresh = self.n_fresh * (self.n_search + self.n_heldout)
        return self.passes + fresh + _curve_masks(self.sizes) * self.n_heldout


def make_plan(settings: Settings, *, n_players: int, n_search: int, n_heldout: int) -> Plan:
    """Spread both budgets.

    Args:
        settings: of the run.
        n_players: heads that are switched.
        n_search, n_heldout: questions that each half of the task holds.

    Raises:
        UsageError: a budget or a task too small for the least that says anything.
    """
    if n_players < FEWEST_PLAYERS:
        raise UsageError(
            f"a run switches at least {FEWEST_PLAYERS} heads, but there are {n_players}; "
            "take more layers"
        )
    if min(n_search, n_heldout) < FEWEST_QUESTIONS:
        raise UsageError(
            f"a run needs at least {FEWEST_QUESTIONS} questions to search on and as many to judge "
            f"by, but the task gives {n_search} and {n_heldout}; add questions or subjects"
        )
    possible = 2 ** min(n_players, 62)
    n_fresh = min(FRESH_MASKS, possible // 4)
    sizes = tuple(sorted({n_pruned(s, n_players) for s in SPARSITIES} - {0}))
    verify = settings.verify_budget or VERIFY_PASSES_PER_PLAYER * n_players
    per_question = 2 * n_fresh + _curve_masks(sizes)
    affordable = verify // per_question
    if affordable < FEWEST_QUESTIONS:
        raise UsageError(
            f"--verify-budget must be at least {FEWEST_QUESTIONS * per_question} to judge "
            f"{n_players} heads on {FEWEST_QUESTIONS} questions, but is {verify}"
        )
    n_search, n_heldout = min(n_search, affordable), min(n_heldout, affordable)
    per_mask = min(settings.questions_per_mask or n_search, n_search)
    budget = settings.budget or SEARCH_PASSES_PER_PLAYER * n_players
    if budget < FEWEST_MASKS * per_mask:
        raise UsageError(
            f"--budget must be at least {FEWEST_MASKS * per_mask}, {FEWEST_MASKS} masks of "
            f"{per_mask} questions each, but is {budget}"
        )
    n_masks = min(budget // per_mask, possible - n_fresh)
    if n_masks < budget // per_mask:
        # There are few masks: the budget buys each of them more questions.
        per_mask = min(budget // n_masks, n_search)
    return Plan(n_players, n_search, n_heldout, n_masks, n_fresh, per_mask, sizes)


def _curve_masks(sizes: tuple[int, ...]) -> int:
    # The whole model once; ProxySPEX, the LASSO and every random schedule at each size.
    return 1 + len(sizes) * (2 + RANDOM_SCHEDULES)
