"""What a walk remembers: its posterior is that of the Gaussian process, cell by cell."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headspex.walk.memory import (
    LEAST_OWN,
    MOST_OWN,
    OWN_RANGE,
    QUESTION_RANGE,
    Memory,
    Noise,
)

N_QUESTIONS = 6
looks = st.lists(
    st.tuples(
        st.floats(0, 0.3),  # of the players removed since the look before
        st.sets(st.integers(0, N_QUESTIONS - 1), min_size=1),
    ),
    min_size=1,
    max_size=6,
)


NOISE = np.array([[1.0, -1.0], [-1.0, 1.0]])  # has a variance of 4 and no mean


def noisy(n_players: int, n_questions: int, *, variance: float = 4.0) -> Memory:
    """One that has met noise of two players more, who taught it nothing else."""
    memory = Memory(n_players + 2, n_questions)
    look = NOISE * np.sqrt(variance / 4)
    memory.update(np.array([n_players, n_players + 1]), np.arange(2), look, now=0.0)
    return memory


def covariance(
    a: list[tuple[float, int]],
    b: list[tuple[float, int]],
    variance: float,
    *,
    own_only: bool = False,
) -> np.ndarray:
    """Of deviations at (time, question), as the module defines them."""
    apart = np.abs(np.array([t for t, _ in a])[:, None] - np.array([t for t, _ in b]))
    same = np.array([q for _, q in a])[:, None] == np.array([q for _, q in b])
    shared = variance * np.exp(-apart / OWN_RANGE)
    return np.asarray(shared if own_only else shared + same * np.exp(-apart / QUESTION_RANGE))


Answers = dict[int, tuple[float, float]]  # question -> (time, deviation), the latest only


def posterior(
    wanted: list[tuple[float, int]], latest: Answers, variance: float, *, own_only: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance at (time, question), by the whole covariance matrix."""
    prior = np.diag(covariance(wanted, wanted, variance, own_only=own_only))
    if not latest:
        return np.zeros(len(wanted)), prior
    cells = [(when, question) for question, (when, _) in latest.items()]
    inverse = np.linalg.inv(covariance(cells, cells, variance))
    to_known = covariance(wanted, cells, variance, own_only=own_only)
    mean = to_known @ inverse @ np.array([z for _, z in latest.values()])
    return mean, prior - np.diag(to_known @ inverse @ to_known.T)


