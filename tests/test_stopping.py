"""A search that looks often at itself does not stop by luck."""

import numpy as np
import pytest
from scipy.stats import norm

from headspex.engine.faithfulness import Faithfulness
from headspex.runs.stopping import level, widened


def test_all_looks_together_miss_in_one_search_of_twenty() -> None:
    misses = np.array([1 - level(number) for number in range(1, 100_001)])
    assert misses.sum() == pytest.approx(0.05, abs=1e-6)
    assert misses[0] == pytest.approx(0.025)
    assert (np.diff(misses[:100]) < 0).all()


@pytest.mark.parametrize("looks", [1, 7, 60])
def test_however_many_looks_a_search_that_explains_too_little_seldom_stops(looks: int) -> None:
    # R2 is exactly what was asked for, at every look; stopping is wrong.
    seen = np.random.default_rng(looks).normal(size=(20_000, looks))
    bounds = np.array([norm.ppf((1 + level(number)) / 2) for number in range(1, looks + 1)])
    assert (seen > bounds).any(axis=1).mean() <= 0.025
    if looks > 1:
        assert (seen > norm.ppf(0.975)).any(axis=1).mean() > 0.1  # as it was


def test_bounds_of_another_level_are_those_of_a_normal_logarithm() -> None:
    left, deviation = 0.2, 0.3
    low, high = (1 - left * np.exp(sign * norm.ppf(0.975) * deviation) for sign in (1, -1))
    found = widened(Faithfulness(1 - left, low, high), 0.99)
    assert found.low == pytest.approx(1 - left * np.exp(norm.ppf(0.995) * deviation))
    assert found.high == pytest.approx(1 - left * np.exp(-norm.ppf(0.995) * deviation))
    same = widened(found, 0.95)
    assert (same.low, same.high) == pytest.approx((found.low, found.high))


def test_what_is_explained_wholly_stays_so() -> None:
    whole = Faithfulness(1.0, 1.0, 1.0)
    assert widened(whole, 0.999) == whole
