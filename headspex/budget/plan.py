"""The sizes of a run, decided before its first forward pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from headspex.budget.defaults import ANSWERS, Defaults
from headspex.budget.refinement import GATES, SLOPES
from headspex.budget.verification import (
    FEWEST_QUESTIONS,
    FRESH_MASKS,
    RIVALS,
    Room,
    least_budget,
    spread,
)
from headspex.engine.circuit_faithfulness import kept_sizes
from headspex.errors import UsageError, argument
from headspex.gates.sizes import GateSizes, gate_sizes
from headspex.presets import PAPER_MASKS
from headspex.schedules.schedule import n_pruned
from headspex.scores.block import SLOPE_PASSES
from headspex.settings import Settings
from headspex.units import plural
from headspex.walk.gate_gradients import sloped_questions
from headspex.walk.sizes import WalkSizes, walk_sizes

WATCHED = 100  # masks for looks at the search
LOOK_SHARE = 1 / 8  # of the default budget between two looks
SPARSITIES = tuple(step / 10 for step in range(1, 10))
FEWEST_MASKS = 10  # of the search; intervals need that many
FEWEST_PLAYERS = 4  # 16 masks: 12 to search and 4 fresh ones


@dataclass(frozen=True)
class Plan:
    """The sizes of a run; how the search spends its budget is in `headspex.budget.allocation`.

    Attributes:
        n_players: number of switched heads.
        n_search: number of search questions.
        n_heldout: questions on which the whole model and the run's own schedule are judged.
        n_fresh: masks outside the search on which the spectrum is judged.
        sizes: numbers of removed heads to verify, ascending and without 0.
        search_budget: most passes of pilot and search; a pass is one question under one mask.
        fresh_search, fresh_heldout: questions of either half for each fresh mask; a watched mask
            is asked `fresh_search` questions too.
        n_compared: held-out questions on which other methods' schedules are judged.
        n_watched: masks for looks at the search, neither searched nor fresh.
        look_step: passes of the search between two looks; 0 means no looks.
        circuit_sizes: numbers of removed heads at which the run's own schedule is verified too,
            for MIB's faithfulness alone: ascending, all heads the last; () where that is not asked.
    """

    n_players: int
    n_search: int
    n_heldout: int
    n_fresh: int
    sizes: tuple[int, ...]
    search_budget: int
    fresh_search: int
    fresh_heldout: int
    n_compared: int
    n_watched: int = 0
    look_step: int = 0
    circuit_sizes: tuple[int, ...] = ()

    @classmethod
    def of_run(cls, identity: Mapping[str, Any]) -> Plan:
        """The plan of a run, from its identity in run.json.

        Runs of 0.1 asked fresh masks and all schedules every question.
        """
        earlier = {
            "fresh_search": identity["n_search"],
            "fresh_heldout": identity["n_heldout"],
            "n_compared": identity["n_heldout"],
            "circuit_sizes": (),
        }
        known = {**earlier, **identity}
        planned = {field.name: known[field.name] for field in fields(cls)}
        return cls(**{name: _tuple(value) for name, value in planned.items()})

    def to_dict(self) -> dict[str, Any]:
        """As in the identity of a run; what is not asked is not named."""
        plan = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}
        if not self.circuit_sizes:
            del plan["circuit_sizes"]
        return plan

    @property
    def most_masks(self) -> int:
        """Most masks a search can have: all masks but the fresh and watched ones."""
        return _possible(self.n_players) - self.n_fresh - self.n_watched

    def walking(self, *, by_slopes: bool) -> WalkSizes:
        """The sizes of a round of refinement.

        Args:
            by_slopes: whether the walk uses slopes of the score.
        """
        return walk_sizes(
            n_players=self.n_players,
            n_questions=self.n_search,
            sizes=self.sizes,
            search_budget=self.search_budget,
            slope_passes=SLOPE_PASSES if by_slopes else None,
        )

    @property
    def learning(self) -> GateSizes:
        """The sizes of a round of refinement by learned gates."""
        return gate_sizes(
            n_players=self.n_players, n_questions=self.n_search, sizes=self.sizes,
            search_budget=self.search_budget, slope_passes=SLOPE_PASSES,
        )  # fmt: skip

    def passes_total(self, rounds: int, by: str) -> int:
        """Most passes of a whole run with this many rounds of refinement.

        Args:
            rounds: of refinement.
            by: see `headspex.budget.refinement`.
        """
        return self.search_budget + self.verify_passes + rounds * self.refine_passes(by)

    def refine_passes(self, by: str) -> int:
        """Passes of a round of refinement, at most."""
        return (self.learning if by == GATES else self.walking(by_slopes=by == SLOPES)).passes

    def gradient_passes(self, by: str) -> int:
        """How many of them are gradients."""
        rows = self.learning.rows
        if by != GATES:
            slopes = self.walking(by_slopes=by == SLOPES).slopes
            rows = slopes * sloped_questions(self.n_search)
        return SLOPE_PASSES * rows

    @property
    def verify_passes(self) -> int:
        """Passes of the fresh masks, the looks, and the schedules."""
        fresh = self.n_fresh * (self.fresh_search + self.fresh_heldout)
        watched = self.n_watched * self.fresh_search
        return fresh + watched + self.schedule_passes

    @property
    def schedule_passes(self) -> int:
        """Passes of the whole model and of all schedules, on held-out questions."""
        own = (1 + len(self.sizes) + len(self.circuit_sizes)) * self.n_heldout
        return own + len(self.sizes) * RIVALS * self.n_compared


def make_plan(
    settings: Settings,
    *,
    n_players: int,
    n_search: int,
    n_heldout: int,
    more: str = "questions or subjects",
    circuits: bool = False,
    defaults: Defaults = ANSWERS,
) -> Plan:
    """Spread both budgets.

    Args:
        settings: of the run.
        n_players: number of switched heads.
        n_search, n_heldout: questions in each half of the task.
        more: what to add when the task has too few questions, for the error.
        circuits: whether MIB's faithfulness is measured of the run's schedule.
        defaults: budgets where the settings name none.

    Raises:
        UsageError: a budget or the task is too small.
    """
    if n_players < FEWEST_PLAYERS:
        raise UsageError(
            f"a run needs at least {FEWEST_PLAYERS} {plural(settings.unit)} to switch, but there "
            f"are {n_players}; choose more layers"
        )
    if min(n_search, n_heldout) < FEWEST_QUESTIONS:
        raise UsageError(
            f"a run needs at least {FEWEST_QUESTIONS} search questions and {FEWEST_QUESTIONS} "
            f"held-out ones, but the task has {n_search} and {n_heldout}; add {more}"
        )
    search = defaults.search.of(n_players)
    sizes, look_step = _sizes(settings, n_players), _look_step(settings, search)
    n_watched = _watched(settings, n_players)
    circuit_sizes = _circuit_sizes(sizes, n_players) if circuits else ()
    if settings.protocol == "paper":
        return Plan(
            n_players=n_players, n_search=n_search, sizes=sizes,
            search_budget=PAPER_MASKS * n_search, n_watched=n_watched, look_step=look_step,
            n_heldout=n_heldout, n_compared=n_heldout, fresh_search=n_search,
            fresh_heldout=n_heldout, n_fresh=min(FRESH_MASKS[0], _possible(n_players) // 4),
            circuit_sizes=circuit_sizes,
        )  # fmt: skip
    verify = settings.verify_budget or defaults.verify.of(n_players)
    room = _room(settings, n_players, n_search, n_heldout, circuits=circuits)
    judged = spread(verify, room)
    if judged is None:
        raise UsageError(
            f"{argument('verify_budget')} must be at least {least_budget(room)} to judge "
            f"{n_players} {plural(settings.unit)} on {FEWEST_QUESTIONS} questions, but is {verify}"
        )
    per_mask = _fewest_asked(settings, n_search)
    budget = settings.budget or search
    if budget < FEWEST_MASKS * per_mask:
        raise UsageError(
            f"{argument('budget')} must be at least {FEWEST_MASKS * per_mask}, {FEWEST_MASKS} "
            f"masks of {per_mask} questions each, but is {budget}"
        )
    return Plan(
        n_players=n_players, n_search=n_search, sizes=sizes, search_budget=budget,
        n_watched=n_watched, look_step=look_step, circuit_sizes=circuit_sizes, **asdict(judged),
    )  # fmt: skip


def least_budgets(
    settings: Settings, *, n_players: int, n_search: int, n_heldout: int, circuits: bool = False
) -> tuple[int, int]:
    """The least budgets of a run: for pilot and search, and to verify.

    Args:
        settings: of the run; its budgets do not matter.
        n_players, n_search, n_heldout, circuits: as in `make_plan`.
    """
    verify = least_budget(_room(settings, n_players, n_search, n_heldout, circuits=circuits))
    return FEWEST_MASKS * _fewest_asked(settings, n_search), verify


def _sizes(settings: Settings, n_players: int) -> tuple[int, ...]:
    """Numbers of removed heads to verify."""
    shares = SPARSITIES if settings.prune else ()
    return tuple(sorted({n_pruned(s, n_players) for s in shares} - {0}))


def _circuit_sizes(sizes: Sequence[int], n_players: int) -> tuple[int, ...]:
    """Further sizes at which MIB judges a schedule; all players off is one of them."""
    if not sizes:
        return ()
    kept = {0, *kept_sizes(n_players)}
    return tuple(sorted({n_players - k for k in kept} - {0, *sizes}))


def _look_step(settings: Settings, search: int) -> int:
    """Passes between two looks at the search; 0 without looks.

    Args:
        settings: of the run.
        search: the default budget.
    """
    if settings.look_every or settings.stop_at_faithfulness is None:
        return settings.look_every or 0
    return max(1, int(LOOK_SHARE * search))


def _watched(settings: Settings, n_players: int) -> int:
    """Masks for looks at the search."""
    looks = settings.look_every or settings.stop_at_faithfulness is not None
    return min(WATCHED, _possible(n_players) // 8) if looks else 0


def _room(
    settings: Settings, n_players: int, n_search: int, n_heldout: int, *, circuits: bool
) -> Room:
    sizes = _sizes(settings, n_players)
    return Room(
        most_fresh=_possible(n_players) // 4,
        n_watched=_watched(settings, n_players),
        n_search=n_search,
        n_heldout=n_heldout,
        n_sizes=len(sizes),
        n_own=len(_circuit_sizes(sizes, n_players)) if circuits else 0,
    )


def _fewest_asked(settings: Settings, n_search: int) -> int:
    """Questions of a mask of the search, at least."""
    asked = settings.questions_per_mask
    return {"auto": 1, "all": n_search}.get(str(asked)) or min(int(asked), n_search)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _possible(n_players: int) -> int:
    return int(2 ** min(n_players, 62))
