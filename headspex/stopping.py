"""A search that looks at itself every so many passes, and ends when it explains enough.

The looks are at masks of their own: the fresh masks, on which the finished run is judged, take no
part in the choice of when to end.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits

from headspex.allocation import Allocation, Look
from headspex.block import BLOCK
from headspex.faithfulness import faithfulness
from headspex.fit import fit_spectrum
from headspex.judge import Judge
from headspex.plan import FEWEST_MASKS
from headspex.sample import Sample, draw_sample

if TYPE_CHECKING:
    from headspex.study import Study


def searched(
    study: Study, judge: Judge, allocation: Allocation, *, record: Callable[[Allocation], None]
) -> Allocation:
    """Search step by step; returns what the search has spent when it ended.

    Args:
        study: says how often to look, and what R² is enough.
        judge: scores.
        allocation: of the whole budget, with the looks that were had before the run was killed.
        record: keeps an allocation before the run goes on.
    """
    plan, settings = study.plan, study.settings
    if not plan.n_watched or allocation.ended:
        return allocation
    sample = draw_sample(plan, allocation, seed=settings.seed)
    known = {look.passes: look for look in allocation.looks}
    for masks, passes in steps(sample, plan.look_every):
        if passes not in known:
            known[passes] = _look(study, judge, sample, masks, passes)
        looks = tuple(known[key] for key in sorted(known))
        enough = settings.stop_at_faithfulness
        ended = enough is not None and known[passes].low > enough
        allocation = replace(allocation, looks=looks, ended=ended)
        if ended:
            reason = (
                f"the search ended early: after {passes:,} passes a spectrum had R² "
                f"{known[passes].r2:.3f} on {plan.n_watched} masks, its interval above {enough:g}"
            )
            allocation = replace(
                allocation, n_masks=masks, reasons=(*allocation.reasons, reason)
            )
            print(f"headspex: {reason}", file=sys.stderr)
        record(allocation)
        if ended:
            break
    return allocation


def steps(sample: Sample, every: int) -> Iterator[tuple[int, int]]:
    """After how many masks, and passes of the search, to look.

    Whole blocks are scored, and whole masks of them are used. There is no look at the end: the run
    itself is the last one.
    """
    ends = sample.ends
    wanted = every
    while wanted < ends[-1]:
        scored = sample.n_known + -(-(wanted - sample.n_known) // BLOCK) * BLOCK
        masks = int(ends.searchsorted(scored, side="right"))
        if masks >= len(ends):
            return
        if masks >= max(FEWEST_MASKS, 1) and scored > sample.n_known:
            yield masks, int(ends[masks - 1])
        wanted += every


def _look(study: Study, judge: Judge, sample: Sample, masks: int, passes: int) -> Look:
    from headspex.findings import search_scores

    settings = study.settings
    scores = search_scores(judge, sample.first(masks), settings.metric)
    raise NotImplementedError
