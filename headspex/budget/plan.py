"""The sizes of a run, decided before its first forward pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from headspex.errors import UsageError
from headspex.protocol import PAPER_MASKS
from headspex.schedules.schedule import n_pruned
from headspex.schedules.tangent import most_looks, sloped_questions
from headspex.schedules.walk import CANDIDATES, SLOPE_PASSES
from headspex.settings import Settings
from headspex.units import plural

SEARCH_PASSES_PER_PLAYER = 1_536  # default budget: R² on fresh masks of `mini` is then above .9
VERIFY_PASSES_PER_PLAYER = 1_344  # default verify budget: the curve's intervals are then +-8 points
FRESH_MASKS = 100  # faithfulness is R² over these; a quarter of all masks where there are few
MORE_FRESH_MASKS = 200  # over these where each can be asked MANY_QUESTIONS of both halves
MANY_QUESTIONS = 100
WATCHED = 50  # masks that looks at the search are had on
LOOK_SHARE = 1 / 8  # of the default budget, between two looks
SPARSITIES = tuple(step / 10 for step in range(1, 10))
RANDOM_SCHEDULES = 5  # the baseline `random` is their mean
FEWEST_QUESTIONS = 10  # of each half; fewer would say nothing
FEWEST_MASKS = 10  # of the search; intervals need as many
WALK_SHARE = 0.25  # of the search budget, that a round of refinement may spend on top of it
SLOPE_SHARE = 0.5  # of that, at most, for slopes, where the score has any
FEWEST_WALK_QUESTIONS = 2  # from which their noise can be told
FEWEST_PLAYERS = 4  # have 12 masks to search and 4 fresh ones


@dataclass(frozen=True)
class Walking:
    """The sizes of a refining walk.

    Attributes:
        questions: that each candidate is asked.
        slopes: how often slopes are taken, at most.
        passes: of all of it, at most.
    """

    questions: int
    slopes: int
    passes: int


@dataclass(frozen=True)
class Plan:
    """The sizes of a run; `headspex.budget.allocation` says how the search spends its budget.

    Attributes:
        n_players: heads that are switched.
        n_search, n_heldout: questions used of each half.
        n_fresh: masks that are not searched, on which the spectrum is judged.
        sizes: numbers of heads removed that are verified, ascending and without 0.
        search_budget: passes of pilot and search, at most; one is one question under one mask.
        n_watched: masks that are neither searched nor fresh, on which looks are had.
        look_step: passes of the search between two looks; 0 without any.
    """

    n_players: int
    n_search: int
    n_heldout: int
    n_fresh: int
    sizes: tuple[int, ...]
    search_budget: int
    n_watched: int = 0
    look_step: int = 0

    @classmethod
    def of_run(cls, identity: Mapping[str, Any]) -> Plan:
        """That of a run, from its identity in run.json."""
        planned = {field.name: identity[field.name] for field in fields(cls)}
        return cls(**{**planned, "sizes": tuple(identity["sizes"])})

    @property
    def most_masks(self) -> int:
        """How many masks there are to search: all but those on which it is judged."""
        return _possible(self.n_players) - self.n_fresh - self.n_watched

    def walking(self, *, by_slopes: bool) -> Walking:
        """What a round of refinement may ask.

        Args:
            by_slopes: whether the score has slopes.
        """
        steps = self.sizes[-1]
        left = (self.n_players - step for step in range(steps))
        tried = sum(min(CANDIDATES, n) for n in left if n > 1)  # the last one needs no measurement
        budget, slopes = int(WALK_SHARE * self.search_budget), 0
        each = SLOPE_PASSES * sloped_questions(self.n_search)
        if by_slopes and budget < steps * CANDIDATES * self.n_search:  # else all is measured
            paid = int(SLOPE_SHARE * budget) // each
            slopes = min(steps, paid, most_looks(self.n_search))
        affordable = (budget - slopes * each) // (steps * CANDIDATES)
        questions = min(self.n_search, max(FEWEST_WALK_QUESTIONS, affordable))
        return Walking(questions, slopes, tried * questions + slopes * each)

    def passes_total(self, rounds: int, *, by_slopes: bool) -> int:
        """Of a whole run with so many rounds of refinement, at most."""
        walked = rounds * self.walking(by_slopes=by_slopes).passes if rounds else 0
        return self.search_budget + self.verify_passes + walked

    @property
    def verify_passes(self) -> int:
        """Of the fresh masks, on search and held-out questions, of the looks and the schedules."""
        fresh = self.n_fresh * (self.n_search + self.n_heldout)
        fresh += self.n_watched * self.n_search
        return fresh + _curve_masks(self.sizes) * self.n_heldout


def make_plan(
    settings: Settings,
    *,
    n_players: int,
    n_search: int,
    n_heldout: int,
    more: str = "questions or subjects",
) -> Plan:
    """Spread both budgets.

    Args:
        settings: of the run.
        n_players: heads that are switched.
        n_search, n_heldout: questions that each half of the task holds.
        more: what gives the task more of them.

    Raises:
        UsageError: a budget or a task too small for the least that says anything.
    """
    if n_players < FEWEST_PLAYERS:
        raise UsageError(
            f"a run switches at least {FEWEST_PLAYERS} {plural(settings.unit)}, but there "
            f"are {n_players}; take more layers"
        )
    if min(n_search, n_heldout) < FEWEST_QUESTIONS:
        raise UsageError(
            f"a run needs at least {FEWEST_QUESTIONS} questions to search on and as many to judge "
            f"by, but the task gives {n_search} and {n_heldout}; add {more}"
        )
    n_fresh = min(FRESH_MASKS, _possible(n_players) // 4)
    shares = SPARSITIES if settings.prune else ()
    sizes = tuple(sorted({n_pruned(s, n_players) for s in shares} - {0}))
    look_step, n_watched = settings.look_every or 0, 0
    if settings.stop_at_faithfulness is not None and not look_step:
        look_step = int(LOOK_SHARE * SEARCH_PASSES_PER_PLAYER * n_players)
    if look_step:
        n_watched = min(WATCHED, _possible(n_players) // 8)
    looks = {"n_watched": n_watched, "look_step": look_step}
    if settings.protocol == "paper":
        passes = PAPER_MASKS * n_search
        return Plan(n_players, n_search, n_heldout, n_fresh, sizes, passes, **looks)
    verify = settings.verify_budget or VERIFY_PASSES_PER_PLAYER * n_players
    more_fresh = min(MORE_FRESH_MASKS, _possible(n_players) // 4)
    if verify >= (2 * more_fresh + _curve_masks(sizes)) * MANY_QUESTIONS:
        n_fresh = more_fresh
    per_question = 2 * n_fresh + n_watched + _curve_masks(sizes)
    affordable = verify // per_question
    if affordable < FEWEST_QUESTIONS:
        raise UsageError(
            f"--verify-budget must be at least {FEWEST_QUESTIONS * per_question} to judge "
            f"{n_players} {plural(settings.unit)} on {FEWEST_QUESTIONS} questions, but is {verify}"
        )
    n_search, n_heldout = min(n_search, affordable), min(n_heldout, affordable)
    asked = settings.questions_per_mask
    least = {"auto": 1, "all": n_search}.get(str(asked)) or min(int(asked), n_search)
    budget = settings.budget or SEARCH_PASSES_PER_PLAYER * n_players
    if budget < FEWEST_MASKS * least:
        raise UsageError(
            f"--budget must be at least {FEWEST_MASKS * least}, {FEWEST_MASKS} masks of "
            f"{least} questions each, but is {budget}"
        )
    return Plan(n_players, n_search, n_heldout, n_fresh, sizes, budget, **looks)


def _possible(n_players: int) -> int:
    return int(2 ** min(n_players, 62))


def _curve_masks(sizes: tuple[int, ...]) -> int:
    # The whole model once; ProxySPEX, the LASSO and every random schedule at each size.
    return 1 + len(sizes) * (2 + RANDOM_SCHEDULES)
