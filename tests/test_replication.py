"""The share of pairs that should keep their sign, against second draws of the same estimates."""

from dataclasses import replace
from itertools import combinations
from math import comb

import numpy as np
import pytest
from scipy.stats import norm

from headspex.engine.uncertainty import miss_rates
from headspex.runs.interactions_table import Interaction
from headspex.runs.replication import replication

ROW = Interaction(("L0H0", "L1H0"), (0, 1), "across", 0.0, 0.0, 0.0, 0.0, 1.0)
N_PLAYERS = 200


def table(estimates: np.ndarray, error: float) -> list[Interaction]:
    """Pairs with the intervals that `intervals` gives them."""
    pairs = list(combinations(range(N_PLAYERS), 2))[: len(estimates)]
    with np.errstate(divide="ignore"):
        p_values = 2 * norm.sf(np.abs(estimates) / error)
    halves = norm.isf(miss_rates(p_values, pairs, N_PLAYERS) / 2) * error
    return [
        replace(ROW, effect=x, low=x - half, high=x + half)
        for x, half in zip(estimates.tolist(), halves.tolist(), strict=True)
    ]


@pytest.mark.parametrize("share", [0.02, 0.2])
def test_the_expected_share_is_nearly_that_of_a_second_draw(share: float) -> None:
    rng = np.random.default_rng(0)
    n = comb(N_PLAYERS, 2)
    true = np.where(rng.random(n) < share, 4 * rng.normal(size=n), 0.0)
    first, second = (true + rng.normal(size=n) for _ in range(2))
    rows = table(first, 1.0)
    said = replication(rows, N_PLAYERS)
    found = np.array([row.low > 0 or row.high < 0 for row in rows])
    assert said.pairs == found.sum() > 100
    agreed = (np.sign(first) == np.sign(second))[found].mean()
    assert said.kept == pytest.approx(agreed, abs=0.02)
    assert said.kept < 0.98


def test_single_heads_and_pairs_that_may_be_zero_are_left_out() -> None:
    rows = table(np.array([100.0, 0.1]), 1.0)
    single = replace(rows[0], heads=("L0H0",), layers=(0,), kind="linear")
    said = replication([*rows, single], N_PLAYERS)
    assert said.pairs == 1
    assert said.kept == pytest.approx(0.975)
    assert said.said("heads").startswith("1 pair of heads has an interval that excludes zero; 97.5")


def test_an_interval_of_no_width_is_sure_of_its_sign() -> None:
    assert replication(table(np.array([0.5, -0.2]), 0.0), N_PLAYERS).kept == pytest.approx(0.975)


def test_without_such_a_pair_the_sentence_says_so() -> None:
    said = replication(table(np.array([0.1]), 1.0), N_PLAYERS)
    assert said.said("heads").startswith("No pair of heads has an interval that excludes zero")
