"""What a walk remembers: its posterior is that of the Gaussian process, cell by cell."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from headspex.schedules.memory import MOST, OWN, OWN_RANGE, QUESTION_RANGE, Memory

N_QUESTIONS = 6
looks = st.lists(
    st.tuples(
        st.floats(0, 0.3),  # of the players removed since the look before
        st.sets(st.integers(0, N_QUESTIONS - 1), min_size=1),
    ),
    min_size=1,
    max_size=6,
)


def noisy(n_players: int, n_questions: int) -> Memory:
    """One that knows of noise, and nothing else; its last player is one more."""
    memory = Memory(n_players + 1, n_questions)
    memory.see(np.array([n_players]), np.arange(1), np.zeros((1, 1)), noise=1.0, now=0.0)
    return memory


def covariance(
    a: list[tuple[float, int]], b: list[tuple[float, int]], *, own_only: bool = False
) -> np.ndarray:
    """Of deviations at (time, question), as the module defines them."""
    apart = np.abs(np.array([t for t, _ in a])[:, None] - np.array([t for t, _ in b]))
    same = np.array([q for _, q in a])[:, None] == np.array([q for _, q in b])
    shared = OWN * np.exp(-apart / OWN_RANGE)
    return np.asarray(shared if own_only else shared + same * np.exp(-apart / QUESTION_RANGE))


@given(looks, st.floats(0.01, 0.5), st.integers(0, 100))
@settings(max_examples=60, deadline=None)
def test_memory_is_the_posterior_of_the_process_given_the_latest_answers(
    history: list[tuple[float, set[int]]], later: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    memory, now, latest = noisy(2, N_QUESTIONS), 0.0, dict[int, tuple[float, float]]()
    for passed, questions in history:
        now += passed
        asked = np.array(sorted(questions))
        answers = rng.normal(size=len(asked))
        memory.keep(np.array([1]), asked, answers[None], now=now)
        latest |= {q: (now, z) for q, z in zip(asked.tolist(), answers.tolist(), strict=True)}
    now += later
    cells = [(when, question) for question, (when, _) in latest.items()]
    known = np.array([z for _, z in latest.values()])
    inverse = np.linalg.inv(covariance(cells, cells))

    whole = [(now, -1)]
    to_known = covariance(whole, cells, own_only=True)
    means, spread = memory.own(np.array([0, 1]), now=now)
    np.testing.assert_allclose(means, [0, (to_known @ inverse @ known).item()], atol=1e-9)
    variance = OWN - (to_known @ inverse @ to_known.T).item()
    np.testing.assert_allclose(spread, np.sqrt([OWN, variance]), atol=1e-9)

    wanted = [(now, question) for question in range(N_QUESTIONS)]
    to_known = covariance(wanted, cells)
    means, variances = memory.on_questions(1, np.arange(N_QUESTIONS), now=now)
    np.testing.assert_allclose(means, to_known @ inverse @ known, atol=1e-9)
    expected = covariance(wanted, wanted) - to_known @ inverse @ to_known.T
    np.testing.assert_allclose(variances, np.diag(expected), atol=2e-6)


def test_of_a_player_never_asked_nothing_is_known() -> None:
    memory = noisy(3, 4)
    means, variances = memory.on_questions(2, np.array([1, 3]), now=0.5)
    np.testing.assert_array_equal(means, 0)
    np.testing.assert_allclose(variances, OWN + 1)


def test_questions_never_asked_tell_most_and_old_answers_more_than_fresh_ones() -> None:
    memory = Memory(2, 4)
    memory.keep(np.array([0]), np.array([0]), np.zeros((1, 1)), now=0.0)
    memory.keep(np.array([0]), np.array([1]), np.zeros((1, 1)), now=0.4)
    news = memory.news(np.array([0]), now=0.5)
    assert 0 < news[1] < news[0] < news[2] == news[3] == 1
    np.testing.assert_allclose(memory.news(np.array([0, 1]), now=0.5), news + 1)


def test_what_a_question_gives_every_player_does_not_count() -> None:
    rng = np.random.default_rng(0)
    above, alike = rng.normal(size=(4, 5)), 10 * rng.normal(size=5)
    players, questions = np.arange(4), np.arange(5)
    plain, shifted = Memory(4, 9), Memory(4, 9)
    for _ in range(2):
        plain.see(players, questions, above, noise=1.0, now=0.0)
        shifted.see(players, questions, above + alike, noise=1.0, now=0.0)
    np.testing.assert_allclose(
        plain.own(players, now=0.1), shifted.own(players, now=0.1), atol=1e-12
    )


def test_the_spread_of_own_parts_is_learnt_from_first_answers() -> None:
    rng = np.random.default_rng(0)
    for true in (0.0, 0.2, 2.0, 1e6):
        memory = noisy(300, 12)
        assert memory.variance == OWN
        for first in range(0, 300, 5):
            own = np.sqrt(true) * rng.normal(size=(5, 1))
            players = np.arange(first, first + 5)
            above = 3 * (own + rng.normal(size=(5, 12)))
            memory.see(players, np.arange(12), above, noise=9.0, now=first / 300)
        np.testing.assert_allclose(memory.variance, np.clip(true, 0.01, MOST), rtol=0.3, atol=0.03)


def test_answers_are_believed_as_long_as_all_questions_agree() -> None:
    memory, players = Memory(3, 4), np.arange(3)
    own = np.array([1.0, -3.0, 2.0])
    memory.see(players, np.arange(2), np.repeat(own[:, None], 2, axis=1), noise=0.0, now=0.0)
    means, _ = memory.own(players, now=0.0)
    np.testing.assert_allclose(means, own, rtol=0.01)
    memory.see(players, np.arange(2), np.repeat(own[:, None], 2, axis=1), noise=1.0, now=0.0)
    believed, _ = memory.own(players, now=0.0)
    assert (np.abs(believed) < 0.7 * np.abs(means)).all()
