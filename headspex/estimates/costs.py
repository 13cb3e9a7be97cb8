"""What a run would cost: its stages, each with its passes and its seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from math import ceil, floor, log10
from typing import Any

from headspex.budget.allocation import Allocation, best_count, spend
from headspex.budget.defaults import ANSWERS, Defaults
from headspex.budget.flops import MaskCosts
from headspex.budget.pilot import KEEPS, QUESTIONS, Probe, pilot_size
from headspex.budget.plan import Plan
from headspex.budget.refinement import GATES
from headspex.estimates.engine_time import fit_seconds, interval_seconds
from headspex.scores.block import BLOCK
from headspex.settings import Settings
from headspex.units import plural

# What the pilot of the shipped run sees where it settles. Another model's masks may differ less;
# what depends on that is how many masks a budget is, and so only a part of the time.
TYPICAL = Probe(keep=0.7, masks=88, score=0.79, low=0.78, between=0.015, within=0.076)

WRITING = 5.0  # seconds for figures, report and libraries that draw, where slowness is 1
HOUR = 3_600.0
LONG = 2 * HOUR  # from which a shorter run is spoken of


@dataclass(frozen=True)
class Stage:
    """A part of a run, named as in timing.json, with its forward passes, at most, and seconds."""

    name: str
    passes: int
    seconds: float


@dataclass(frozen=True)
class Rates:
    """What a machine takes for a setup, in seconds.

    Attributes:
        start: until model and task were loaded; this is spent already.
        once: for what no mask changes, of all questions.
        search, fresh, walk, schedules: of a forward pass, in the company in which each asks it.
        slope: of a forward pass, where it is one of the `SLOPE_PASSES` that a slope counts.
        slowness: how many times as long fits take as `headspex.estimates.engine_time` says.
        measured: whether masked passes were timed; else all of them are reckoned from a product.
    """

    start: float
    once: float
    search: float
    fresh: float
    walk: float
    schedules: float
    slope: float
    slowness: float
    measured: bool = True


@dataclass(frozen=True)
class Budgets:
    """Budgets of a run of another length; a verify budget only where it changes."""

    budget: int
    verify_budget: int | None


@dataclass(frozen=True)
class Costs:
    """An estimate; seconds are of this machine.

    Attributes:
        players, unit: what is switched.
        passes: of pilot and search, at most.
        passes_total: of the whole run, at most.
        flops: of all passes.
        bytes: of the model and of a batch.
        stages: in their order.
        measured: as in `Rates`.
        shorter: where this takes more than two hours, and something shorter can be.
    """

    players: int
    unit: str
    passes: int
    passes_total: int
    flops: float
    bytes: int
    stages: tuple[Stage, ...]
    measured: bool = True
    shorter: Budgets | None = None

    @property
    def seconds(self) -> float:
        """Of the whole command."""
        return sum(stage.seconds for stage in self.stages)

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {**asdict(self), "stages": [asdict(s) for s in self.stages], "seconds": self.seconds}

    @property
    def line(self) -> str:
        """The figures that decide whether to begin."""
        roughly = "" if self.measured else ", reckoned roughly"
        return (
            f"at most {self.passes_total:,} forward passes, {said_of(self.seconds)} on this "
            f"machine{roughly}, {self.bytes / 2**30:.1f} GiB for model and batches{self._shorter}"
        )

    @property
    def _shorter(self) -> str:
        if self.shorter is None:
            return ""
        verify = self.shorter.verify_budget
        also = "" if verify is None else f" --verify-budget {verify}"
        return f"; --budget {self.shorter.budget}{also} would take about one hour"

    def __str__(self) -> str:
        others = self.passes_total - self.passes
        parts = [
            f"  {stage.name}: "
            + (f"{stage.passes:,} passes, " if stage.passes else "")
            + said_of(stage.seconds)
            for stage in self.stages
        ]
        return "\n".join(
            [
                f"{self.players} {plural(self.unit)} are switched",
                self.line,
                f"{self.passes:,} of the passes are pilot and search, {others:,} refine and "
                f"verify; all take about {self.flops:.2g} floating-point operations",
                *parts,
            ]
        )


def said_of(seconds: float) -> str:
    """A time in words, no more exact than it is known."""
    for unit, size, least in (("day", 86_400, 2), ("hour", 3_600, 2), ("minute", 60, 2)):
        if seconds >= least * size:
            return f"about {_two_digits(seconds / size):g} {unit}s"
    return "less than a second" if seconds < 1 else f"about {_two_digits(seconds):g} seconds"


def expected(
    plan: Plan,
    settings: Settings,
    costs: Callable[[], MaskCosts],
    defaults: Defaults = ANSWERS,
    *,
    gradients: bool = False,
) -> Allocation:
    """How a search will be spent, as far as it is known without its pilot."""
    keep = None if settings.keep == "auto" else settings.keep
    asked = settings.questions_per_mask
    per_mask = {"auto": None, "all": plan.n_search}[asked] if isinstance(asked, str) else asked
    if keep is not None and per_mask is not None:
        return spend(plan, keep, per_mask, gradients=gradients)
    n_keeps = len(KEEPS) if keep is None else 1
    n_pilot = pilot_size(plan, n_keeps)
    if n_pilot == 0:
        return spend(
            plan, keep or defaults.keep, per_mask or defaults.per_mask, gradients=gradients
        )
    spent = n_keeps * n_pilot * min(QUESTIONS, plan.n_search)
    per_mask = per_mask or best_count(costs(), TYPICAL)
    return spend(
        plan, keep or TYPICAL.keep, per_mask, n_pilot=n_pilot, pilot_passes=spent,
        gradients=gradients,
    )  # fmt: skip


def stages_of(
    plan: Plan,
    settings: Settings,
    spent: Allocation,
    rates: Rates,
    *,
    by: str,
    fits: int = 1,
) -> tuple[Stage, ...]:
    """What a run does, in the order in which it is done.

    Args:
        plan: sizes of the run.
        settings: of the run.
        spent: how the search spends its budget.
        rates: of the machine.
        by: how schedules are refined; see `headspex.budget.refinement`.
        fits: spectra of the search: 2 if schedules are found by another score than is explained.
    """

    def fit(n_masks: int) -> float:
        return rates.slowness * fit_seconds(n_masks, plan.n_players)

    found = [
        Stage("load the model", 0, rates.start),
        Stage("what no mask changes", 0, rates.once),
        Stage("pilot", spent.pilot_passes, spent.pilot_passes * rates.search),
        Stage(
            "search", n := spent.passes - spent.pilot_passes - spent.gradient_passes,
            n * rates.search,
        ),
        Stage("gradients", spent.gradient_passes, spent.gradient_passes * rates.slope),
    ]  # fmt: skip
    if plan.look_step:
        every = max(plan.look_step, BLOCK)
        looks = range(every, spent.passes, every)
        n = plan.n_watched * plan.fresh_search
        of_looks = sum(fit(passes // spent.questions_per_mask) for passes in looks)
        found.append(Stage("looks", n, n * rates.fresh + of_looks))
    intervals = rates.slowness * interval_seconds(spent.n_masks, plan.n_players)
    n = plan.n_fresh * (plan.fresh_search + plan.fresh_heldout)
    found += [
        Stage("fit the spectrum", 0, fits * fit(spent.n_masks)),
        Stage("intervals of the interactions", 0, intervals),
        Stage("score fresh masks", n, n * rates.fresh),
    ]
    if rounds := settings.refine:
        n, gradients = plan.refine_passes(by), plan.gradient_passes(by)
        walked = (n - gradients) * rates.walk + gradients * rates.slope
        refits = 0.0 if by == GATES else (rounds - 1) * fit(spent.n_masks)
        n *= rounds
        found.append(Stage("refine the schedule", n, rounds * walked + refits))
    n = plan.schedule_passes
    found += [
        Stage("verify schedules", n, n * rates.schedules),
        Stage("write the results", 0, rates.slowness * WRITING),
    ]
    return tuple(stage for stage in found if stage.passes or stage.seconds)


def budgets_within(
    seconds: float,
    budget: int,
    verify_budget: int | None,
    cost: Callable[[int, int | None], float],
    *,
    least: tuple[int, int],
    most: float = 1.0,
) -> Budgets | None:
    """The largest budgets whose run takes at most this long; None if the least takes longer.

    Both change by the same share, until one is at its least; the other goes on alone.

    Args:
        seconds: of the run.
        budget: of a run with other costs.
        verify_budget: of it, where it changes; None: it stays.
        cost: seconds of a run with these budgets.
        least: budget and verify budget of the smallest run.
        most: the largest share of these budgets.
    """

    def part(share: float) -> Budgets:
        searched = max(least[0], _rounded(share * budget))
        if verify_budget is None:
            return Budgets(searched, None)
        return Budgets(searched, max(least[1], _rounded(share * verify_budget)))

    def fits(share: float) -> bool:
        one = part(share)
        return cost(one.budget, one.verify_budget) <= seconds

    low, high = 0.0, most
    if not fits(low):
        return None
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return part(low)


def with_budgets(settings: Settings, budget: int, verify_budget: int | None) -> Settings:
    """The same run with other budgets; None leaves what was asked for."""
    verify = settings.verify_budget if verify_budget is None else verify_budget
    return replace(settings, budget=budget, verify_budget=verify)


def _rounded(passes: float) -> int:
    """Down to two digits."""
    if passes < 10:
        return max(1, int(passes))
    unit = 10 ** (floor(log10(passes)) - 1)
    return int(passes // unit * unit)


def rounded_up(number: float) -> float:
    """To two digits; for a number above 0."""
    unit = 10.0 ** (floor(log10(number)) - 1)
    return round(ceil(number / unit) * unit, 12)


def _two_digits(number: float) -> float:
    return float(f"{number:.2g}")
