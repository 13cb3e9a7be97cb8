"""The mean gradient of the score by all players' gates, under masks of the search."""

from __future__ import annotations

import sys

import numpy as np
from jaxtyping import Float

from headspex.budget.sample import Sample
from headspex.errors import NoGradientError, RoomError
from headspex.gates.annealing import clipped
from headspex.scores.judge import Judge
from headspex.scores.store import ScoreStore
from headspex.setup import Setup


def mean_gradient(
    setup: Setup, judge: Judge, sample: Sample, rows: int, *, store: ScoreStore | None
) -> Float[np.ndarray, " players"] | None:
    """The change of the score when a player's gate opens, averaged over the first rows asked.

    Where a mask broke the ability, a row's gradient can be ten to forty times the median one. So
    no row counts for more than the median one.

    Args:
        setup: of the run, whose metric it is.
        judge: takes gradients.
        sample: of the run; the rows follow those of its pilot.
        rows: number of gradients.
        store: keeps the gradients; None if the run takes none.

    Returns:
        None if the run takes none; also, with a notice, if memory is too small or the metric has no
        gradient.
    """
    if not rows or store is None:
        return None
    chosen = slice(sample.n_known, sample.n_known + rows)
    try:
        with setup.timed("gradients"):
            off = judge.slopes(
                sample.masks[sample.row[chosen]], sample.search[sample.asked[chosen]],
                metric=setup.metric, store=store, what="gradients",
            )  # fmt: skip
    except (RoomError, NoGradientError) as error:
        print(f"headspex: fitting without gradients, as {error}", file=sys.stderr)
        return None
    return np.asarray(-clipped(off, float(np.median(np.linalg.norm(off, axis=1)))).mean(axis=0))
