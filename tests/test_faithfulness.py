"""R² of predictions on fresh masks."""

import numpy as np
import pytest
from sklearn.metrics import r2_score

from headspex.engine.faithfulness import faithfulness
from headspex.errors import UsageError


def test_r2_equals_scikit_learn_and_lies_within_its_interval() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=100)
    predictions = values + 0.3 * rng.normal(size=100)
    found = faithfulness(values, predictions)
    assert found is not None
    assert found.r2 == pytest.approx(r2_score(values, predictions))
    assert found.low < found.r2 < found.high


def test_a_constant_offset_is_forgiven_only_when_asked() -> None:
    values = np.linspace(0, 1, 50)
    strict = faithfulness(values, values + 5)
    forgiving = faithfulness(values, values + 5, remove_mean_difference=True)
    assert strict is not None
    assert forgiving is not None
    assert strict.r2 < 0
    assert forgiving.r2 == pytest.approx(1)


def test_equal_values_leave_nothing_to_explain() -> None:
    assert faithfulness(np.ones(10), np.arange(10.0)) is None


@pytest.mark.parametrize(("values", "predictions"), [(1, 1), (5, 4)])
def test_too_few_masks_or_different_lengths_are_refused(values: int, predictions: int) -> None:
    with pytest.raises(UsageError, match="at least two masks"):
        faithfulness(np.arange(float(values)), np.arange(float(predictions)))


def test_the_interval_covers_the_true_r2_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    truth = 1 - 0.25 / 1.25  # var(noise) / var(values), in the limit of many masks
    hits = 0
    for _ in range(200):
        signal = rng.normal(size=100)
        found = faithfulness(signal + 0.5 * rng.normal(size=100), signal, seed=1)
        assert found is not None
        hits += found.low <= truth <= found.high
    assert hits >= 176  # 95 % of 200 is 190; fewer than 176 happens once in 10^8 at 95 %
