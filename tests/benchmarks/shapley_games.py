"""Twenty games whose Shapley values are known exactly: by enumeration, by formula, by trees.

A tree's game has one baseline: a feature that is off shows the baseline's value. A leaf is then
reached if all of one set of features are on and all of another are off, and the Shapley values of
such a game are known (Lundberg et al. 2020, interventional TreeSHAP with one background sample).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import comb
from typing import Any

import numpy as np
from games import accuracy, and_or_heads, complete_hierarchy, hierarchy

from headspex.engine.spectrum import Spectrum


@dataclass(frozen=True)
class ShapleyGame:
    """A value function and its Shapley values."""

    n_players: int
    function: Callable[[np.ndarray], np.ndarray]
    shapley: np.ndarray


def all_masks(n: int) -> np.ndarray:
    return (np.arange(2**n, dtype=np.int64)[:, None] >> np.arange(n) & 1).astype(bool)


def by_enumeration(values: np.ndarray, n: int) -> np.ndarray:
    """Shapley's formula, summed over all 2^n masks."""
    sizes = np.bitwise_count(np.arange(2**n, dtype=np.uint64)).astype(int)
    gain = np.array([1 / (n * comb(n - 1, k)) for k in range(n)] + [0.0])
    loss = np.array([0.0] + [1 / (n * comb(n - 1, k - 1)) for k in range(1, n + 1)])
    found = np.empty(n)
    for i in range(n):
        on = (np.arange(2**n) >> i & 1).astype(bool)
        found[i] = loss[sizes[on]] @ values[on] - gain[sizes[~on]] @ values[~on]
    return found


def enumerated(function: Callable[[np.ndarray], np.ndarray], n: int) -> ShapleyGame:
    """A game of few players; its values are looked up afterwards."""
    masks = all_masks(n)
    values = np.concatenate([function(masks[i : i + 8192]) for i in range(0, len(masks), 8192)])
    powers = 1 << np.arange(n)
    return ShapleyGame(n, lambda m: values[m @ powers], by_enumeration(values, n))


def of_spectrum(spectrum: Spectrum) -> ShapleyGame:
    found = np.zeros(spectrum.n_players)
    for (i,), value in spectrum.interactions("shapley").items():
        found[i] = value
    return ShapleyGame(spectrum.n_players, spectrum.predict, found)


def tree_game(model: Any, trees: list[Any], scale: float, x: np.ndarray, baseline: np.ndarray,
              predict: Callable[[np.ndarray], np.ndarray]) -> ShapleyGame:  # fmt: skip
    """The game of a sum of scikit-learn trees times `scale`."""
    shapley = np.zeros(len(x))
    for tree in trees:
        _leaf_shares(tree.tree_, x, baseline, scale, shapley)
    return ShapleyGame(len(x), lambda m: predict(np.where(m, x, baseline)), shapley)


def _leaf_shares(
    tree: Any, x: np.ndarray, base: np.ndarray, scale: float, into: np.ndarray
) -> None:
    stack: list[tuple[int, frozenset[int], frozenset[int]]] = [(0, frozenset(), frozenset())]
    while stack:
        node, on, off = stack.pop()
        left, right = tree.children_left[node], tree.children_right[node]
        if left == -1:
            a, b, value = len(on), len(off), scale * float(tree.value[node].ravel()[0])
            if a:
                into[list(on)] += value / (a * comb(a + b, a))
            if b:
                into[list(off)] -= value / (b * comb(a + b, b))
            continue
        i, cut = int(tree.feature[node]), tree.threshold[node]
        # The trees compare in float32.
        x_child = left if np.float32(x[i]) <= cut else right
        base_child = left if np.float32(base[i]) <= cut else right
        if x_child == base_child:
            stack.append((x_child, on, off))
            continue
        if i not in off:
            stack.append((x_child, on | {i}, off))
        if i not in on:
            stack.append((base_child, on, off | {i}))


@cache
def _forest() -> tuple[Any, np.ndarray]:
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import RandomForestRegressor

    x, y = load_breast_cancer(return_X_y=True)
    return RandomForestRegressor(40, max_depth=8, random_state=0, n_jobs=1).fit(x, y), x


