"""Masks are drawn as promised."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headspex.engine.sampling import draw_masks
from headspex.errors import UsageError


@settings(max_examples=60)
@given(
    n_players=st.integers(1, 9),
    count=st.integers(1, 600),
    keep=st.sampled_from([0.02, 0.3, 0.5, 0.9, 0.999]),
    seed=st.integers(0, 9),
)
def test_masks_are_all_different_and_as_many_as_there_can_be(
    n_players: int, count: int, keep: float, seed: int
) -> None:
    masks = draw_masks(count, n_players, keep=keep, seed=seed)
    assert masks.shape == (min(count, 2**n_players), n_players)
    assert masks.dtype == np.bool_
    assert len({row.tobytes() for row in masks}) == len(masks)


def test_each_player_is_kept_at_its_own_rate() -> None:
    keep = np.array([0.1, 0.5, 0.9] * 20)
    masks = draw_masks(20_000, 60, keep=keep, seed=1)
    # Five standard errors of a mean of 20,000 coins.
    assert np.abs(masks.mean(axis=0) - keep).max() < 5 * 0.5 / np.sqrt(20_000)


def test_a_seed_repeats_its_masks_and_another_does_not() -> None:
    first, again, other = (draw_masks(50, 20, seed=seed) for seed in (4, 4, 5))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(("n_players", "more"), [(40, 80), (7, 128), (16, 60_000)])
def test_more_masks_of_one_seed_begin_with_the_fewer(n_players: int, more: int) -> None:
    fewer = draw_masks(30, n_players, keep=0.7, seed=3)
    assert np.array_equal(fewer, draw_masks(more, n_players, keep=0.7, seed=3)[:30])


@pytest.mark.parametrize(
    ("count", "n_players", "keep", "words"),
    [
        (0, 5, 0.5, "masks to draw must be a whole number, 1 or more, but is 0"),
        (5, 0, 0.5, "n_players must be a whole number, 1 or more"),
        (5, 5, 1.0, "strictly between 0 and 1"),
        (5, 5, np.array([0.5, 0.5]), "one per player"),
        (900, 60, 1 - 1e-9, "ask for fewer masks"),
    ],
)
def test_impossible_draws_are_refused(count: int, n_players: int, keep: float, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        draw_masks(count, n_players, keep=keep)
