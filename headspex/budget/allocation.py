"""How the search spends its budget: keep probability, and questions per mask."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from headspex.budget.defaults import ANSWERS, Defaults
from headspex.budget.flops import MaskCosts
from headspex.budget.pilot import KEEPS, QUESTIONS, Probe, pilot_size, probe, smallest_pilot
from headspex.budget.plan import FEWEST_MASKS, Plan
from headspex.scores.block import SLOPE_BLOCK, SLOPE_PASSES
from headspex.scores.judge import Judge
from headspex.settings import Settings

NEARLY = 0.75  # of the largest variance; differences above this are within the pilot's error
WORKING = 0.25  # least score of a usable keep, as a share of the way from chance to the best
UNEXPLAINED = 0.1  # share of the masks' variance that a useful spectrum leaves unexplained
# Gradients take this share of what the pilot leaves, and number at most so many. On SmolLM2's logit
# difference on 22 indirect objects (three or four draws) R² from 1,000, 2,000, 4,000 and 6,000
# passes was about .51, .58, .64 and .66 without them, and .61, .64, .67 and .67 with 100 to 130,
# 200, 400 and 400.
GRADIENTS, MOST_GRADIENTS = 0.3, 384


@dataclass(frozen=True)
class Look:
    """How well the search so far predicts the watched masks.

    Attributes:
        passes: of the search so far.
        r2, low, high: R² with bounds that hold for all looks at once in 95 % of searches; None if
            all watched masks score the same.
    """

    passes: int
    r2: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Allocation:
    """What was chosen for the search, and why.

    Attributes:
        keep: the probability that a mask keeps a head.
        questions_per_mask: search questions for each mask; `pilot_questions` for the pilot's.
        n_masks: masks of the search.
        n_pilot: how many of them, the first ones, the pilot has scored.
        pilot_passes: of the pilot, at all keeps.
        n_gradients: number of answers, the first after the pilot, whose gradient is taken too.
        probes: the pilot's measurements.
        reasons: one sentence for each choice.
        looks: taken during the search.
        ended: whether the search ended at the last look, before its budget was spent.
    """

    keep: float
    questions_per_mask: int
    n_masks: int
    n_pilot: int = 0
    pilot_questions: int = QUESTIONS
    pilot_passes: int = 0
    n_gradients: int = 0
    probes: tuple[Probe, ...] = ()
    reasons: tuple[str, ...] = ()
    looks: tuple[Look, ...] = ()
    ended: bool = False

    @property
    def passes(self) -> int:
        """Forward passes of pilot and search."""
        answers = (self.n_masks - self.n_pilot) * self.questions_per_mask
        return self.pilot_passes + self.gradient_passes + answers

    @property
    def gradient_passes(self) -> int:
        """Passes spent on gradients."""
        return SLOPE_PASSES * self.n_gradients

    @property
    def without_gradients(self) -> Allocation:
        """A search of as many passes that takes masks in place of gradients."""
        more = self.gradient_passes // self.questions_per_mask
        return replace(self, n_masks=self.n_masks + more, n_gradients=0)

    def said_of(self, earlier: Allocation) -> str:
        """Why the search of a smaller budget cannot be continued; empty if it can."""
        mine, its = ((a.keep, a.questions_per_mask, a.n_pilot) for a in (self, earlier))
        if mine == its:
            return ""
        return (
            f"with this budget keep is {mine[0]:g} with {mine[1]} questions per mask after a pilot "
            f"of {mine[2]} masks, no longer {its[0]:g}, {its[1]} and {its[2]}: the search starts "
            "anew"
        )

    def to_dict(self) -> dict[str, Any]:
        """As it stands in run.json."""
        return {
            **asdict(self),
            "probes": [asdict(one) for one in self.probes],
            "reasons": list(self.reasons),
            "looks": [asdict(one) for one in self.looks],
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Allocation:
        """Inverse of `to_dict`."""
        return cls(
            **{
                **content,
                "probes": tuple(Probe(**one) for one in content["probes"]),
                "reasons": tuple(content["reasons"]),
                "looks": tuple(Look(**one) for one in content["looks"]),
            }
        )


def allocate(
    plan: Plan,
    settings: Settings,
    judge: Judge,
    *,
    chance: float | None,
    costs: Callable[[], MaskCosts],
    own: str = "accuracy",
    gradients: bool = False,
    defaults: Defaults = ANSWERS,
) -> Allocation:
    """Choose what the settings leave open, by a pilot; print the reasons to standard error.

    Args:
        plan: sizes of the run.
        settings: of the run.
        judge: scores the pilot.
        chance: score of guessing; None for tasks without guessing.
        costs: of masks; called only if needed.
        own: the task's own metric.
        gradients: whether the search takes gradients too.
        defaults: what is chosen where the budget is too small for a pilot.
    """
    keep = None if settings.keep == "auto" else settings.keep
    per_mask = _asked(settings.questions_per_mask, plan.n_search)
    if keep is not None and per_mask is not None:
        return spend(plan, keep, per_mask, gradients=gradients)
    keeps = KEEPS if keep is None else (keep,)
    n_pilot = pilot_size(plan, len(keeps))
    if n_pilot == 0:
        keep, per_mask = keep or defaults.keep, per_mask or defaults.per_mask
        reason = (
            f"keep {keep:g} and {per_mask} questions a mask: a pilot that could choose them takes "
            f"a budget of {smallest_pilot(plan, len(keeps)):,} and some hundred masks"
        )
        found = spend(plan, keep, per_mask, gradients=gradients)
        return _reported(replace(found, reasons=(reason,)))
    probes = probe(
        judge, plan, keeps, n_pilot, metric=settings.metric or own, seed=settings.seed, own=own
    )
    reasons = []
    chosen = choose_keep(probes, chance=chance)
    if keep is None:
        reasons.append(_why_keep(chosen, probes, chance, own))
    if per_mask is None:
        known = costs()
        per_mask = best_count(known, chosen)
        reasons.append(_why_count(per_mask, known, chosen))
    spent = len(probes) * n_pilot * min(QUESTIONS, plan.n_search)
    found = spend(
        plan, chosen.keep, per_mask, n_pilot=n_pilot, pilot_passes=spent, gradients=gradients
    )
    return _reported(replace(found, probes=tuple(probes), reasons=tuple(reasons)))


def spend(
    plan: Plan,
    keep: float,
    per_mask: int,
    *,
    n_pilot: int = 0,
    pilot_passes: int = 0,
    gradients: bool = False,
) -> Allocation:
    """The allocation of the budget at this keep and number of questions."""
    left = plan.search_budget - pilot_passes
    n_gradients = gradients_within(left, min(per_mask, plan.n_search)) if gradients else 0
    left -= SLOPE_PASSES * n_gradients
    per_mask = max(1, min(per_mask, plan.n_search, left // FEWEST_MASKS))
    room = plan.most_masks - n_pilot
    others = min(left // per_mask, room)
    if others == room:
        # All possible masks are used: spend the rest of the budget on more questions each.
        per_mask = min(left // max(1, others), plan.n_search)
    return Allocation(
        keep, per_mask, n_pilot + others, n_pilot, min(QUESTIONS, plan.n_search), pilot_passes,
        min(n_gradients, _whole_blocks(others * per_mask)),
    )  # fmt: skip


def gradients_within(passes: int, per_mask: int) -> int:
    """Gradients of a search of so many passes after its pilot; none where few masks would be left.

    They come in whole blocks of the store, so that those of a larger search begin with those of a
    smaller one.
    """
    rows = _whole_blocks(min(MOST_GRADIENTS, int(GRADIENTS * passes) // SLOPE_PASSES))
    left = passes - SLOPE_PASSES * rows
    return rows if left >= FEWEST_MASKS * per_mask else 0


def _whole_blocks(rows: int) -> int:
    return rows - rows % SLOPE_BLOCK


def _asked(setting: int | str, n_search: int) -> int | None:
    if isinstance(setting, str):
        return n_search if setting == "all" else None
    return setting


def choose_keep(probes: Sequence[Probe], *, chance: float | None) -> Probe:
    """Of the keeps with nearly the largest variance between masks, the one with the best signal.

    Nothing can be learned where the model guesses, or where no mask hurts it: masks do not differ
    there. If it is at chance at all keeps, only the differences count. Without a chance score, the
    lowest score stands for it.
    """
    candidates = _working(probes, chance) or probes
    most = max(candidates, key=lambda one: one.between)
    good = [one for one in candidates if one.between >= NEARLY * most.between] or [most]
    return max(good, key=lambda one: one.signal)


def best_count(costs: MaskCosts, seen: Probe) -> int:
    """Questions per mask that give the smallest error at a given cost.

    The error variance of a mask's value is the variance the spectrum leaves unexplained plus its
    answers' noise; that of the coefficients is this over the number of masks. With one prompt
    prefix shared by all questions, the best count is sqrt(cost of starting a mask / cost of a
    question x variance within / variance unexplained).
    """
    # A variance estimate below its standard error is raised to it.
    doubt = seen.within / QUESTIONS * np.sqrt(2 / seen.masks)
    unexplained = UNEXPLAINED * max(seen.between, float(doubt), 1e-300)
    counts = np.arange(1, costs.n_questions + 1)
    error = unexplained + max(seen.within, 0.0) / counts
    return int(counts[np.argmin(error * costs.of_mask(counts))])


def _working(probes: Sequence[Probe], chance: float | None) -> list[Probe]:
    bottom = min(one.score for one in probes) if chance is None else chance
    least = bottom + WORKING * (max(one.score for one in probes) - bottom)
    return [one for one in probes if one.low > bottom and one.score >= least]


def _why_keep(chosen: Probe, probes: Sequence[Probe], chance: float | None, own: str) -> str:
    if chance is not None and not _working(probes, chance):
        best = max(probes, key=lambda one: one.score)
        return (
            f"keep {chosen.keep:g}: the model is at chance under all of the pilot's masks "
            f"({own} {best.score:.2f} at keep {best.keep:g}, chance {chance:.2f}); the "
            "search goes on, but will describe noise"
        )
    guessing = "" if chance is None else f" (chance {chance:.2f})"
    tried = ", ".join(f"{one.keep:g}" for one in probes)
    return (
        f"keep {chosen.keep:g}, chosen from {tried}: {own} is {chosen.score:.2f} under its "
        f"masks{guessing}, and which mask it is explains {chosen.signal:.0%} of the variance of "
        "answers"
    )


def _why_count(count: int, costs: MaskCosts, seen: Probe) -> str:
    return (
        f"{count} question{'s' * (count > 1)} a mask: starting a mask costs as much as "
        f"{costs.start():.2g} questions, and the variance of answers is {seen.within:.2g} within "
        f"masks and {seen.between:.2g} between them"
    )


def _reported(found: Allocation) -> Allocation:
    for reason in found.reasons:
        print(f"headspex: {reason}", file=sys.stderr)
    return found
