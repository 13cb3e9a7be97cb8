"""What slopes say: when they are taken, and how far they are believed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headspex.walk import gate_gradients as module
from headspex.walk.gate_gradients import LOOK, GateGradients, centred, gradient_steps

PLAYERS, QUESTIONS = np.arange(5), np.arange(8)
WHOLE = np.ones(5, dtype=bool)


def tangent(slopes: np.ndarray, times: int = 1) -> GateGradients:
    """With the same slopes at every mask, seen at the whole one."""
    one = GateGradients(
        lambda masks, questions: slopes[:, questions].T, 5, 8,
        steps=4, times=times, rng=np.random.default_rng(0),
    )  # fmt: skip
    one.move_to(WHOLE)
    return one


@given(st.integers(2, 200), st.integers(1, 200), st.integers(1, 50))
def test_slopes_are_due_at_the_beginning_and_no_more_often_than_is_afforded(
    players: int, steps: int, times: int
) -> None:
    found = gradient_steps(players, min(steps, players), times)
    assert found[0] == players
    assert len(found) <= times
    assert found == sorted(set(found), reverse=True)
    assert found[-1] >= max(1, players - steps)


def test_slopes_are_due_after_as_large_a_share_of_the_players_left() -> None:
    assert gradient_steps(1000, 900, 2) == [1000, 317]  # 1000 * (1/10)^(1/2)
    assert gradient_steps(8, 8, 3) == [8, 4, 2]


def test_slopes_are_taken_at_random_masks_first_and_on_the_way_when_due() -> None:
    asked: list[np.ndarray] = []

    def slopes(masks: np.ndarray, questions: np.ndarray) -> np.ndarray:
        np.testing.assert_array_equal(questions, np.tile(QUESTIONS, len(masks) // 8))
        asked.extend(masks.reshape(-1, 8, 5))
        return np.zeros(masks.shape)

    one = GateGradients(slopes, 5, 8, steps=2, times=4, rng=np.random.default_rng(0))
    for on in (5, 5, 2, 2, 1):  # 4 went by with protected players, say
        one.move_to(on > PLAYERS)
    assert len(asked) == 3
    assert len(np.unique(asked[0], axis=0)) > 4  # each question at a mask of its own
    assert asked[0].mean() == pytest.approx(0.8, abs=0.15)
    for masks, on in zip(asked[1:], (5, 2), strict=True):
        np.testing.assert_array_equal(masks, np.tile(on > PLAYERS, (8, 1)))
    assert one.taken == 3 * 8


def test_of_many_questions_some_have_slopes_taken() -> None:
    asked: list[np.ndarray] = []

    def slopes(masks: np.ndarray, questions: np.ndarray) -> np.ndarray:
        asked.extend(questions.reshape(-1, LOOK))
        return np.ones(masks.shape)

    one = GateGradients(slopes, 5, 3 * LOOK, steps=4, times=3, rng=np.random.default_rng(0))
    one.move_to(WHOLE)
    assert [len(set(questions.tolist())) for questions in asked] == [LOOK, LOOK]
    assert one.taken == 2 * LOOK
    np.testing.assert_allclose(one.gains(WHOLE), 1, atol=1e-9)


@pytest.mark.parametrize("questions", [20, 500])
def test_no_more_slopes_are_asked_than_are_remembered(
    questions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 256)
    monkeypatch.setattr(module, "LOOK", 16)
    asked: list[int] = []

    def slopes(masks: np.ndarray, questions: np.ndarray) -> np.ndarray:
        asked.append(len(masks))
        return np.zeros(masks.shape)

    one = GateGradients(slopes, 200, questions, steps=180, times=300, rng=np.random.default_rng(0))
    for on in range(200, 20, -1):
        one.move_to(np.arange(200) < on)
        assert len(one._field._slopes) == sum(asked)  # every one of them is used
    assert 128 < sum(asked) == one.taken <= 256


def test_parts_are_what_differs_from_question_to_question() -> None:
    slopes = np.random.default_rng(0).normal(size=(5, 8))
    one = tangent(slopes)
    np.testing.assert_allclose(one.gains(WHOLE), slopes.mean(axis=1))
    found = one.parts(np.array([3, 1]), np.array([0, 7]))
    expected = slopes - slopes.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected[[3, 1]][:, [0, 7]], rtol=2e-3)


def test_before_the_first_slopes_nothing_is_known() -> None:
    one = GateGradients(
        lambda masks, questions: 1.0 * masks, 5, 8, steps=4, times=3, rng=np.random.default_rng(0)
    )
    np.testing.assert_array_equal(one.gains(WHOLE), 0)
    np.testing.assert_array_equal(one.parts(PLAYERS, QUESTIONS), 0)


@pytest.mark.parametrize("true", [0.0, 0.3, 1.0, 2.0])
def test_the_factor_is_learnt_from_what_is_measured(true: float) -> None:
    rng = np.random.default_rng(0)
    slopes = rng.normal(size=(5, 8))
    one = tangent(slopes)
    for _ in range(40):
        alike = np.add.outer(rng.normal(size=5), rng.normal(size=8))
        one.learn(PLAYERS, QUESTIONS, true * slopes + alike + 0.1 * rng.normal(size=(5, 8)))
    own = (slopes - slopes.mean(axis=1, keepdims=True))[:1]
    np.testing.assert_allclose(
        one.parts(PLAYERS[:1], QUESTIONS), true * own, atol=0.05 * np.abs(own).max()
    )


def test_slopes_that_say_the_contrary_are_not_believed() -> None:
    slopes = np.random.default_rng(0).normal(size=(5, 8))
    one = tangent(slopes)
    for _ in range(20):
        one.learn(PLAYERS, QUESTIONS, -slopes)
    np.testing.assert_array_equal(one.parts(PLAYERS, QUESTIONS), 0)


def test_a_look_at_one_question_teaches_nothing() -> None:
    slopes = np.random.default_rng(0).normal(size=(5, 8))
    one = tangent(slopes)
    before = one.factor
    one.learn(PLAYERS, QUESTIONS[:1], np.ones((5, 1)))
    assert one.factor == before


def test_centred_values_have_no_mean_in_any_row_or_column() -> None:
    found = centred(np.random.default_rng(0).normal(size=(4, 6)))
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(found.mean(axis=1), 0, atol=1e-12)
