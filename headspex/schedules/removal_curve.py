"""The true values of a function as players are removed, in the orders of several methods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from headspex.engine.fit import ValueFunction
from headspex.engine.indices import shapley_of
from headspex.engine.search import Search
from headspex.players import Masks
from headspex.schedules.removal import DIRECTIONS, removal_order, removal_sets
from headspex.schedules.schedule import schedule_from_scores
from headspex.support.files import write_csv

COLUMNS = ("method", "n_removed", "value")
POINTS = 20  # of a curve of many players
EXACT_PLAYERS = 100  # with more, the best sets take minutes


class Order(Protocol):
    """Which players are gone at each size."""

    @property
    def n_players(self) -> int:
        """Columns of a mask."""

    def masks(self, n_pruned: Iterable[int], /) -> Masks:
        """The masks [sizes, players] with these numbers of players off."""


@dataclass(frozen=True)
class RemovalPoint:
    """The function's own value after `n_removed` removals."""

    method: str
    n_removed: int
    value: float


def removal_orders(search: Search, *, direction: str = "down", seed: int = 0) -> dict[str, Order]:
    """The orders by `removal_order`, by Shapley values, and by the LASSO on the same masks.

    With up to `EXACT_PLAYERS` players, "exact" holds the best set of each size on the curve.

    Raises:
        UsageError: an unknown direction.
    """
    spectrum = search.spectrum
    orders: dict[str, Order] = {"proxyspex": removal_order(spectrum, direction=direction)}
    if spectrum.n_players <= EXACT_PLAYERS:
        sizes = curve_sizes(spectrum.n_players)
        orders["exact"] = removal_sets(spectrum, sizes, direction=direction)
    towards = DIRECTIONS[direction]
    scores = {"shapley": shapley_of(spectrum), "lasso": shapley_of(search.lasso(seed=seed))}
    return orders | {name: schedule_from_scores(towards * x) for name, x in scores.items()}


def curve_sizes(n_players: int) -> list[int]:
    """0, 1, ... players removed, at most `POINTS` + 1 sizes, evenly spread."""
    points = min(n_players, POINTS)
    return [round(n_players * i / points) for i in range(points + 1)]


def removal_curves(
    value_function: ValueFunction, orders: Mapping[str, Order]
) -> list[RemovalPoint]:
    """The value at each of the `curve_sizes`; masks that several orders share are scored once."""
    sizes = curve_sizes(next(iter(orders.values())).n_players)
    masks = np.concatenate([order.masks(sizes) for order in orders.values()])
    different, place = np.unique(masks, axis=0, return_inverse=True)
    values = np.asarray(value_function(different))[place.reshape(-1)].tolist()
    named = [(method, size) for method in orders for size in sizes]
    return [RemovalPoint(*name, value) for name, value in zip(named, values, strict=True)]


def mean_values(points: Sequence[RemovalPoint]) -> dict[str, float]:
    """Each method's mean over all sizes above 0: the area under its curve."""
    inner = [point for point in points if point.n_removed > 0]
    methods = dict.fromkeys(point.method for point in points)
    return {m: float(np.mean([p.value for p in inner if p.method == m])) for m in methods}


def write_removal(path: Path, points: Sequence[RemovalPoint]) -> None:
    """The points as CSV."""
    write_csv(path, COLUMNS, [(p.method, p.n_removed, repr(p.value)) for p in points])
