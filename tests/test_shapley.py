"""Shapley values from few evaluations."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headspex.engine.search import all_masks
from headspex.engine.shapley import PAIRED_FROM, shapley_masks, shapley_values
from headspex.errors import UsageError


def by_permutations(value: np.ndarray, n: int) -> np.ndarray:
    """The mean gain over all n! orders."""
    from itertools import permutations

    gains = np.zeros(n)
    orders = list(permutations(range(n)))
    for order in orders:
        seen = 0
        for player in order:
            gains[player] += value[seen | 1 << player] - value[seen]
            seen |= 1 << player
    return gains / len(orders)


def test_all_masks_give_the_mean_over_all_permutations() -> None:
    table = np.random.default_rng(0).normal(size=2**5)
    found = shapley_values(lambda m: table[m @ (1 << np.arange(5))], 5, budget=32)
    assert found.exact
    assert np.allclose(found.values, by_permutations(table, 5))


@settings(max_examples=40)
@given(n=st.integers(2, 70), budget=st.integers(3, 300), seed=st.integers(0, 99))
def test_masks_are_different_within_budget_and_hold_both_ends(
    n: int, budget: int, seed: int
) -> None:
    masks = shapley_masks(n, budget, seed=seed)
    assert len(masks) <= budget
    assert len(np.unique(masks, axis=0)) == len(masks)
    assert masks.all(axis=1).any()
    assert (~masks).all(axis=1).any()


@settings(max_examples=20)
@given(n=st.integers(5, 40), seed=st.integers(0, 99))
def test_with_enough_masks_each_comes_with_its_opposite(n: int, seed: int) -> None:
    masks = shapley_masks(n, round(2 * PAIRED_FROM * n), seed=seed)
    rows = {row.tobytes() for row in masks}
    assert all((~row).tobytes() in rows for row in masks)


def test_players_are_on_together_as_often_as_apart_in_the_first_pairs() -> None:
    # The pair of both ends comes first, then those of a whole Hadamard matrix.
    signs = np.where(shapley_masks(16, 34)[1:17], 1.0, -1.0)
    assert np.array_equal(signs.T @ signs, 16 * np.eye(16))


def test_later_pairs_see_all_players_alike_and_small_sets_often() -> None:
    first = shapley_masks(40, 400)[41:200]
    small = np.where(first.sum(axis=1, keepdims=True) > 20, ~first, first)
    seen = small.sum(axis=0)
    # Sets that repeat others were dropped; drawn at random, players would differ by some 20.
    assert seen.max() - seen.min() <= 10
    # Of sizes drawn evenly, a quarter would be 5 or less.
    assert (small.sum(axis=1) <= 5).mean() > 0.4


def test_few_masks_walk_from_one_player_to_all_but_one() -> None:
    masks = shapley_masks(10, 11)
    sizes = sorted(masks.sum(axis=1).tolist())
    assert sizes == list(range(11))
    order = masks[np.argsort(masks.sum(axis=1))]
    assert (order[:-1] <= order[1:]).all()


@settings(max_examples=10)
@given(seed=st.integers(0, 999))
def test_an_additive_game_is_found_from_little_more_than_two_masks_a_player(seed: int) -> None:
    slopes = np.random.default_rng(seed).normal(size=20)
    found = shapley_values(lambda m: m @ slopes, 20, budget=66, seed=seed)
    assert np.abs(found.values - slopes).max() < 0.02 * np.abs(slopes).max()


def test_values_add_up_to_what_all_players_add() -> None:
    rng = np.random.default_rng(1)
    inner, outer = rng.normal(size=(18, 6)), rng.normal(size=6)

    def value(masks: np.ndarray) -> np.ndarray:
        return np.asarray(np.tanh(masks @ inner) @ outer)

    found = shapley_values(value, 18, budget=60)
    ends = value(np.array([[True] * 18, [False] * 18]))
    assert np.isclose(found.values.sum(), ends[0] - ends[1])
    assert found.n_evaluations == 60


def test_interactions_of_pairs_do_not_blur_the_values() -> None:
    # Every pair interacts, and half of each pair's worth is each player's.
    n = 24
    rng = np.random.default_rng(2)
    pairs = np.triu(rng.normal(size=(n, n)), 1)
    truth = (pairs.sum(axis=0) + pairs.sum(axis=1)) / 2
    found = shapley_values(
        lambda m: np.einsum("mi,ij,mj->m", m * 1.0, pairs, m * 1.0), n, budget=110
    )
    assert np.square(found.values - truth).sum() < 0.02 * np.square(truth).sum()


def test_a_constant_function_has_no_shapley_values() -> None:
    found = shapley_values(lambda m: np.ones(len(m)), 20, budget=50)
    assert not found.values.any()


def test_equal_seeds_give_equal_bytes_and_others_other_masks() -> None:
    table = np.random.default_rng(3).normal(size=30)
    one, two = (shapley_values(lambda m: m @ table, 30, budget=90, seed=4) for _ in range(2))
    assert one.values.tobytes() == two.values.tobytes()
    assert not np.array_equal(shapley_masks(30, 90, seed=4), shapley_masks(30, 90, seed=5))


def test_the_largest_values_come_first() -> None:
    table = np.array([0.5, -3.0, 0.0, 2.0])
    found = shapley_values(lambda m: m @ table, 4, budget=16)
    assert found.top(3) == (1, 3, 0)

    assert found.top(0) == ()
    with pytest.raises(UsageError, match="count must be a whole number, 0 or more, but is -1"):
        found.top(-1)


@pytest.mark.parametrize(
    ("players", "budget", "seed", "words"),
    [
        (0, 10, 0, "n_players must be a whole number, 1 or more, but is 0"),
        (5, 2, 0, "budget of Shapley values must be a whole number, 3 or more, but is 2"),
        (10, 90.5, 0, r"but is 90\.5"),
        (10, 90, -1, "seed must be a whole number, 0 to .* but is -1"),
    ],
)
def test_what_is_no_count_or_seed_is_refused(
    players: int, budget: Any, seed: int, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        shapley_values(lambda m: np.zeros(len(m)), players, budget=budget, seed=seed)


def test_a_value_function_of_another_shape_is_refused() -> None:
    with pytest.raises(UsageError, match="one number per mask"):
        shapley_values(lambda m: np.zeros((len(m), 2)), 20, budget=40)


def test_the_tree_formula_of_the_benchmark_agrees_with_enumeration() -> None:
    import importlib.util
    import sys
    from pathlib import Path

    from sklearn.ensemble import RandomForestRegressor

    folder = Path(__file__).parent / "benchmarks"
    sys.path.insert(0, str(folder))
    try:
        spec = importlib.util.spec_from_file_location("games_", folder / "shapley_games.py")
        assert spec is not None
        assert spec.loader is not None
        games = importlib.util.module_from_spec(spec)
        sys.modules["games_"] = games  # its dataclass looks itself up
        spec.loader.exec_module(games)
    finally:
        sys.path.remove(str(folder))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 8))
    model = RandomForestRegressor(5, max_depth=5, random_state=0)
    model.fit(x, x[:, 0] * x[:, 1] + x[:, 2])
    game = games.tree_game(model, list(model.estimators_), 1 / 5, x[0], x[1], model.predict)
    values = game.function(all_masks(8))
    assert np.allclose(game.shapley, games.by_enumeration(values, 8), atol=1e-12)
    assert np.allclose(by_permutations(values[:16], 4), games.by_enumeration(values[:16], 4))
