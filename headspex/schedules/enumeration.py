"""The best players to remove, by enumerating all masks: for few players, or few removals."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, islice
from math import comb

import numpy as np
from jaxtyping import Bool

from headspex.engine.spectrum import Spectrum
from headspex.players import Masks
from headspex.schedules.constraints import Constraints
from headspex.schedules.local_search import LEAST

_AT_ONCE = 4096  # masks in memory
_PRODUCTS = 200_000_000  # masks x terms, at most: about two seconds on one core


def best_of_all(
    spectrum: Spectrum,
    n_pruned: int,
    constraints: Constraints,
    removed: Sequence[int],
    *,
    most: int,
) -> Bool[np.ndarray, " players"] | None:
    """The mask of the highest value; None if there are too many masks to enumerate, or none.

    Args:
        spectrum: predicts the value of a mask, the higher the better.
        n_pruned: players to remove.
        constraints: limits on the mask.
        removed: columns that are off in any case.
        most: masks to enumerate, at most; fewer for a spectrum of many terms.

    If values differ by rounding alone, the mask that removes the lower columns wins.
    """
    start = np.ones(spectrum.n_players, dtype=np.bool_)
    start[list(removed)] = False
    may_go = np.flatnonzero(start & constraints.free(start))
    left = n_pruned - int((~start).sum())
    count = comb(len(may_go), left) if left >= 0 else 0
    if not 0 < count <= min(most, _PRODUCTS // len(spectrum.terms)):
        return None
    values = np.empty(count)
    every = combinations(may_go.tolist(), left)
    for first in range(0, count, _AT_ONCE):
        masks = _without(start, list(islice(every, _AT_ONCE)))
        predicted = np.where(_allowed(constraints, masks), spectrum.predict(masks), -np.inf)
        values[first : first + _AT_ONCE] = predicted
    best = float(values.max())
    if best == -np.inf:
        return None
    tie = LEAST * float(np.abs(spectrum.coefficients).sum())
    chosen = int(np.flatnonzero(values >= best - tie)[0])
    again = combinations(may_go.tolist(), left)  # all of them at once would fill the memory
    mask: Bool[np.ndarray, " players"] = _without(start, [next(islice(again, chosen, None))])[0]
    return mask


def _without(start: Bool[np.ndarray, " players"], sets: Sequence[tuple[int, ...]]) -> Masks:
    masks = np.tile(start, (len(sets), 1))
    np.put_along_axis(masks, np.array(sets, dtype=np.int64), False, axis=1)
    return masks


def _allowed(constraints: Constraints, masks: Masks) -> Bool[np.ndarray, " masks"]:
    """`constraints.allows` for many masks."""
    lost = (~masks).astype(np.int64) @ constraints.members.T.astype(np.int64)
    return np.asarray((lost <= constraints.room).all(axis=1))
