"""How budgets become masks and questions."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headspex.budget.plan import make_plan
from headspex.errors import UsageError
from headspex.settings import Settings
from headspex.study import Study
from headspex.walk.gate_gradients import LOOK
from headspex.walk.sizes import FEWEST_WALK_QUESTIONS, WALK_SHARE, WalkSizes
from headspex.walk.slope_field import MOST

SIZES = (st.integers(4, 200), st.integers(10, 500), st.integers(10, 500))  # players, questions


@given(*SIZES, st.integers(100, 10**6), st.booleans())
def test_no_budget_is_ever_exceeded(
    players: int, search: int, heldout: int, budget: int, circuits: bool
) -> None:
    settings = Settings(budget=budget, verify_budget=10**6)
    plan = make_plan(
        settings, n_players=players, n_search=search, n_heldout=heldout, circuits=circuits
    )
    assert plan.search_budget == budget
    assert plan.verify_passes <= 10**6
    assert plan.n_search == search
    assert plan.n_heldout <= heldout


def test_the_passes_of_a_small_run_are_counted_by_hand() -> None:
    settings = Settings(budget=1_000, verify_budget=5_280, questions_per_mask=3)
    plan = make_plan(settings, n_players=40, n_search=500, n_heldout=500)
    # 53 % are for 100 fresh masks with 27 questions, four fifths of them of the search; of the
    # 2,580 passes left 55 % are for ten masks of the whole model and ProxySPEX, the others for the
    # nine sizes of six other schedules.
    assert (plan.n_search, plan.n_fresh, plan.fresh_search, plan.fresh_heldout) == (500, 100, 22, 5)
    assert plan.n_heldout == 1_419 // 10 == 141
    assert plan.n_compared == (2_580 - 1_410) // 54 == 21
    assert plan.verify_passes == 100 * 27 + 10 * 141 + 54 * 21
    assert plan.sizes == (4, 8, 12, 16, 20, 24, 28, 32, 36)


def test_half_of_a_walk_goes_for_slopes_where_there_are_any() -> None:
    plan = make_plan(Settings(budget=10_000), n_players=40, n_search=50, n_heldout=50)
    assert (plan.n_search, plan.sizes[-1]) == (50, 36)
    tried = 36 * 5  # with 2,500 passes; at the last step five players are left
    assert plan.walking(by_slopes=False) == WalkSizes(2_500 // 180, 0, tried * 13)
    # Slopes of 50 questions cost 150 passes: 8 times 150 are all that 1,250 pay for.
    assert plan.walking(by_slopes=True) == WalkSizes(1_300 // 180, 8, tried * 7 + 1_200)


def test_where_every_candidate_is_asked_everything_slopes_are_not_taken() -> None:
    plan = make_plan(Settings(budget=100_000), n_players=40, n_search=50, n_heldout=50)
    assert plan.walking(by_slopes=True) == plan.walking(by_slopes=False)
    assert plan.walking(by_slopes=True).questions == plan.n_search


def test_no_more_slopes_are_paid_for_than_are_remembered() -> None:
    settings = Settings(budget=1_024 * 1_536, verify_budget=1_024 * 1_344)
    plan = make_plan(settings, n_players=1_024, n_search=512, n_heldout=512)
    assert plan.walking(by_slopes=True).slopes * LOOK == MOST
    steps, budget = plan.sizes[-1], 1_024 * 1_536 // 4
    # What they leave is for answers: five candidates a step.
    assert plan.walking(by_slopes=True).questions == (budget - 3 * MOST) // (5 * steps)


@given(st.integers(4, 200), st.integers(10, 2_000), st.integers(2_000, 10**6), st.booleans())
def test_a_walk_costs_at_most_its_share(
    players: int, search: int, budget: int, by_slopes: bool
) -> None:
    settings = Settings(budget=budget, verify_budget=10**6)
    plan = make_plan(settings, n_players=players, n_search=search, n_heldout=50)
    walking = plan.walking(by_slopes=by_slopes)
    if walking.questions > FEWEST_WALK_QUESTIONS:
        assert walking.passes <= WALK_SHARE * budget
    assert 2 <= walking.questions <= plan.n_search
    by = "slopes" if by_slopes else "values"
    total = plan.passes_total(2, by) - plan.passes_total(0, by)
    assert total == 2 * walking.passes


@given(*SIZES, st.integers(1, 10**5), st.booleans())
@example(10, 10, 10, 2_123, False)  # where rounding once left too few held-out questions
def test_no_verify_budget_is_ever_exceeded_or_leaves_a_mask_without_answers(
    players: int, search: int, heldout: int, verify: int, circuits: bool
) -> None:
    settings = Settings(verify_budget=verify, look_every=1_000)
    sizes: dict[str, Any] = {
        "n_players": players, "n_search": search, "n_heldout": heldout, "circuits": circuits,
    }  # fmt: skip
    try:
        plan = make_plan(settings, **sizes)
    except UsageError as error:
        least = int(re.findall(r"at least (\d+)", str(error))[0])
        assert least > verify
        settings = replace(settings, verify_budget=least)
        plan = make_plan(settings, **sizes)
        verify = least
    assert plan.verify_passes <= verify
    assert 2 <= plan.fresh_search <= search
    assert 2 <= plan.fresh_heldout <= heldout
    assert 10 <= plan.n_compared <= plan.n_heldout <= heldout


@pytest.mark.parametrize(
    ("players", "questions", "heldout"), [(48, 600, 600), (270, 100, 100), (1_024, 7_000, 707)]
)
def test_verification_costs_less_than_half_of_the_search_by_default(
    players: int, questions: int, heldout: int
) -> None:
    plan = make_plan(Settings(), n_players=players, n_search=questions, n_heldout=questions)
    assert plan.verify_passes < plan.search_budget / 2
    assert plan.n_search == questions
    assert plan.n_heldout == heldout  # as many as the budget pays at ten sizes


def test_few_heads_have_few_sizes_and_few_masks() -> None:
    plan = make_plan(Settings(), n_players=4, n_search=50, n_heldout=50)
    assert plan.sizes == (1, 2, 3)
    assert plan.most_masks + plan.n_fresh == 16  # fresh masks are other masks


@pytest.mark.parametrize(("players", "search", "heldout"), [(3, 50, 50), (8, 2, 1), (8, 50, 9)])
def test_too_few_heads_or_questions_are_refused(players: int, search: int, heldout: int) -> None:
    with pytest.raises(UsageError, match="at least"):
        make_plan(Settings(), n_players=players, n_search=search, n_heldout=heldout)


def test_too_short_a_text_is_told_to_be_longer(model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("The fox is red. " * 200)
    study = Study(model_folder, f"text:{tmp_path / 'short.txt'}", threads=1)
    with pytest.raises(UsageError, match="add text, of which 1,000 characters make a question"):
        _ = study.plan


@pytest.mark.parametrize(
    ("budgets", "flag"),
    [({"budget": 3}, "budget"), ({"verify_budget": 50}, "verify_budget")],
)
def test_a_budget_that_cannot_say_anything_is_refused_with_the_least(
    budgets: dict[str, Any], flag: str
) -> None:
    with pytest.raises(UsageError, match=rf"{flag} must be at least \d+"):
        make_plan(Settings(**budgets), n_players=48, n_search=600, n_heldout=600)


@pytest.mark.parametrize(
    ("given_", "flag"),
    [
        ({"budget": 0}, "budget"),
        ({"verify_budget": -5}, "verify_budget"),
        ({"questions_per_mask": 0}, "questions_per_mask"),
        ({"shots": 6}, "shots"),
        ({"questions_per_mask": "some"}, "questions_per_mask"),
        ({"keep": 1.0}, "keep"),
        ({"keep": "half"}, "keep"),
        ({"protocol": "mine"}, "protocol must be paper"),
        ({"keep": float("nan")}, "keep"),
        ({"ablation": "noise"}, "ablation"),
        ({"ablation": "mean", "rescale": True}, "rescale"),
        ({"seed": -1}, "seed"),
    ],
)
def test_impossible_settings_are_refused_by_their_flag(given_: dict[str, Any], flag: str) -> None:
    with pytest.raises(UsageError, match=flag):
        Settings(**given_)
