"""Which masks Shapley values are estimated from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headspex.engine.pair_design import few_masks, n_sets, shapley_masks


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
@given(n=st.integers(3, 40), budget=st.integers(3, 22), seed=st.integers(0, 99))
def test_few_masks_take_the_whole_budget_and_pairs_come_first(
    n: int, budget: int, seed: int
) -> None:
    budget = min(budget, 2**n - 1)
    masks = few_masks(n, budget, seed=seed)
    assert len(np.unique(masks, axis=0)) == len(masks) == budget
    half = budget // 2
    assert masks[0].all()
    assert np.array_equal(masks[half : 2 * half], ~masks[:half])


@settings(max_examples=20)
@given(n=st.integers(5, 40), budget=st.integers(4, 100), seed=st.integers(0, 99))
def test_each_mask_comes_with_its_opposite(n: int, budget: int, seed: int) -> None:
    masks = shapley_masks(n, budget, seed=seed)
    rows = {row.tobytes() for row in masks}
    assert all((~row).tobytes() in rows for row in masks)


def test_players_are_on_together_as_often_as_apart_in_the_first_pairs() -> None:
    # The pair of both ends comes first, then those of a whole Hadamard matrix.
    signs = np.where(shapley_masks(16, 34)[1:17], 1.0, -1.0)
    assert np.array_equal(signs.T @ signs, 16 * np.eye(16))


def test_every_size_gets_its_share_of_pairs_until_it_has_no_more_sets() -> None:
    masks = shapley_masks(40, 2000)
    first = masks[41:1000]  # behind all players and the orthogonal pairs
    sizes = first.sum(axis=1)
    assert sizes.max() == 20
    counts = np.bincount(sizes)[1:]
    assert counts[0] == n_sets(40, 1) == 40  # all of them
    expected = 1 / np.sqrt(np.arange(2, 21) * np.arange(38, 19, -1))
    expected[-1] /= 2  # a half and its opposite are one pair
    assert np.abs(counts[1:] - (len(first) - 40) * expected / expected.sum()).max() <= 1


@pytest.mark.parametrize("players", [4, 5, 6])
def test_a_budget_of_all_masks_gives_each_once(players: int) -> None:
    masks = shapley_masks(players, 2**players)
    assert len(np.unique(masks, axis=0)) == len(masks) == 2**players


def test_given_its_size_each_set_is_as_likely_as_another() -> None:
    masks = np.concatenate([shapley_masks(6, 24, seed=seed) for seed in range(600)])
    pairs, counts = np.unique(masks[masks.sum(axis=1) == 2], axis=0, return_counts=True)
    assert len(pairs) == 15
    # Poisson counts would have this standard deviation.
    assert np.abs(counts / counts.mean() - 1).max() < 4 / np.sqrt(counts.mean())


def test_few_masks_are_rows_of_a_hadamard_matrix() -> None:
    # Any two of its rows agree in half of the columns.
    masks = shapley_masks(64, 40)
    signs = np.where(masks[1:20], 1.0, -1.0)
    assert np.array_equal(signs @ signs.T, 64 * np.eye(19))


def test_more_sets_of_a_size_than_a_float_counts_are_no_hindrance() -> None:
    masks = shapley_masks(1_100, 2_600)
    assert len(np.unique(masks, axis=0)) == 2_600
    np.testing.assert_array_equal(masks[:1_300], ~masks[1_300:])
