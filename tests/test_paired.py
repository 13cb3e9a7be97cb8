"""Differences between two methods, paired."""

import numpy as np
import pytest
from scipy.stats import ttest_rel
from sklearn.metrics import r2_score

from headspex.engine.faithfulness import Measured, faithfulness
from headspex.engine.paired import free_size, loss_bound, r2_difference, score_difference


def test_the_difference_of_r2_is_that_of_scikit_learns_two_scores() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=100)
    mine, other = (values + spread * rng.normal(size=100) for spread in (0.3, 0.6))
    found = r2_difference(Measured.exactly(values), mine, other)
    assert found.value == pytest.approx(r2_score(values, mine) - r2_score(values, other))
    assert found.low < found.value < found.high


def test_pairing_tells_apart_what_two_separate_intervals_cannot() -> None:
    rng = np.random.default_rng(0)
    values, shared = rng.normal(size=(2, 100))
    mine, other = values + 0.6 * shared, values + 0.65 * shared
    measured = Measured.exactly(values)
    first, second = faithfulness(measured, mine), faithfulness(measured, other)
    assert first is not None
    assert second is not None
    assert first.low < second.high  # they overlap
    assert r2_difference(measured, mine, other).beyond_noise


def test_a_method_does_not_differ_from_itself() -> None:
    values = np.linspace(0, 1, 30)
    found = r2_difference(Measured.exactly(values), values**2, values**2)
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


@pytest.mark.parametrize(("loss", "won"), [(0.01, 0.0), (0.01, 0.03), (0.05, 0.0), (0.05, 0.1)])
def test_a_loss_is_taken_for_smaller_than_it_is_in_one_of_twenty_samples(
    loss: float, won: float
) -> None:
    rng, misses = np.random.default_rng(0), 0
    for _ in range(600):
        change = rng.choice([-1.0, 1.0, 0.0], size=600, p=[loss + won, won, 1 - loss - 2 * won])
        whole = 1.0 * (change < 0)
        misses += loss_bound(whole, whole + change) < loss
    assert misses <= 45  # 5 % of 600 are 30; more than 45 happen once in 200 at 5 %
    assert loss > 0.01 or won == 0 or misses >= 10


def test_the_bound_of_right_and_wrong_answers_is_tangos() -> None:
    # Tango (1998): 44 patients, all treated twice; no discordant pair. z = sqrt(n d / (1 - d)).
    alike = np.ones(44)
    bound = loss_bound(alike, alike)
    assert np.sqrt(44 * bound / (1 - bound)) == pytest.approx(1.644854, abs=1e-5)
    # 1 question lost, 0 won of 50: the likeliest share of won ones is 0, and the score is
    # (50 d - 1) / sqrt(50 d (1 - d)).
    pruned = np.ones(50)
    pruned[0] = 0
    bound = loss_bound(np.ones(50), pruned)
    score = (50 * bound - 1) / np.sqrt(50 * bound * (1 - bound))
    assert score == pytest.approx(1.644854, abs=1e-5)


def test_the_bound_of_other_scores_is_that_of_a_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    whole, pruned = rng.normal(size=(2, 60))
    expected = ttest_rel(whole, pruned).confidence_interval(0.9).high
    assert loss_bound(whole, pruned) == pytest.approx(expected)
    assert loss_bound(whole[:1], pruned[:1]) == np.inf


def test_what_is_better_everywhere_loses_nothing_and_what_is_wrong_everywhere_all() -> None:
    right, wrong = np.ones(30), np.zeros(30)
    assert loss_bound(wrong, right) == 0
    assert loss_bound(right, wrong) == 1


def test_sizes_are_free_up_to_the_first_that_is_not_shown_to_be() -> None:
    assert free_size([0.004, 0.008, 0.02, 0.009], [4, 9, 14, 19], may_cost=0.01) == 9
    assert free_size([0.01, 0.004], [4, 9], may_cost=0.01) is None
    assert free_size([0.004, 0.008], [4, 9], may_cost=0.01) == 9
    assert free_size([], [], may_cost=0.01) is None


def test_a_size_is_wrongly_called_free_in_one_of_twenty_samples_however_many_are_tested() -> None:
    rng, wrong = np.random.default_rng(1), 0
    for _ in range(300):
        # The first four sizes cost nothing, the others just what is not allowed any more.
        lost = rng.random((9, 600)) < np.array([0.0] * 4 + [0.02] * 5)[:, None]
        losses = [loss_bound(np.ones(600), 1.0 - row) for row in lost]
        found = free_size(losses, range(1, 10), may_cost=0.02)
        assert found is not None
        wrong += found > 4
    assert wrong <= 25  # 5 % of 300 are 15


def test_more_looks_make_wider_intervals() -> None:
    mine, other = np.ones(200), np.ones(200)
    other[:9] = 0
    one, nine = (score_difference(mine, other, looks=looks) for looks in (1, 9))
    assert nine.low < one.low < one.value == nine.value < one.high < nine.high
    spread = np.linspace(0, 1, 200)
    one, nine = (score_difference(spread, 0.5 * spread, looks=looks) for looks in (1, 9))
    assert nine.low < one.low < one.high < nine.high
