"""Which players to remove so that the output moves most: one after another, or the best set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headspex.engine.indices import shapley_of
from headspex.engine.spectrum import Spectrum
from headspex.errors import UsageError
from headspex.schedules.exact import NODES, BestSets, best_mask, best_sets
from headspex.schedules.program import RemovalProgram
from headspex.schedules.schedule import Schedule, prune_schedule, schedule_from_scores, with_values

DIRECTIONS = {"down": -1.0, "up": 1.0}


@dataclass(frozen=True)
class Removal:
    """A set of players, and what the spectrum predicts without it.

    Attributes:
        columns: ascending.
        change: predicted value without them minus that with all players.
        proven: whether no other set does better; if False, the search reached its limits.
    """

    columns: tuple[int, ...]
    change: float
    proven: bool


def removal_order(spectrum: Spectrum, *, direction: str = "down") -> Schedule:
    """The removal order that moves the mean prediction, over all sizes, the most.

    Three orders are tried: greedy from the whole set, which misses that two backups of each other
    are worth removing together; greedy backwards from the empty set, which finds it; and by Shapley
    values. The one with the lowest ("down") or highest ("up") mean prediction wins.

    Raises:
        UsageError: an unknown direction.
    """
    aim = _aim(spectrum, direction)
    candidates = [prune_schedule(aim, direction=way) for way in ("removal", "build-up")]
    by_shapley = schedule_from_scores(shapley_of(aim))
    candidates.append(with_values(by_shapley, aim))
    best = max(candidates, key=_total)
    return with_values(best, spectrum)


def removal_sets(
    spectrum: Spectrum, sizes: Sequence[int], *, direction: str = "down", nodes: int = NODES
) -> BestSets:
    """The best set of each size; unlike those of an order, they need not be nested.

    Raises:
        UsageError: a size outside 0..players, or an unknown direction.
    """
    for size in sizes:
        _check_size(size, spectrum.n_players)
    return best_sets(_aim(spectrum, direction), sizes, nodes=nodes)


def best_removal(
    spectrum: Spectrum, size: int, *, direction: str = "down", nodes: int = NODES
) -> Removal:
    """The `size` players whose removal moves the prediction most, see `headspex.schedules.exact`.

    Args:
        spectrum: predicts the value of a mask.
        size: players removed, exactly.
        direction: "down" or "up".
        nodes: of the search tree, at most.

    Raises:
        UsageError: a size outside 0..players, or an unknown direction.
    """
    _check_size(size, spectrum.n_players)
    aim = _aim(spectrum, direction)
    found = best_mask(aim, size, nodes=nodes)
    change = DIRECTIONS[direction] * (found.value - _whole(aim))
    return Removal(tuple(np.flatnonzero(~found.mask).tolist()), change, found.proven)


def smallest_removal(
    spectrum: Spectrum, change: float, *, direction: str = "down", nodes: int = NODES
) -> Removal | None:
    """The fewest players whose removal moves the prediction by `change`; None if no set does.

    Of the sets of this size it is the one that moves it most, as far as `best_removal` finds. It is
    `proven` if no smaller set suffices.

    Args:
        spectrum: predicts the value of a mask.
        change: the least size of the move, positive in either direction.
        direction, nodes: as in `best_removal`, for each size that is tried.

    Raises:
        UsageError: a change that is not positive, or an unknown direction.
    """
    if change <= 0:
        raise UsageError(f"change must be above 0, the size of the move, but is {change}")
    aim = _aim(spectrum, direction)
    program, least = RemovalProgram.of(aim), _whole(aim) + change
    proven = True
    for size in range(1, spectrum.n_players + 1):
        if program.loose_bound(size) < least:
            continue
        found = best_mask(aim, size, nodes=nodes)
        if found.value >= least:
            moved = DIRECTIONS[direction] * (found.value - _whole(aim))
            return Removal(tuple(np.flatnonzero(~found.mask).tolist()), moved, proven)
        proven = proven and found.value + found.gap < least
    return None


def _aim(spectrum: Spectrum, direction: str) -> Spectrum:
    """The spectrum with its sign chosen so that higher is better."""
    if direction not in DIRECTIONS:
        raise UsageError(f"direction is {' or '.join(DIRECTIONS)}, but got {direction!r}")
    return Spectrum.weighted_sum([(DIRECTIONS[direction], spectrum)])


def _whole(spectrum: Spectrum) -> float:
    return float(spectrum.predict(np.ones((1, spectrum.n_players), dtype=np.bool_))[0])


def _total(schedule: Schedule) -> float:
    assert schedule.values is not None
    return float(schedule.values.sum())


def _check_size(size: int, n_players: int) -> None:
    if not 0 <= size <= n_players:
        raise UsageError(f"a removal takes 0..{n_players} players, but size is {size}")
