"""The share of pairs that should keep their sign, against second draws of the same estimates."""

from dataclasses import replace
from math import comb

import numpy as np
import pytest
from scipy.stats import norm

from headspex.runs.interactions_table import Interaction
from headspex.runs.replication import replication

ROW = Interaction(("L0H0", "L1H0"), (0, 1), "across", 0.0, 0.0, 0.0, 0.0, 1.0)
N_PLAYERS = 200


def table(estimates: np.ndarray, error: float) -> list[Interaction]:
    half = norm.isf(0.05 * len(estimates) / comb(N_PLAYERS, 2) / 2) * error
    return [replace(ROW, effect=x, low=x - half, high=x + half) for x in estimates.tolist()]


def test_the_expected_share_is_that_of_a_second_draw() -> None:
    rng = np.random.default_rng(0)
    true = rng.uniform(-6, 6, 18_000)
    first, second = (true + rng.normal(size=len(true)) for _ in range(2))
    rows = table(first, 1.0)
    said = replication(rows, N_PLAYERS)
    found = np.array([row.low > 0 or row.high < 0 for row in rows])
    assert said.pairs == found.sum()
    agreed = (np.sign(first) == np.sign(second))[found].mean()
    assert said.kept == pytest.approx(agreed, abs=4 * np.sqrt(agreed * (1 - agreed) / found.sum()))
    assert said.kept < 0.99  # so that the comparison says something


def test_single_heads_and_pairs_that_may_be_zero_are_left_out() -> None:
    rows = table(np.array([100.0, 0.1]), 1.0)
    single = replace(rows[0], heads=("L0H0",), layers=(0,), kind="linear")
    said = replication([*rows, single], N_PLAYERS)
    assert said.pairs == 1
    assert said.kept == pytest.approx(1.0)
    assert said.said("heads").startswith("1 pair of heads has an interval that excludes zero; 100")


def test_an_interval_of_no_width_is_sure_of_its_sign() -> None:
    assert replication(table(np.array([0.5, -0.2]), 0.0), N_PLAYERS).kept == 1.0


def test_without_such_a_pair_the_sentence_says_so() -> None:
    said = replication(table(np.array([0.1]), 1.0), N_PLAYERS)
    assert said.said("heads").startswith("No pair of heads has an interval that excludes zero")
