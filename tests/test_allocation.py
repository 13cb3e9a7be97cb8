"""How the search's budget is spent, and why."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_plans import made_plan

from headspex.budget.allocation import (
    UNEXPLAINED,
    Allocation,
    allocate,
    best_count,
    choose_keep,
    spend,
)
from headspex.budget.flops import MaskCosts
from headspex.budget.pilot import KEEPS, QUESTIONS, Probe
from headspex.budget.plan import Plan
from headspex.settings import Settings

PLAN = made_plan(
    n_players=20, n_search=40, n_heldout=40, n_fresh=100, sizes=(2,), search_budget=50_000
)


def _probe(keep: float, accuracy: float, between: float, low: float | None = None) -> Probe:
    return Probe(keep, 100, accuracy, accuracy - 0.03 if low is None else low, between, within=0.1)


def _shared(start: float) -> MaskCosts:
    """A beginning of `start` questions that all of 100 questions share."""
    return MaskCosts(0.0, 1.0, np.array([start]), np.array([100]), n_questions=100)


class _Judge:
    """A planted model of 20 heads: right if enough of the first ten stay on, or by luck."""

    players = range(20)

    def __init__(self, needed: float) -> None:
        self.needed, self.passes = needed, 0

    def ask(self, masks: np.ndarray, asked: np.ndarray, **how: Any) -> dict[str, np.ndarray]:
        self.passes += asked.size
        rng = np.random.default_rng(0)
        works = masks[:, :10].mean(axis=1) >= self.needed
        right = np.where(works, 0.95, 0.25)[:, None] > rng.random(asked.shape)
        return {metric: right.astype(float) for metric in how["metrics"]}


def _allocate(judge: Any, plan: Plan = PLAN, **settings: Any) -> Allocation:
    return allocate(plan, Settings(**settings), judge, chance=0.25, costs=lambda: _shared(1.0))


def test_the_keep_whose_answers_say_most_is_chosen_of_those_at_which_masks_differ() -> None:
    probes = [
        Probe(0.5, 100, 0.5, 0.48, between=0.030, within=0.20),
        Probe(0.6, 100, 0.6, 0.58, between=0.028, within=0.15),
        Probe(0.9, 100, 0.9, 0.88, between=0.010, within=0.01),
    ]
    assert choose_keep(probes, chance=0.25).keep == 0.6


def test_a_keep_at_which_the_model_guesses_is_not_chosen_however_much_its_masks_differ() -> None:
    probes = [_probe(0.5, 0.3, 0.9, low=0.24), _probe(0.6, 0.35, 0.5), _probe(0.8, 0.9, 0.01)]
    assert choose_keep(probes, chance=0.25).keep == 0.8


def test_a_model_that_always_guesses_is_searched_where_its_masks_differ_most() -> None:
    probes = [_probe(0.5, 0.25, 0.0), _probe(0.9, 0.25, 0.2)]
    assert choose_keep(probes, chance=0.25).keep == 0.9


@given(st.floats(0.1, 1e3), st.floats(0.01, 1.0), st.floats(0.05, 1.0))
def test_with_one_beginning_the_best_count_is_the_square_root_of_the_costs_and_variances(
    start: float, within: float, between: float
) -> None:
    best = np.sqrt(start * within / (UNEXPLAINED * between))
    found = best_count(_shared(start), Probe(0.5, 10**6, 0.5, 0.5, between, within))
    # Of the two whole numbers around it, one.
    assert found in np.clip([np.floor(best), np.ceil(best)], 1, 100)


def test_where_starting_costs_nothing_one_question_is_best_and_where_it_is_all_that_costs_all() -> (
    None
):
    seen = _probe(0.5, 0.6, 0.02)
    assert best_count(_shared(0.0), seen) == 1
    assert best_count(_shared(1e9), seen) == 100


def test_masks_that_seem_not_to_differ_ask_for_a_number_all_the_same() -> None:
    assert 1 <= best_count(_shared(1.0), _probe(0.5, 0.6, -0.01)) <= 100


@given(st.integers(10, 10**6), st.integers(1, 60), st.integers(4, 30), st.integers(10, 60))
def test_no_budget_is_ever_exceeded(budget: int, per_mask: int, players: int, search: int) -> None:
    plan = made_plan(players, search, search, min(100, 2**players // 4), (1,), budget)
    found = spend(plan, 0.5, per_mask)
    assert found.passes <= budget
    assert 1 <= found.questions_per_mask <= search
    assert found.n_masks <= plan.most_masks


def test_where_there_are_few_masks_the_budget_buys_each_of_them_more_questions() -> None:
    few = made_plan(4, 50, 50, 4, (1,), 6_000)
    assert spend(few, 0.5, 2) == Allocation(0.5, 50, 12)


def test_what_was_asked_for_is_taken_without_a_pilot() -> None:
    judge = _Judge(0.5)
    assert _allocate(judge, keep=0.8, questions_per_mask=3) == Allocation(0.8, 3, 16_666)
    assert _allocate(judge, keep=0.8, questions_per_mask="all").questions_per_mask == 40
    assert judge.passes == 0


def test_the_pilot_finds_where_the_planted_model_works_and_is_paid_from_the_budget(
    capsys: pytest.CaptureFixture[str],
) -> None:
    judge = _Judge(0.75)
    found = _allocate(judge)
    # At keep .5 and .6 fewer than a fifth of masks have eight of the ten heads, at .95 nearly all.
    assert found.keep in (0.7, 0.8)
    assert judge.passes == found.pilot_passes == len(KEEPS) * found.n_pilot * QUESTIONS
    assert 0 <= PLAN.search_budget - found.passes < found.questions_per_mask
    told = capsys.readouterr().err.splitlines()
    assert told == [f"headspex: {reason}" for reason in found.reasons]
    assert told[0].startswith(f"headspex: keep {found.keep:g}, chosen from 0.5, ")
    assert "a mask: starting a mask costs as much as 1 questions" in told[1]


def test_only_what_is_left_open_is_chosen() -> None:
    assert _allocate(_Judge(0.75), questions_per_mask=3).questions_per_mask == 3
    found = _allocate(_Judge(0.75), keep=0.9)
    assert found.keep == 0.9
    assert len(found.probes) == len(found.reasons) == 1
    assert found.questions_per_mask > 1


def test_a_model_at_chance_under_all_masks_is_reported_in_one_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _allocate(_Judge(2.0), questions_per_mask=2)
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "the model is at chance under all of the pilot's masks" in told


def test_a_budget_too_small_for_a_pilot_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    judge = _Judge(0.75)
    found = _allocate(judge, made_plan(20, 40, 40, 100, (2,), 1_000))
    assert judge.passes == found.pilot_passes == 0
    assert "takes a budget of 6,144" in capsys.readouterr().err


def test_an_allocation_is_the_same_after_a_detour_through_json() -> None:
    found = _allocate(_Judge(0.75))
    assert Allocation.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    assert _allocate(_Judge(0.75)) == found
