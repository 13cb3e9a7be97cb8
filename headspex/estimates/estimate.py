"""A run's costs on this machine, learned from a little of each of its parts.

The estimate is told and nothing else: no score, choice or file of a run depends on it. What is
scored for it is forgotten.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from headspex.budget.allocation import Allocation
from headspex.budget.plan import Plan, least_budgets, make_plan
from headspex.budget.refinement import GATES, SLOPES, takes_gradients
from headspex.errors import NoGradientError, RoomError, UsageError, argument
from headspex.estimates.arithmetic import Arithmetic, memory_of, product_seconds
from headspex.estimates.costs import (
    HOUR,
    LONG,
    Budgets,
    Costs,
    Rates,
    Stage,
    budgets_within,
    expected,
    rounded_up,
    stages_of,
    with_budgets,
)
from headspex.estimates.engine_time import slowness
from headspex.estimates.pace import Clock, Pairs, pace, random_pairs, step_pairs
from headspex.scores.block import BLOCK, SLOPE_PASSES, Block
from headspex.scores.fill import mean_fill
from headspex.scores.judge import try_out
from headspex.scores.store import ScoreStore
from headspex.settings import Settings
from headspex.setup import Setup
from headspex.support.interrupt import raise_if_interrupted
from headspex.support.seeds import stream
from headspex.units import MEANS
from headspex.walk.walk import CANDIDATES

PATIENCE = 10.0  # seconds that all blocks together may take, about
SHARE = 0.05  # of the run, beyond which a run that begins is not kept waiting
SHORT = 10.0  # seconds of a run that is not worth an estimate
AT_FIRST = 0.2  # seconds of a block that tells roughly
LEAST = 0.03  # seconds of a block, below which a part goes by the pace of the search
CALLS = 2.5  # longest calls that a part takes: smaller ones before it, and one after it
SLOPED = 16  # questions whose slopes are timed, at most: they are taken eight at a time
SLOWEST = 2.0  # seconds of a pass, beyond which none is tried: even a few would take a minute
MOST = 1_000.0  # times the default budgets, that a number of minutes may buy
BESIDE = 1.4  # time of a pass over that of its products, with a random Llama of 0.1 B


def estimate(setup: Setup, *, start: float, clock: Clock = time.perf_counter) -> Costs:
    """What the run of a setup would cost; takes about `PATIENCE` seconds.

    Args:
        setup: to be run.
        start: seconds that loading its model and task took.
        clock: tells seconds.

    Raises:
        UsageError: as the run would.
    """
    with ScoreStore(":memory:") as store:
        meter = Meter(setup, store, start, clock)
        return meter.costs(meter.fine(meter.rough(), PATIENCE))


def estimate_at_start(
    setup: Setup, *, start: float, clock: Clock = time.perf_counter
) -> Costs | None:
    """The same in a small share of the time of the run; None where it is short anyway."""
    with ScoreStore(":memory:") as store:
        meter = Meter(setup, store, start, clock)
        rates = meter.rough()
        seconds = meter.costs(rates).seconds
        if seconds < SHORT:
            return None
        found = meter.costs(meter.fine(rates, min(PATIENCE, SHARE * seconds)))
    return None if found.seconds < SHORT else found


def budgets_of(
    setup: Setup, minutes: float, *, start: float, clock: Clock = time.perf_counter
) -> Budgets:
    """The budgets of a run that takes about so many minutes on this machine.

    Search and verification grow or shrink by the same share, until one is at its least. Takes
    about `PATIENCE` seconds.

    Args:
        setup: to be run.
        minutes: of the whole run.
        start: seconds that loading its model and task took.
        clock: tells seconds.

    Raises:
        UsageError: no run is that short; or as the run would.
    """
    with ScoreStore(":memory:") as store:
        meter = Meter(setup, store, start, clock)
        rates = meter.fine(meter.rough(), PATIENCE)
        found = meter.budgets_within(60 * minutes, rates, verify=True, most=MOST)
        if found is None:
            least = rounded_up(meter.seconds(rates, *meter.least) / 60)
            raise UsageError(
                f"{argument('minutes')} must be at least {least:g} for this model and task on "
                f"this machine, but is {minutes:g}; allow more, or switch fewer layers"
            )
    return found


class Meter:
    """Times parts of a run.

    Args:
        setup: to be run.
        store: for a judge, which keeps nothing there.
        start: seconds that loading its model and task took.
        clock: tells seconds.
    """

    def __init__(self, setup: Setup, store: ScoreStore, start: float, clock: Clock) -> None:
        try_out(
            setup.model, setup.encoded, setup.settings.ablation
        )  # what fails, fails as in a run
        self._setup, self._start, self._clock = setup, start, clock
        self._plan, self._settings = setup.plan, setup.settings
        self._work = Arithmetic.of(setup)
        self._spent = self._expected(setup.plan, setup.settings)
        fill, how = None, setup.settings
        if how.ablation in MEANS:  # any means cost the same
            few = setup.encoded[:2]
            fill = mean_fill(setup.model, few, ablation=how.ablation, unit=how.unit)
        self._rng = stream(setup.settings.seed, "estimate")
        self._judge = setup.judge(store, fill=fill)
        self._warm = 0.0

    def rough(self) -> Rates:
        """From a small block of the search, or from none where the model is very slow."""
        reckoned = (
            self._work.of_pass(self._spent.questions_per_mask)
            * BESIDE
            * product_seconds(self._setup.model)
        )
        if reckoned > SLOWEST:
            return self._rates(reckoned, measured=False)
        begin = self._clock()
        self._ask("search", self._pairs("search")(1)[0])  # comparing two paths, for instance
        self._warm = self._clock() - begin
        return self._rates(self._pace("search", AT_FIRST))

    def fine(self, rough: Rates, patience: float) -> Rates:
        """From blocks of all parts that take long.

        Args:
            rough: what is known.
            patience: seconds of all blocks, of each part in proportion to what it takes.
        """
        slow = slowness(threads=self._settings.threads, clock=self._clock)
        if not rough.measured:
            return replace(rough, slowness=slow)
        parts = self._parts(rough)
        each = patience / CALLS / sum(parts.values())
        found: dict[str, Any] = {
            name: self._pace(name, each * seconds)
            for name, seconds in parts.items()
            if each * seconds >= LEAST
        }
        rates = self._rates(found.get("search", rough.search))
        return replace(rates, slowness=slow, **found)

    def costs(self, rates: Rates) -> Costs:
        """All that these rates say of the run."""
        setup, plan = self._setup, self._plan
        weights = list(setup.model.bridge.original_model.parameters())
        passes_total = plan.passes_total(self._settings.refine, setup.refined_by)
        found = Costs(
            players=plan.n_players,
            unit=self._settings.unit,
            passes=plan.search_budget,
            passes_total=passes_total,
            flops=2.0 * sum(p.numel() for p in weights) * self._work.tokens * passes_total,
            bytes=memory_of(setup.model),
            stages=self._stages(plan, self._settings, rates),
            measured=rates.measured,
        )
        if found.seconds <= LONG or self._settings.protocol == "paper":
            return found
        return replace(found, shorter=self._shorter(found, rates))

    def _expected(self, plan: Plan, settings: Settings) -> Allocation:
        setup = self._setup
        return expected(
            plan, settings, lambda: self._work.masks, setup.defaults,
            gradients=takes_gradients(
                setup.task, setup.metric, settings, n_players=plan.n_players
            ),
        )  # fmt: skip

    def _stages(self, plan: Plan, settings: Settings, rates: Rates) -> tuple[Stage, ...]:
        spent = self._spent
        if plan is not self._plan:
            spent = self._expected(plan, settings)
        objective = self._setup.objective
        return stages_of(
            plan, settings, spent, rates, by=self._setup.refined_by,
            fits=len({objective.metric, objective.aim}),
        )  # fmt: skip

    def _shorter(self, found: Costs, rates: Rates) -> Budgets | None:
        took = {stage.name: stage.seconds for stage in found.stages}
        verify = took["score fresh masks"] + took["verify schedules"] > HOUR / 2
        return self.budgets_within(HOUR, rates, verify=verify)

    def budgets_within(
        self, seconds: float, rates: Rates, *, verify: bool, most: float = 1.0
    ) -> Budgets | None:
        """As `headspex.estimates.costs.budgets_within`, of this run."""
        plan = self._plan
        return budgets_within(
            seconds, plan.search_budget, plan.verify_passes if verify else None,
            partial(self.seconds, rates), least=self.least, most=most,
        )  # fmt: skip

    @property
    def least(self) -> tuple[int, int]:
        """The least budgets of this run."""
        search, heldout = self._setup.halves
        return least_budgets(
            self._settings, n_players=self._plan.n_players, n_search=len(search),
            n_heldout=len(heldout), circuits=bool(self._plan.circuit_sizes),
        )  # fmt: skip

    def seconds(self, rates: Rates, budget: int, verify_budget: int | None) -> float:
        """Of this run with other budgets."""
        asked = with_budgets(self._settings, budget, verify_budget)
        search, heldout = self._setup.halves
        plan = make_plan(
            asked, n_players=self._plan.n_players, n_search=len(search), n_heldout=len(heldout),
            circuits=bool(self._plan.circuit_sizes), defaults=self._setup.defaults,
        )  # fmt: skip
        return sum(stage.seconds for stage in self._stages(plan, asked, rates))

    def _parts(self, rates: Rates) -> dict[str, float]:
        """Seconds of what is worth blocks of its own, named as in `Rates`."""
        found = self._stages(self._plan, self._settings, rates)
        seconds = {stage.name: stage.seconds for stage in found if stage.passes}
        walk, slope = seconds.pop("refine the schedule", 0.0), seconds.pop("gradients", 0.0)
        if self._settings.refine and self._plan.gradient_passes(self._setup.refined_by):
            walk, slope = walk / 2, slope + walk / 2
        return {"search": sum(seconds.values()), "walk": walk, "slope": slope}

    def _rates(self, search: float, *, measured: bool = True) -> Rates:
        """All from the pace of the search, by arithmetic."""
        plan, work, per_mask = self._plan, self._work, self._spent.questions_per_mask
        by = self._setup.refined_by
        walking = plan.walking(by_slopes=by == SLOPES)
        together = plan.learning.questions if by == GATES else walking.questions

        def alike(count: int) -> float:
            return search * work.of_pass(count) / work.of_pass(per_mask)

        means = plan.n_search if self._settings.ablation in MEANS else 0
        return Rates(
            start=self._start,
            once=self._warm + search * (work.below / work.of_pass(per_mask) + means),
            search=search,
            fresh=alike(plan.fresh_search + plan.fresh_heldout),
            walk=alike(together),
            schedules=alike(plan.n_compared),
            slope=alike(1),
            slowness=1.0,
            measured=measured,
        )

    def _pace(self, part: str, patience: float) -> float:
        """Seconds of a pass of a part."""
        most = BLOCK
        if part == "walk":
            walking = self._plan.walking(by_slopes=self._setup.refined_by == SLOPES)
            most = min(BLOCK, CANDIDATES * walking.questions)
        if part == "slope":
            most = SLOPED
        try:
            found = pace(
                lambda block: self._ask(part, block), self._pairs(part), most=most,
                patience=patience, clock=self._clock,
            )  # fmt: skip
        except (RoomError, NoGradientError):  # the run will say so, and go on without gradients
            return 0.0
        return found / SLOPE_PASSES if part == "slope" else found

    def _ask(self, part: str, block: Block) -> None:
        raise_if_interrupted()  # a block may take seconds
        if part == "slope":
            aim = self._setup.objective.aim
            self._judge.gate_gradients(block.masks, block.questions, metric=aim)
        else:
            self._judge(block.masks, block.questions)

    def _pairs(self, part: str) -> Pairs:
        """Blocks like those of a part."""
        plan, spent, rng = self._plan, self._spent, self._rng
        search = np.arange(plan.n_search)
        half = 1 - plan.sizes[-1] / plan.n_players / 2 if plan.sizes else 1.0  # of the way
        if part == "walk":
            return step_pairs(plan.n_players, search, candidates=CANDIDATES, keep=half, rng=rng)
        per_mask, keep = (1, half) if part == "slope" else (spent.questions_per_mask, spent.keep)
        return random_pairs(plan.n_players, search, per_mask=per_mask, keep=keep, rng=rng)
