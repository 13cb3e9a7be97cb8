"""What a function really does as players go, in the orders that several methods give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headspex.files import write_csv
from headspex.fit import ValueFunction
from headspex.removal import DIRECTIONS, removal_order, shapley_of
from headspex.schedule import Schedule, schedule_from_scores
from headspex.search import Search

COLUMNS = ("method", "n_removed", "value")
POINTS = 20  # of a curve of many players


@dataclass(frozen=True)
class RemovalPoint:
    """The function's own value after so many removals."""

    method: str
    n_removed: int
    value: float


def removal_orders(
    search: Search, *, direction: str = "down", seed: int = 0
) -> dict[str, Schedule]:
    """By `removal_order`, by the spectrum's Shapley values, by the LASSO on the same masks."""
    towards = DIRECTIONS[direction]
    scores = {"shapley": shapley_of(search.spectrum), "lasso": shapley_of(search.lasso(seed=seed))}
    return {
        "proxyspex": removal_order(search.spectrum, direction=direction),
        **{name: schedule_from_scores(towards * score) for name, score in scores.items()},
    }


def removal_curves(
    value_function: ValueFunction, orders: Mapping[str, Schedule], *, points: int = POINTS
) -> list[RemovalPoint]:
    """The value with 0, 1, ... players removed, at most `points` + 1 sizes evenly spread.

    Masks that several orders share are scored once.
    """
    n = next(iter(orders.values())).n_players
    sizes = (
        sorted({round(n * i / points) for i in range(points + 1)}) if n > points else range(n + 1)
    )
    masks = np.concatenate([order.masks(sizes) for order in orders.values()])
    different, place = np.unique(masks, axis=0, return_inverse=True)
    values = np.asarray(value_function(different))[place.reshape(-1)].tolist()
    named = [(method, size) for method in orders for size in sizes]
    return [RemovalPoint(*name, value) for name, value in zip(named, values, strict=True)]


def mean_values(points: Sequence[RemovalPoint]) -> dict[str, float]:
    """Each method's mean over the sizes above none: the area under its curve."""
    inner = [point for point in points if point.n_removed > 0]
    methods = dict.fromkeys(point.method for point in points)
    return {m: float(np.mean([p.value for p in inner if p.method == m])) for m in methods}


def write_removal(path: Path, points: Sequence[RemovalPoint]) -> None:
    """The points as CSV."""
    write_csv(path, COLUMNS, [(p.method, p.n_removed, repr(p.value)) for p in points])