@cache
def _boosted() -> tuple[Any, np.ndarray]:
    from sklearn.datasets import load_digits
    from sklearn.ensemble import GradientBoostingRegressor

    x, y = load_digits(return_X_y=True)
    model = GradientBoostingRegressor(n_estimators=120, max_depth=4, random_state=0)
    return model.fit(x, (y == 8).astype(float)), x


def forest_game(row: int, other: int) -> ShapleyGame:
    model, x = _forest()
    trees = list(model.estimators_)
    return tree_game(model, trees, 1 / len(trees), x[row], x[other], model.predict)


def boosted_game(row: int, other: int) -> ShapleyGame:
    model, x = _boosted()
    trees = [t for t in model.estimators_.ravel()]
    return tree_game(model, trees, model.learning_rate, x[row], x[other], model.predict)


def network(n: int, seed: int) -> ShapleyGame:
    """A random network with one hidden layer."""
    rng = np.random.default_rng(seed)
    inner = rng.normal(size=(n, 24)) * rng.exponential(1, (n, 1)) / np.sqrt(n) * 2
    bias, outer = rng.normal(size=24), rng.normal(size=24)
    return enumerated(lambda m: np.tanh(m @ inner + bias - inner.sum(0) / 2) @ outer, n)


def valuation(n: int, seed: int) -> ShapleyGame:
    """Margin of a digit under ridge trained on a subset of n digits."""
    from sklearn.datasets import load_digits

    from headspex.data import TrainingValue

    x, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(seed)
    order = rng.permutation(np.flatnonzero((y == 3) | (y == 8) | (y == 9)))
    train, test = order[:n], order[n : n + 1]
    return enumerated(TrainingValue(x[train] / 16, y[train], x[test] / 16, y[test]), n)


def and_or(n: int, seed: int) -> ShapleyGame:
    """Shapley values by symmetry: the players of a pair or triple share what it adds."""
    game = and_or_heads(n, seed=seed)
    eye = np.eye(n, dtype=bool)
    full = np.ones((1, n), dtype=bool)
    # A player is in one group beside its slope: what it adds first and what it adds last.
    first = game.function(eye) - game.function(~full)
    last = game.function(full) - game.function(~eye)
    size = np.array([len(_partners(game.planted, i)) for i in range(n)])
    both = np.where(size == 3, first * 1 / 3 + last * 2 / 3, (first + last) / 2)
    return ShapleyGame(n, game.function, both)


def _partners(planted: Any, i: int) -> set[int]:
    return {j for term in planted if i in term for j in term}


def hierarchical(n: int, seed: int) -> ShapleyGame:
    return _same(hierarchy(n, seed=seed).function, n)


def _same(predict: Any, n: int) -> ShapleyGame:
    return of_spectrum(predict.__self__)


SHAPLEY_GAMES: dict[str, Callable[[], ShapleyGame]] = {
    "spectrum20": lambda: hierarchical(20, 0),
    "spectrum64a": lambda: hierarchical(64, 0),
    "spectrum64b": lambda: hierarchical(64, 1),
    "spectrum100": lambda: hierarchical(100, 0),
    "complete64": lambda: _same(complete_hierarchy(64).function, 64),
    "andor60": lambda: and_or(60, 0),
    "andor96": lambda: and_or(96, 1),
    "accuracy16": lambda: enumerated(accuracy(16, keep=0.5).function, 16),
    "accuracy18": lambda: enumerated(accuracy(18, keep=0.5, seed=1).function, 18),
    "network16": lambda: network(16, 0),
    "network18": lambda: network(18, 1),
    "network20": lambda: network(20, 2),
    "training16": lambda: valuation(16, 0),
    "training18": lambda: valuation(18, 1),
    "training20": lambda: valuation(20, 2),
    "forest30a": lambda: forest_game(0, 20),
    "forest30b": lambda: forest_game(100, 60),
    "forest30c": lambda: forest_game(19, 5),
    "boosted64a": lambda: boosted_game(8, 0),
    "boosted64b": lambda: boosted_game(18, 13),
}
