"""Dealing questions to masks, and taking question effects out again."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headspex.errors import UsageError
from headspex.scores.spread import assign_questions, mask_values, question_effects


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _dealt(
    n_masks: int, n_questions: int, per_mask: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mask and question of each pass."""
    asked = assign_questions(n_masks, n_questions, per_mask, rng=rng)
    return np.repeat(np.arange(n_masks), per_mask), asked.ravel()


@given(st.integers(1, 60), st.integers(1, 20), st.data())
def test_no_mask_is_asked_a_question_twice_and_all_questions_are_asked_about_equally(
    n_masks: int, n_questions: int, data: st.DataObject
) -> None:
    per_mask = data.draw(st.integers(1, n_questions))
    asked = assign_questions(n_masks, n_questions, per_mask, rng=_rng())
    assert asked.shape == (n_masks, per_mask)
    assert all(len(set(row)) == per_mask for row in asked.tolist())
    served = n_questions // per_mask
    count = np.bincount(asked.ravel(), minlength=n_questions)
    assert count.max() <= -(-n_masks // served)


def test_more_questions_per_mask_than_there_are_is_refused_with_both_numbers() -> None:
    with pytest.raises(UsageError, match=r"between 1 and 5, .*is 6"):
        assign_questions(3, 5, 6, rng=_rng())


def test_a_planted_question_effect_is_found_and_removed() -> None:
    rng = _rng(1)
    true_values, true_effects = rng.normal(size=4_000), rng.normal(size=20)
    row, asked = _dealt(4_000, 20, 2, rng)
    scores = true_values[row] + true_effects[asked] + 0.1 * rng.normal(size=asked.shape)
    effects = question_effects(scores, asked, 20)
    np.testing.assert_allclose(effects, (true_effects - true_effects.mean())[asked], atol=0.15)
    masks = rng.random((4_000, 6)) < 0.5  # they say nothing about the values
    error = mask_values(scores, row, asked, 20, masks) - true_values - true_effects.mean()
    uncorrected = scores.reshape(-1, 2).mean(axis=1) - true_values - true_effects.mean()
    assert error.var() < 0.05 * uncorrected.var()


def test_without_question_effects_the_estimates_are_shrunk_to_almost_nothing() -> None:
    rng = _rng(2)
    _, asked = _dealt(300, 50, 1, rng)
    scores = rng.normal(size=asked.shape)
    raw = np.array([scores[asked == q].mean() for q in range(50)])
    assert np.abs(question_effects(scores, asked, 50)).mean() < 0.3 * np.abs(raw).mean()


@given(st.integers(2, 40), st.integers(1, 12), st.floats(-5, 5), st.randoms(use_true_random=False))
def test_an_answer_has_no_part_in_the_effect_that_is_taken_from_it(
    n_passes: int, n_questions: int, more: float, random: Random
) -> None:
    rng = _rng(random.randrange(1 << 30))
    asked = rng.integers(n_questions, size=n_passes)
    scores = rng.normal(size=n_passes) + 3 * rng.normal(size=n_questions)[asked]
    others = np.flatnonzero((asked == asked[0]) & (np.arange(n_passes) > 0))
    expected = 0.0
    if len(others):
        expected = scores[others].mean() - scores[1:].mean()
    found = question_effects(scores, asked, n_questions)[0]
    # Shrunk towards zero, never past it or beyond the others' mean.
    assert 0 <= found * np.sign(expected) <= abs(expected) + 1e-12


def test_where_every_mask_is_asked_everything_the_value_is_the_plain_mean() -> None:
    scores = _rng(3).random((7, 4))
    row, asked = np.repeat(np.arange(7), 4), np.tile(np.arange(4), 7)
    values = mask_values(scores.ravel(), row, asked, 4, _rng().random((7, 3)) < 0.5)
    np.testing.assert_allclose(values, scores.mean(axis=1), rtol=1e-15)


def test_masks_that_were_asked_different_numbers_of_questions_have_the_mean_of_their_own() -> None:
    row, asked = np.array([0, 0, 0, 1, 2, 2]), np.array([0, 1, 2, 0, 1, 2])
    alike = np.ones((3, 2), dtype=bool)  # nothing for the ridge to see
    values = mask_values(np.array([3.0, 3, 3, 1, 2, 4]), row, asked, 3, alike)
    effects = question_effects(np.array([3.0, 3, 3, 1, 2, 4]), asked, 3)
    by_hand = [3 - effects[:3].mean(), 1 - effects[3], 3 - effects[4:].mean()]
    np.testing.assert_allclose(values, by_hand)


def test_a_question_that_met_bad_masks_is_not_taken_for_a_hard_one() -> None:
    rng = _rng(4)
    masks = rng.random((600, 5)) < 0.5
    true_values = masks @ np.array([3.0, 2.0, 1.0, 0.5, 0.0])
    row, asked = np.arange(600), rng.integers(60, size=600)
    easier = rng.normal(scale=0.5, size=60)
    scores = true_values + easier[asked] + 0.01 * rng.normal(size=600)

    def error(values: np.ndarray) -> float:
        return float(np.var(values - true_values))

    once = scores - question_effects(scores, asked, 60)
    assert error(mask_values(scores, row, asked, 60, masks)) < 0.2 * error(once)
