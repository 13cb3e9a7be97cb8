"""Which players to remove so that the output moves most: one after another, or the best set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from headspex.errors import UsageError
from headspex.schedule import Schedule, prune_schedule, schedule_from_scores, with_values
from headspex.spectrum import Spectrum
from headspex.terms import substitute

DIRECTIONS = {"down": -1.0, "up": 1.0}
NODES = 20_000  # of the search tree; a limit on nodes repeats where one on seconds would not
_NEGLIGIBLE = 1e-9  # share of all products' size below which they are rounding


@dataclass(frozen=True)
class Removal:
    """A set of players, and what the spectrum predicts without it.

    Attributes:
        columns: ascending.
        change: predicted value without them less that with all players.
        proven: whether no other set does better; otherwise the search met its limit.
    """

    columns: tuple[int, ...]
    change: float
    proven: bool


def removal_order(spectrum: Spectrum, *, direction: str = "down") -> Schedule:
    """Players in an order whose removal moves the prediction far, soon and for long.

    Three orders are tried: greedy from the whole set, which does not see that two backups of each
    other are worth removing together; greedy backwards from the empty set, which does; and by
    Shapley values. The one with the lowest ("down") or highest ("up") mean prediction wins.

    Raises:
        UsageError: an unknown direction.
    """
    towards = _sign(direction)
    aim = Spectrum.weighted_sum([(towards, spectrum)])
    candidates = [prune_schedule(aim, direction=way) for way in ("removal", "build-up")]
    by_shapley = schedule_from_scores(shapley_of(aim))
    candidates.append(with_values(by_shapley, aim))
    best = max(candidates, key=_total)
    return with_values(best, spectrum)


def shapley_of(spectrum: Spectrum) -> Float[np.ndarray, " players"]:
    """Shapley values of a spectrum."""
    found = np.zeros(spectrum.n_players)
    for (player,), value in spectrum.interactions("shapley").items():
        found[player] = value
    return found


def best_removal(
    spectrum: Spectrum, size: int, *, direction: str = "down", nodes: int = NODES
) -> Removal:
    """The `size` players whose removal moves the prediction most: an integer program.

    Args:
        spectrum: predicts the value of a mask.
        size: players removed, exactly.
        direction: "down" or "up".
        nodes: of the search tree, at most.

    Raises:
        UsageError: a size outside 0..players, or an unknown direction.
    """
    if not 0 <= size <= spectrum.n_players:
        raise UsageError(f"a removal takes 0..{spectrum.n_players} players, but size is {size}")
    program = _Program(spectrum, _sign(direction))
    order = removal_order(spectrum, direction=direction)
    return program.best(size, order, nodes)


def smallest_removal(
    spectrum: Spectrum, change: float, *, direction: str = "down", nodes: int = NODES
) -> Removal | None:
    """The fewest players whose removal moves the prediction by `change`; None where none do.

    Of the sets of this size it is the one that moves it most. It is `proven` if all smaller sizes
    are.

    Args:
        spectrum: predicts the value of a mask.
        change: by how much, positive in either direction.
        direction, nodes: as in `best_removal`, for each size that is tried.

    Raises:
        UsageError: a change that is not positive, or an unknown direction.
    """
    if change <= 0:
        raise UsageError(f"change says by how much the value moves, above 0, but is {change}")
    towards = _sign(direction)
    program = _Program(spectrum, towards)
    order = removal_order(spectrum, direction=direction)
    proven = True
    for size in range(1, spectrum.n_players + 1):
        if program.bound(size) < change:
            continue
        found = program.best(size, order, nodes)
        proven = proven and found.proven
        if towards * found.change >= change:
            return Removal(found.columns, found.change, proven)
    return None


class _Program:
    """maximise sum_S gain_S prod_{i in S} x_i over sets x of removed players of one size.

    A product is a variable y: below each of its x where more is better, above their sum less
    |S| - 1 where less is.
    """

    def __init__(self, spectrum: Spectrum, towards: float) -> None:
        keep = spectrum.keep
        scale = np.sqrt(keep * (1 - keep))
        # chi = (p - m) / s with m = 1 - x.
        blocks = substitute(spectrum.blocks, (keep - 1) / scale, 1 / scale, spectrum.n_players)
        self.spectrum, self.towards = spectrum, towards
        self.alone = np.zeros(spectrum.n_players)
        self.products: list[tuple[tuple[int, ...], float]] = []
        total = sum(float(np.abs(block.coefficients).sum()) for block in blocks if block.order)
        for block in blocks:
            gains = towards * block.coefficients
            if block.order == 1:
                self.alone[block.columns[:, 0]] = gains
            elif block.order > 1:
                strong = np.abs(gains) > _NEGLIGIBLE * total
                terms = [term for term, on in zip(block.terms(), strong, strict=True) if on]
                self.products += zip(terms, gains[strong].tolist(), strict=True)

    def bound(self, size: int) -> float:
        """No set of this size does better: harmful products left out, each gain counted at once."""
        per_player = self.alone.copy()
        for term, gain in self.products:
            if gain > 0 and len(term) <= size:
                per_player[list(term)] += gain / len(term)
        return float(np.sort(per_player)[::-1][:size].sum())

    def best(self, size: int, order: Schedule, nodes: int) -> Removal:
        """By integer program; the set of the order where that is as good."""
        greedy = tuple(sorted(order.order[:size]))
        found, proven = self._solve(size, nodes)
        candidates = [greedy] if found is None else [greedy, found]
        changes = [self._change(columns) for columns in candidates]
        chosen = int(np.argmax(self.towards * np.array(changes)))
        return Removal(candidates[chosen], changes[chosen], proven)

    def _change(self, columns: Iterable[int]) -> float:
        masks: Bool[np.ndarray, "masks players"] = np.ones((2, self.spectrum.n_players), np.bool_)
        masks[1, list(columns)] = False
        whole, without = self.spectrum.predict(masks)
        return float(without - whole)

    def _solve(self, size: int, nodes: int) -> tuple[tuple[int, ...] | None, bool]:
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import coo_array

        n, k = self.spectrum.n_players, len(self.products)
        rows: list[int] = [0] * n
        columns: list[int] = list(range(n))
        entries: list[float] = [1.0] * n
        highest: list[float] = [float(size)]
        for y, (term, gain) in enumerate(self.products, start=n):
            if gain > 0:  # y - x_i <= 0
                for i in term:
                    rows += [len(highest)] * 2
                    columns += [y, i]
                    entries += [1.0, -1.0]
                    highest.append(0.0)
            else:  # sum x - y <= |S| - 1
                rows += [len(highest)] * (len(term) + 1)
                columns += [*term, y]
                entries += [1.0] * len(term) + [-1.0]
                highest.append(len(term) - 1.0)
        lowest = np.full(len(highest), -np.inf)
        lowest[0] = size
        table = coo_array((entries, (rows, columns)), shape=(len(highest), n + k)).tocsr()
        gains = np.concatenate([self.alone, [gain for _, gain in self.products]])
        result: Any = milp(
            -gains / max(1e-300, float(np.abs(gains).max(initial=0.0))),
            integrality=np.concatenate([np.ones(n), np.zeros(k)]),
            bounds=Bounds(0, 1),
            constraints=LinearConstraint(table, lowest, np.array(highest)),
            options={"node_limit": nodes, "mip_rel_gap": 0.0},
        )
        if result.x is None:
            return None, False
        return tuple(np.flatnonzero(result.x[:n] > 0.5).tolist()), result.status == 0


def _total(schedule: Schedule) -> float:
    assert schedule.values is not None
    return float(schedule.values.sum())


def _sign(direction: str) -> float:
    if direction not in DIRECTIONS:
        raise UsageError(f"direction is {' or '.join(DIRECTIONS)}, but got {direction!r}")
    return DIRECTIONS[direction]
