import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from headspex.errors import UsageError
from headspex.support.intervals import mean_interval, wilson
from headspex.tasks import METRICS, free_loss, interval

TABLE = np.array([[-1.0, -2.0, -3.0], [-2.0, -2.0, -5.0], [-4.0, -1.5, -np.inf]])
ANSWERS = np.array([0, 1, 0])


def test_metrics_equal_a_calculation_by_hand() -> None:
    # Row 2 is a tie that the first choice wins; row 3 is a question of two choices.
    assert METRICS["accuracy"](TABLE, ANSWERS).tolist() == [1, 0, 0]
    assert METRICS["margin"](TABLE, ANSWERS).tolist() == [1, 0, -2.5]
    assert METRICS["logprob"](TABLE, ANSWERS).tolist() == [-1, -2, -4]


def test_scores_of_a_broken_model_are_refused() -> None:
    with pytest.raises(UsageError, match=r"NaN"):
        METRICS["accuracy"](TABLE * np.nan, ANSWERS)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_equals_the_one_of_scipy(counts: tuple[int, int]) -> None:
    correct, total = counts
    expected = scipy.stats.binomtest(correct, total).proportion_ci(0.95, method="wilson")
    low, high = wilson(correct, total)
    np.testing.assert_allclose([low, high], [expected.low, expected.high], atol=1e-9)
    assert 0 <= low <= correct / total <= high <= 1


def test_mean_interval_equals_the_t_interval_of_scipy() -> None:
    values = np.array([1.0, 2.5, -1.0, 4.0])
    expected = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.95)
    np.testing.assert_allclose(mean_interval(values), [expected.low, expected.high])
    assert interval("margin", values) == mean_interval(values)
    assert interval("accuracy", np.array([1.0, 0.0])) == wilson(1, 2)
    assert mean_interval(values[:1]) == (-np.inf, np.inf)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=50))
def test_the_interval_of_a_mean_of_shares_stays_within_0_and_1_and_is_never_a_point(
    counts: list[int],
) -> None:
    values = np.array(counts) / 5
    low, high = interval("accuracy", values)
    assert 0 <= low <= values.mean() <= high <= 1
    assert low < high


def test_the_interval_of_a_mean_of_shares_covers_the_truth_as_often_as_it_says() -> None:
    rng, hits = np.random.default_rng(0), 0
    for _ in range(1000):
        # Questions differ, and each is answered under five masks.
        chance = rng.beta(9, 1, size=40)
        low, high = interval("accuracy", rng.binomial(5, chance) / 5)
        hits += low <= 0.9 <= high
    assert hits >= 930  # of 950; fewer happen once in 400 at 95 %


def test_a_point_of_accuracy_or_a_hundredth_of_another_score_is_free_unless_more_may_be() -> None:
    assert free_loss(None, "accuracy", 0.4) == 0.01
    assert free_loss(None, "logprob", -3.0) == pytest.approx(0.03)
    assert free_loss(0.2, "accuracy", 0.4) == 0.2


def test_intervals_of_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match=r"total=0"):
        wilson(0, 0)
    with pytest.raises(UsageError, match=r"no values"):
        mean_interval(np.array([]))
