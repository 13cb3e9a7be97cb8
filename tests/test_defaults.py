"""What a run spends that names no budget: minutes, however many heads there are."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from headspex.budget.defaults import ANSWERS, GATED_TEXTS, PAIRS, TEXTS, Passes, defaults_of
from headspex.budget.refinement import GATES, SLOPES, VALUES, refined_by
from headspex.setup import Setup
from headspex.tasks import load_task


@given(st.integers(4, 10_000), st.integers(1, 5_000), st.integers(0, 5_000), st.integers(0, 5_000))
def test_passes_grow_with_heads_between_their_bounds(
    heads: int, each: int, least: int, more: int
) -> None:
    passes = Passes(each, least, least + more)
    assert least <= passes.of(heads) <= least + more
    assert passes.of(heads) <= passes.of(heads + 1)
    if least <= each * heads <= least + more:
        assert passes.of(heads) == each * heads


def test_pairs_take_fewer_passes_than_answers(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"clean": "Paris is in", "answers": [" France"], "wrong": [" Spain"]}\n' * 2)
    assert defaults_of(load_task(str(path)), by=GATES) is PAIRS
    assert defaults_of(load_task("mini"), by=VALUES) is ANSWERS
    assert PAIRS.search.of(270) < ANSWERS.search.of(270)


def test_a_text_has_budgets_of_its_own_and_gates_those_of_gates(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("Once upon a time there was a small house by the sea. " * 400)
    text = load_task(f"text:{path}")
    for heads, by, defaults in ((40, SLOPES, TEXTS), (270, GATES, GATED_TEXTS)):
        assert refined_by(text, "logprob", rescale=False, n_players=heads) == by
        assert defaults_of(text, by=by) is defaults
    assert GATED_TEXTS.search.of(270) < TEXTS.search.of(270)


def test_no_more_than_48_heads_take_for_a_model_of_a_thousand() -> None:
    assert ANSWERS.search.of(1_024) == ANSWERS.search.of(48) == 48 * 1_376
    assert ANSWERS.verify.of(1_024) == ANSWERS.verify.of(48)


def test_a_run_without_budgets_has_the_plan_of_its_tasks_defaults() -> None:
    assert Setup("tiny", "mini").plan.search_budget == ANSWERS.search.of(48)
    named = Setup("tiny", "mini", budget=9_000)
    assert named.plan.search_budget == 9_000
