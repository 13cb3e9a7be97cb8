"""Which players to remove, against all subsets."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headspex.engine.search import exact_spectrum
from headspex.engine.spectrum import Spectrum
from headspex.errors import UsageError
from headspex.schedules.removal import best_removal, removal_order, smallest_removal

PLAYERS = 6


def changes(values: np.ndarray, size: int) -> list[float]:
    """What removing each set of this size does, by looking it up."""
    last = len(values) - 1
    sets = combinations(range(PLAYERS), size)
    return [float(values[last - sum(1 << i for i in one)] - values[last]) for one in sets]


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), size=st.integers(0, PLAYERS), up=st.booleans())
def test_best_removal_equals_brute_force(seed: int, size: int, up: bool) -> None:
    values = np.random.default_rng(seed).normal(size=2**PLAYERS)
    found = best_removal(exact_spectrum(values), size, direction="up" if up else "down")
    best = max(changes(values, size)) if up else min(changes(values, size))
    assert found.proven
    assert len(found.columns) == size
    assert np.isclose(found.change, best)


@settings(max_examples=10)
@given(seed=st.integers(0, 10**6), share=st.floats(0.05, 0.99))
def test_smallest_removal_is_no_larger_than_any_set_that_moves_enough(
    seed: int, share: float
) -> None:
    values = np.random.default_rng(seed).normal(size=2**PLAYERS)
    lowest = [-min(changes(values, size)) for size in range(PLAYERS + 1)]
    wanted = share * max(lowest)
    if wanted <= 0:
        return
    found = smallest_removal(exact_spectrum(values), wanted)
    assert found is not None
    assert len(found.columns) == next(k for k, most in enumerate(lowest) if most >= wanted)
    assert -found.change >= wanted
    assert found.proven


def test_no_set_moves_the_value_beyond_its_range() -> None:
    spectrum = exact_spectrum(np.arange(4.0))
    assert smallest_removal(spectrum, 3.5) is None


def test_backups_that_hide_each_other_are_removed_first() -> None:
    # Removing 0 and 1 costs 5, either alone nothing; player 2 alone costs 1, player 3 0.9.
    masks = np.array([[i >> k & 1 for k in range(4)] for i in range(16)], dtype=bool)
    values = 5.0 * (masks[:, 0] | masks[:, 1]) + 1.0 * masks[:, 2] + 0.9 * masks[:, 3]
    spectrum = exact_spectrum(values)
    assert set(removal_order(spectrum).order[:2]) == {0, 1}
    found = best_removal(spectrum, 2)
    assert (found.columns, found.proven) == ((0, 1), True)
    assert np.isclose(found.change, -5.0)


def test_a_biased_spectrum_gives_the_same_set() -> None:
    values = np.random.default_rng(3).normal(size=2**PLAYERS)
    spectrum = exact_spectrum(values)
    found, other = best_removal(spectrum, 3), best_removal(spectrum.with_keep(0.8), 3)
    assert found.columns == other.columns


@pytest.mark.parametrize("size", [-1, 3])
def test_a_size_beyond_the_players_is_refused(size: int) -> None:
    with pytest.raises(UsageError, match=r"0\.\.2 players"):
        best_removal(Spectrum.from_dict({(0,): 1.0}, n_players=2), size)


def test_an_unknown_direction_is_refused() -> None:
    with pytest.raises(UsageError, match="down or up"):
        removal_order(Spectrum.from_dict({(0,): 1.0}, n_players=2), direction="left")
