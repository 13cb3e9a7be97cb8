"""What a few scored masks say about variances."""

from dataclasses import replace

import numpy as np
import pytest
from made_plans import made_plan

from headspex.budget.defaults import ANSWERS
from headspex.budget.pilot import (
    FEWEST_MASKS,
    QUESTIONS,
    components,
    draw_pilot,
    pilot_size,
    smallest_pilot,
)
from headspex.scores.spread import assign_questions

PLAN = made_plan(
    n_players=48, n_search=30, n_heldout=30, n_fresh=100, sizes=(2,), search_budget=50_000
)


def _scores(
    rng: np.random.Generator, between: float, of_questions: float, within: float
) -> tuple[np.ndarray, np.ndarray]:
    asked = assign_questions(100, 30, 8, rng=rng)
    masks, questions = rng.normal(size=(100, 1)), rng.normal(size=30)
    rest = rng.normal(size=asked.shape)
    scores = np.sqrt(between) * masks + np.sqrt(of_questions) * questions[asked]
    return 5 + scores + np.sqrt(within) * rest, asked


@pytest.mark.parametrize("planted", [(0.3, 2.0, 1.0), (0.0, 0.5, 1.0), (1.0, 0.0, 0.0)])
def test_planted_variances_are_found_on_average(planted: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(0)
    found = np.array([components(*_scores(rng, *planted)) for _ in range(200)])
    error = found.std(axis=0) / np.sqrt(200)
    expected = planted[0], planted[2]
    np.testing.assert_array_less(np.abs(found.mean(axis=0) - expected), 4 * error + 0.01)


def test_questions_that_differ_do_not_make_masks_differ() -> None:
    asked = assign_questions(60, 30, 8, rng=np.random.default_rng(1))
    between, within = components(np.linspace(0, 1, 30)[asked], asked)
    assert abs(between) < 0.01
    assert abs(within) < 0.01


def test_masks_at_a_higher_keep_have_the_heads_of_those_at_a_lower_one_and_their_questions() -> (
    None
):
    low, high = (draw_pilot(PLAN, 50, keep=keep, seed=3) for keep in (0.5, 0.8))
    assert (high.masks >= low.masks).all()
    np.testing.assert_array_equal(high.asked, low.asked)
    assert high.masks.mean() == pytest.approx(0.8, abs=0.05)


def test_the_pilot_is_that_of_the_default_budget_or_the_least_or_is_left_out() -> None:
    def size(budget: int, n_players: int = 48) -> int:
        return pilot_size(replace(PLAN, search_budget=budget, n_players=n_players), 6)

    default = ANSWERS.search.of(48)
    assert size(default) == default // 16 // (6 * QUESTIONS) == 86
    assert size(4 * 86 * 6 * QUESTIONS) == size(10**9) == 86  # so a larger budget goes on with it
    assert size(10**9, n_players=1_024) == 86
    least = smallest_pilot(PLAN, 6)
    assert least == 4 * 6 * 8 * 32
    assert size(least) == size(4 * 86 * 6 * QUESTIONS - 1) == FEWEST_MASKS
    assert size(least - 1) == 0


def test_so_few_heads_that_the_pilot_would_score_most_of_their_masks_have_none() -> None:
    assert pilot_size(made_plan(5, 30, 30, 8, (2,), 10**6), 6) == 0
