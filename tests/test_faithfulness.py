"""R² of predictions on fresh masks."""

import numpy as np
import pytest
from sklearn.metrics import r2_score

from headspex.engine.faithfulness import Faithfulness, Measured, faithfulness
from headspex.errors import UsageError
from headspex.scores.spread import assign_questions, sampled_values


def test_r2_equals_scikit_learn_and_lies_within_its_interval() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=100)
    predictions = values + 0.3 * rng.normal(size=100)
    found = faithfulness(Measured.exactly(values), predictions)
    assert found is not None
    assert found.r2 == pytest.approx(r2_score(values, predictions))
    assert found.low < found.r2 < found.high


def test_a_constant_offset_is_forgiven_only_when_asked() -> None:
    values = np.linspace(0, 1, 50)
    measured = Measured.exactly(values)
    strict = faithfulness(measured, values + 5)
    forgiving = faithfulness(measured, values + 5, remove_mean_difference=True)
    assert strict is not None
    assert forgiving is not None
    assert strict.r2 < 0
    assert forgiving.r2 == pytest.approx(1)


def test_equal_values_leave_nothing_to_explain() -> None:
    assert faithfulness(Measured.exactly(np.ones(10)), np.arange(10.0)) is None


@pytest.mark.parametrize(("values", "predictions"), [(1, 1), (5, 4)])
def test_too_few_masks_or_different_lengths_are_refused(values: int, predictions: int) -> None:
    with pytest.raises(UsageError, match="at least two masks"):
        faithfulness(Measured.exactly(np.arange(float(values))), np.arange(float(predictions)))


def test_the_interval_covers_the_true_r2_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    truth = 1 - 0.25 / 1.25  # var(noise) / var(values), in the limit of many masks
    hits = 0
    for _ in range(200):
        signal = rng.normal(size=100)
        measured = Measured.exactly(signal + 0.5 * rng.normal(size=100))
        found = faithfulness(measured, signal, seed=1)
        assert found is not None
        hits += found.low <= truth <= found.high
    assert hits >= 176  # 95 % of 200 is 190; fewer than 176 happens once in 10^8 at 95 %


N_QUESTIONS = 120


def _answers(rng: np.random.Generator, binary: bool) -> tuple[np.ndarray, np.ndarray]:
    """All answers of 2,000 masks, and predictions of their means: questions differ a lot."""
    ability, easy = rng.normal(size=(2_000, 1)), 1.5 * rng.normal(size=N_QUESTIONS)
    answers = ability + easy + rng.normal(size=(2_000, N_QUESTIONS))
    if binary:
        answers = np.asarray(answers > 0, dtype=float)
    values = answers.mean(axis=1)
    return answers, values + 0.35 * values.std() * rng.normal(size=2_000)


def _asked_few(
    answers: np.ndarray, predictions: np.ndarray, masks: int, each: int, rng: np.random.Generator
) -> Faithfulness:
    chosen = rng.integers(len(answers), size=masks)
    asked = assign_questions(masks, N_QUESTIONS, each, rng=rng)
    scores = answers[chosen[:, None], asked]
    measured = sampled_values(scores, asked, N_QUESTIONS, expected=predictions[chosen])
    found = faithfulness(measured, predictions[chosen], seed=int(rng.integers(1 << 30)))
    assert found is not None
    return found


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("each", [4, 24])
def test_r2_from_a_few_questions_a_mask_is_that_of_all_questions_and_its_interval_covers_it(
    binary: bool, each: int
) -> None:
    rng = np.random.default_rng(each + binary)
    answers, predictions = _answers(rng, binary)
    truth = r2_score(answers.mean(axis=1), predictions)
    found = [_asked_few(answers, predictions, 300, each, rng) for _ in range(80)]
    r2 = np.array([one.r2 for one in found])
    assert abs(r2.mean() - truth) < 3 * r2.std() / np.sqrt(80) + 0.003
    hits = sum(one.low <= truth <= one.high for one in found)
    assert hits >= 69  # 95 % of 80 are 76; fewer than 69 happen once in 700 at 95 %
    # Without the correction it is far too low.
    chosen, asked = np.arange(300), assign_questions(300, N_QUESTIONS, each, rng=rng)
    plain = answers[chosen[:, None], asked].mean(axis=1)
    assert r2_score(plain, predictions[chosen]) < truth - 0.05


def test_masks_that_were_asked_everything_have_no_error() -> None:
    rng = np.random.default_rng(0)
    answers, predictions = _answers(rng, False)
    asked = np.tile(np.arange(N_QUESTIONS), (50, 1))
    measured = sampled_values(answers[:50], asked, N_QUESTIONS, expected=predictions[:50])
    np.testing.assert_array_equal(measured.values, answers[:50].mean(axis=1))
    assert not measured.noise.any()


def test_the_error_of_a_mean_of_few_answers_is_estimated_without_bias() -> None:
    rng = np.random.default_rng(2)
    answers, _ = _answers(rng, True)
    true = answers.mean(axis=1)
    errors, noise = [], []
    for _ in range(20):
        asked = assign_questions(2_000, N_QUESTIONS, 6, rng=rng)
        scores = np.take_along_axis(answers, asked, axis=1)
        measured = sampled_values(scores, asked, N_QUESTIONS, expected=true)
        errors.append(np.square(measured.values - true).mean())
        noise.append(measured.noise.mean())
    assert np.mean(noise) == pytest.approx(np.mean(errors), rel=0.02)


def test_masks_that_differ_by_no_more_than_their_errors_leave_nothing_to_explain() -> None:
    rng = np.random.default_rng(3)
    measured = Measured(rng.normal(size=100), np.full(100, 1.0))
    assert faithfulness(measured, rng.normal(size=100)) is None
