"""Differences between two methods, paired."""

import numpy as np
import pytest
from scipy.stats import ttest_rel
from sklearn.metrics import r2_score

from headspex.engine.faithfulness import faithfulness
from headspex.engine.paired import free_size, r2_difference, score_difference


def test_the_difference_of_r2_is_that_of_scikit_learns_two_scores() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=100)
    mine, other = (values + spread * rng.normal(size=100) for spread in (0.3, 0.6))
    found = r2_difference(values, mine, other)
    assert found.value == pytest.approx(r2_score(values, mine) - r2_score(values, other))
    assert found.low < found.value < found.high


def test_pairing_tells_apart_what_two_separate_intervals_cannot() -> None:
    rng = np.random.default_rng(0)
    values, shared = rng.normal(size=(2, 100))
    mine, other = values + 0.6 * shared, values + 0.65 * shared
    first, second = faithfulness(values, mine), faithfulness(values, other)
    assert first is not None
    assert second is not None
    assert first.low < second.high  # they overlap
    assert r2_difference(values, mine, other).beyond_noise


def test_a_method_does_not_differ_from_itself() -> None:
    values = np.linspace(0, 1, 30)
    found = r2_difference(values, values**2, values**2)
    assert (found.value, found.low, found.high) == (0, 0, 0)
    assert not found.beyond_noise


def test_the_interval_of_mean_scores_is_the_paired_t_interval_of_scipy() -> None:
    rng = np.random.default_rng(0)
    mine, other = rng.random((2, 40))
    found = score_difference(mine, other)
    low, high = ttest_rel(mine, other).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_right_and_wrong_answers_get_the_interval_of_agresti_and_min() -> None:
    # 20 questions: 6 right with mine alone, 1 with the other alone. By hand: centre 5 / 22, and
    # (6 + 1 + 1 - 25 / 22) / 22^2 is the squared standard error.
    mine = np.array([1.0] * 6 + [0.0] + [1.0] * 13)
    other = np.array([0.0] * 6 + [1.0] + [1.0] * 13)
    found = score_difference(mine, other)
    half = 1.959964 * np.sqrt(8 - 25 / 22) / 22
    assert found.value == pytest.approx(5 / 20)
    assert (found.low, found.high) == pytest.approx((5 / 22 - half, 5 / 22 + half))


def test_agreeing_on_every_question_is_no_proof_of_being_equal() -> None:
    found = score_difference(np.ones(30), np.ones(30))
    assert found.value == 0
    assert found.low == -found.high
    assert 0.03 < found.high < 0.1


def test_scores_without_bounds_that_are_all_equal_differ_by_nothing() -> None:
    found = score_difference(np.full(30, -2.5), np.full(30, -2.5))
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_the_interval_never_leaves_what_is_possible() -> None:
    found = score_difference(np.ones(10), np.zeros(10))
    assert found.high <= 1
    assert found.beyond_noise


@pytest.mark.parametrize("discordant", [0.03, 0.3])
def test_the_interval_covers_the_true_difference_about_as_often_as_it_says(
    discordant: float,
) -> None:
    rng = np.random.default_rng(1)
    shares = [0.7 * discordant, 0.3 * discordant, 1 - discordant]
    hits = 0
    for _ in range(400):
        differences = rng.choice([1.0, -1.0, 0.0], size=60, p=shares)
        found = score_difference(1.0 * (differences > 0), 1.0 * (differences < 0))
        hits += found.low <= 0.4 * discordant <= found.high
    assert hits >= 364  # 95 % of 400 is 380; fewer than 364 happens once in 1,000 at 95 %


def test_free_is_what_a_comparison_of_all_sizes_shows_to_cost_less_than_a_point() -> None:
    whole = np.ones(600)
    pruned = np.ones((3, 600))
    pruned[1, :1] = 0  # lower end -.0073, by Agresti & Min's formula with z = 2.394
    pruned[2, :2] = 0  # -.0102
    assert free_size(whole, pruned, [4, 9, 14], may_cost=0.01) == 9
    # Looked at alone it is -.0091, with z = 1.96.
    assert free_size(whole, pruned[2:], [14], may_cost=0.01) == 14
    # The same answers to a hundred questions do not show it.
    assert free_size(whole[:100], pruned[:1, :100], [4], may_cost=0.01) is None


def test_more_looks_make_wider_intervals() -> None:
    mine, other = np.ones(200), np.ones(200)
    other[:9] = 0
    one, nine = (score_difference(mine, other, looks=looks) for looks in (1, 9))
    assert nine.low < one.low < one.value == nine.value < one.high < nine.high
    spread = np.linspace(0, 1, 200)
    one, nine = (score_difference(spread, 0.5 * spread, looks=looks) for looks in (1, 9))
    assert nine.low < one.low < one.high < nine.high