@given(looks, st.floats(0.01, 0.5), st.integers(0, 100))
@settings(max_examples=60)
def test_memory_is_the_posterior_of_the_process_given_the_latest_answers(
    history: list[tuple[float, set[int]]], later: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    memory, now = noisy(3, N_QUESTIONS), 0.0
    latest: list[Answers] = [{}, {}]
    for passed, questions in history:
        now += passed
        asked = np.array(sorted(questions))
        above = rng.normal(size=(2, len(asked))) + 5 * rng.normal(size=len(asked))
        at = [(now, question) for question in asked.tolist()]
        known = [posterior(at, one, memory.variance) for one in latest]
        means, variances = map(np.array, zip(*known, strict=True))
        alike = np.average(above - means, axis=0, weights=1 / np.maximum(1e-6, variances))
        for one, answers in zip(latest, above - alike, strict=True):
            one |= {q: (now, z) for q, z in zip(asked.tolist(), answers.tolist(), strict=True)}
        memory.update(np.arange(2), asked, above, now=now)
    now += later
    means, spread = memory.own(np.arange(3), now=now)
    unit = spread[2] ** 2 / memory.variance  # nobody asked about the last one
    for player, one in enumerate(latest):
        mean, variance = posterior([(now, -1)], one, memory.variance, own_only=True)
        np.testing.assert_allclose(means[player], mean[0], rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(spread[player] ** 2, variance[0] * unit, atol=1e-6)
        everywhere = [(now, question) for question in range(N_QUESTIONS)]
        mean, variance = posterior(everywhere, one, memory.variance)
        found = memory.on_questions(player, np.arange(N_QUESTIONS), now=now)
        np.testing.assert_allclose(found[0], mean, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(found[1], variance, atol=2e-6)


def test_of_a_player_never_asked_nothing_is_known() -> None:
    memory = noisy(3, 4)
    means, variances = memory.on_questions(2, np.array([1, 3]), now=0.5)
    np.testing.assert_array_equal(means, 0)
    np.testing.assert_allclose(variances, memory.variance + 1)


def test_questions_never_asked_tell_most_and_old_answers_more_than_fresh_ones() -> None:
    memory = Memory(2, 4)
    memory.update(np.array([0]), np.array([0]), np.zeros((1, 1)), now=0.0)
    memory.update(np.array([0]), np.array([1]), np.zeros((1, 1)), now=0.4)
    information = memory.information(np.array([0]), now=0.5)
    assert 0 < information[1] < information[0] < information[2] == information[3] == 1
    np.testing.assert_allclose(memory.information(np.array([0, 1]), now=0.5), information + 1)


def test_what_a_question_gives_every_player_does_not_count() -> None:
    rng = np.random.default_rng(0)
    above, alike = rng.normal(size=(4, 5)), 10 * rng.normal(size=5)
    players, questions = np.arange(4), np.arange(5)
    plain, shifted = Memory(4, 9), Memory(4, 9)
    for _ in range(2):
        plain.update(players, questions, above, now=0.0)
        shifted.update(players, questions, above + alike, now=0.0)
    np.testing.assert_allclose(
        plain.own(players, now=0.1), shifted.own(players, now=0.1), atol=1e-12
    )


def test_the_spread_of_own_parts_is_learnt_from_first_answers() -> None:
    rng = np.random.default_rng(0)
    for true in (0.0, 0.2, 2.0, 1e6):
        memory = noisy(300, 12, variance=9)
        for first in range(0, 300, 5):
            own = np.sqrt(true) * rng.normal(size=(5, 1))
            players = np.arange(first, first + 5)
            above = 3 * (own + rng.normal(size=(5, 12)))
            memory.update(players, np.arange(12), above, now=first / 300)
        expected = np.clip(true, LEAST_OWN, MOST_OWN)
        np.testing.assert_allclose(memory.variance, expected, rtol=0.3, atol=0.03)


def test_answers_are_believed_as_long_as_all_questions_agree() -> None:
    memory, players = Memory(3, 4), np.arange(3)
    own = np.array([[1.0], [-3.0], [2.0]])
    memory.update(players, np.arange(2), np.repeat(own, 2, axis=1), now=0.0)
    means, spread = memory.own(players, now=0.0)
    np.testing.assert_allclose(means, own[:, 0], rtol=0.01)
    np.testing.assert_array_equal(spread, 0)  # of no noise
    memory.update(players, np.arange(2), own + 2 * np.array([[1, -1], [-1, 1], [0, 0]]), now=0.0)
    believed, spread = memory.own(players, now=0.0)
    assert (np.abs(believed) < 0.7 * np.abs(means)).all()
    assert (spread > 0).all()


def test_noise_is_how_far_questions_disagree_about_players() -> None:
    rng = np.random.default_rng(0)
    noise = Noise()
    noise.update(np.add.outer(rng.normal(size=3), rng.normal(size=4)))  # no disagreement at all
    noise.update(np.ones((3, 4)))
    noise.update(np.zeros((3, 4)))
    noise.update(rng.normal(size=(1, 4)))  # of a single player
    noise.update(rng.normal(size=(3, 1)))  # on a single question
    assert noise.variance == 0
    for _ in range(200):
        alike = np.add.outer(rng.normal(size=5), rng.normal(size=8))
        noise.update(alike + 3 * rng.normal(size=(5, 8)))
    assert noise.variance == pytest.approx(9, rel=0.5)
