"""The best set of players to remove, at a given size.

Exact if all masks can be enumerated, or if the solver finishes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from headspex.engine.spectrum import Spectrum
from headspex.errors import UsageError
from headspex.players import Masks
from headspex.schedules.constraints import Constraints
from headspex.schedules.enumeration import best_of_all
from headspex.schedules.local_search import exchanged
from headspex.schedules.program import RemovalProgram, size_rows
from headspex.schedules.schedule import greedy_mask

MASKS = 200_000  # enumerated, at most; fewer for spectra of many terms
NODES = 500  # of the search tree, at most: a time limit would make masks depend on the machine
PRODUCTS = 1_500  # in one program, at most: a single relaxation of a larger one takes minutes
_PROVEN = 1e-6  # of the largest coefficient: closer bounds are the solver's rounding


@dataclass(frozen=True, eq=False)
class Optimum:
    """The best mask found, and how much better another could be.

    Attributes:
        mask: True = the player stays on.
        value: predicted by the spectrum.
        gap: no mask of this size is better by more than this, in the unit of the value.
        proven: whether no mask is better.
    """

    mask: Bool[np.ndarray, " players"]
    value: float
    gap: float
    proven: bool


@dataclass(frozen=True, eq=False)
class BestSets:
    """The best mask of each size; unlike a schedule's, they need not be nested."""

    n_players: int
    optima: dict[int, Optimum]

    def masks(self, n_pruned: Iterable[int]) -> Masks:
        """The masks [sizes, players] with these numbers of players off.

        Raises:
            UsageError: a size that was not searched.
        """
        sizes = list(n_pruned)
        if absent := [size for size in sizes if size and size not in self.optima]:
            raise UsageError(
                f"best sets are known for {sorted(self.optima)} players removed, not {absent[0]}"
            )
        whole = np.ones(self.n_players, dtype=np.bool_)
        return np.stack([self.optima[size].mask if size else whole for size in sizes])


def best_sets(
    spectrum: Spectrum,
    sizes: Sequence[int],
    *,
    constraints: Constraints | None = None,
    nested: bool = False,
    nodes: int = NODES,
) -> BestSets:
    """The best mask of each size.

    Args:
        spectrum: predicts the value of a mask, the higher the better.
        sizes: numbers of players removed.
        constraints: limits on every mask.
        nested: whether players removed at one size stay removed at the larger ones; each mask is
            then the best that its predecessor allows.
        nodes: of the solver's search tree, for each size.

    Raises:
        UsageError: a size that the constraints do not allow.
    """
    optima: dict[int, Optimum] = {}
    removed: list[int] = []
    for size in sorted(set(sizes) - {0}):
        optima[size] = best_mask(
            spectrum, size, constraints=constraints, removed=removed, nodes=nodes
        )
        if nested:
            removed = np.flatnonzero(~optima[size].mask).tolist()
    return BestSets(spectrum.n_players, optima)


def best_mask(
    spectrum: Spectrum,
    n_pruned: int,
    *,
    constraints: Constraints | None = None,
    removed: Iterable[int] = (),
    masks: int = MASKS,
    nodes: int = NODES,
) -> Optimum:
    """The mask with `n_pruned` players off whose predicted value is highest.

    If there are few masks, all are enumerated. Otherwise greedy removal and exchanges give a
    starting mask, and an integer program may improve on it. If the solver does not finish within
    its limits, the better of the two masks is returned, with the remaining gap.

    Args:
        spectrum: predicts the value of a mask, the higher the better.
        n_pruned: players to remove.
        constraints: limits on the mask.
        removed: columns that are off in any case.
        masks: to enumerate, at most; 0 skips enumeration.
        nodes: of the solver's search tree; 0 skips the program.

    Raises:
        UsageError: fewer removals than `removed`, or more than the constraints allow.
    """
    constraints = constraints or Constraints(spectrum.n_players)
    forced = sorted(set(removed))
    best = best_of_all(spectrum, n_pruned, constraints, forced, most=masks)
    if best is not None:
        return Optimum(best, _value(spectrum, best), gap=0.0, proven=True)
    start = greedy_mask(spectrum, n_pruned, constraints=constraints, removed=forced)
    mask = exchanged(spectrum, start, constraints, removed=forced)
    value = _value(spectrum, mask)
    program = RemovalProgram.of(spectrum)
    bound = program.loose_bound(n_pruned)
    if nodes > 0 and len(program.products) <= PRODUCTS:
        found, solved = program.maximise(size_rows(constraints, n_pruned, forced), nodes=nodes)
        bound = min(bound, solved)
        if found is not None and _value(spectrum, found) > value:
            mask, value = found, _value(spectrum, found)
    gap = max(0.0, bound - value)
    proven = gap <= _PROVEN * program.scale
    return Optimum(mask, value, 0.0 if proven else gap, proven)


def _value(spectrum: Spectrum, mask: Bool[np.ndarray, " players"]) -> float:
    return float(spectrum.predict(mask[None])[0])
