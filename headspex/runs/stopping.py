"""Early stopping: measure R² at regular looks during the search, and stop when it is enough.

Looks use masks of their own, so that the fresh masks on which the finished run is judged do not
influence when it stops.

Repeated looks find a good result by luck. So the bounds of each look are wide enough that those of
all looks hold at once in 95 % of searches.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from scipy.stats import norm

from headspex.budget.allocation import Allocation, Look
from headspex.budget.plan import FEWEST_MASKS
from headspex.budget.sample import Sample, draw_sample
from headspex.engine.faithfulness import Faithfulness, faithfulness
from headspex.engine.fit import fit_spectrum
from headspex.runs.findings import search_scores
from headspex.scores.block import BLOCK
from headspex.scores.judge import Judge
from headspex.scores.spread import sampled_values
from headspex.setup import Setup

MISSES = 0.05  # probability that the bounds of any look of a search fail


def searched(
    setup: Setup,
    judge: Judge,
    allocation: Allocation,
    *,
    record: Callable[[Allocation], None],
    gradient: Float[np.ndarray, " players"] | None = None,
) -> Allocation:
    """Search, look by look; returns the allocation with which the search ended.

    Args:
        setup: with the distance between looks, and the R² that is enough.
        judge: scores masks.
        allocation: of the whole budget, or the last one recorded.
        record: stores an allocation before the run continues.
        gradient: the mean gradient of the metric, from which every fit starts; or None.
    """
    plan, settings = setup.plan, setup.settings
    if not plan.look_step or allocation.ended:
        return allocation
    sample = draw_sample(plan, allocation, seed=settings.seed)
    done = {look.passes for look in allocation.looks}
    for masks, scored in steps(sample, plan.look_step):
        passes = int(sample.ends[masks - 1])
        if passes in done:
            continue
        found = search_scores(judge, sample, [setup.metric], passes=scored)
        scores = found[setup.metric][:passes]
        look = _look(setup, judge, sample, scores, gradient, number=len(allocation.looks) + 1)
        allocation = replace(allocation, looks=(*allocation.looks, look))
        enough = settings.stop_at_faithfulness
        if enough is not None and look.low is not None and look.low > enough:
            reason = (
                f"the search ended early, after {passes:,} passes: R² {look.r2:.3f} "
                f"[{look.low:.3f}, {look.high:.3f}] on {plan.n_watched} masks is above {enough:g} "
                f"(95 % for all looks together)"
            )
            reasons = (*allocation.reasons, reason)
            allocation = replace(allocation, n_masks=masks, reasons=reasons, ended=True)
            print(f"headspex: {reason}", file=sys.stderr)
        record(allocation)
        if allocation.ended:
            break
    return allocation


def steps(sample: Sample, every: int) -> Iterator[tuple[int, int]]:
    """The looks: number of masks, and of scored passes, which end with a whole block.

    There is no look at the end of the search, where the run itself is judged.
    """
    ends = sample.ends
    for passes in range(every, int(ends[-1]), every):
        blocks = -(-max(0, passes - sample.n_known) // BLOCK)
        scored = sample.n_known + blocks * BLOCK
        masks = int(ends.searchsorted(scored, side="right"))
        if blocks and FEWEST_MASKS <= masks < len(ends):
            yield masks, scored


def level(number: int) -> float:
    """Confidence level of a look, such that all looks together have 95 %.

    The k-th look may miss with .05 / (k (k + 1)), which sums to .05 over any number of looks (alpha
    spending; Lan & DeMets, Biometrika 1983), so a larger budget changes no earlier look.

    Args:
        number: of the look, counted from 1.
    """
    return 1 - MISSES / (number * (number + 1))


def widened(found: Faithfulness, level: float) -> Faithfulness:
    """The same R² with bounds of another level: log(1 - R²) is taken to be normal."""
    if found.low >= 1:
        return found
    by = float(norm.ppf((1 + level) / 2) / norm.ppf(0.975))
    left, most, least = (1 - x for x in (found.r2, found.low, found.high))
    if left <= 0 or least <= 0:  # bounds that reach 1 stay there
        return replace(found, low=1 - most**by)
    return replace(found, low=1 - left * (most / left) ** by, high=1 - left * (least / left) ** by)


def _look(
    setup: Setup,
    judge: Judge,
    sample: Sample,
    scores: Float[np.ndarray, " passes"],
    gradient: Float[np.ndarray, " players"] | None,
    *,
    number: int,
) -> Look:
    settings = setup.settings
    data = sample.observed(scores)
    with setup.timed("looks"):
        spectrum = fit_spectrum(
            data.masks, data.values, keep=sample.keep, weights=data.weights, gradient=gradient,
            seed=settings.seed, threads=settings.threads,
        )  # fmt: skip
    answers = judge.ask(
        sample.watched, sample.watched_search, metrics=[setup.metric], what="watched masks"
    )[setup.metric]
    predicted = spectrum.predict(sample.watched)
    measured = sampled_values(
        answers, sample.watched_search, len(sample.search), expected=predicted
    )
    found = faithfulness(measured, predicted, seed=settings.seed)
    if found is None:
        return Look(len(scores), None, None, None)
    found = widened(found, level(number))
    setup.watch.faithfulness({"passes": len(scores), **found.to_dict()})
    print(f"headspex: R² {found} after {len(scores):,} passes of search", file=sys.stderr)
    return Look(len(scores), found.r2, found.low, found.high)
