"""Gradients of a search: what they add to a fit, and how a run takes, keeps and counts them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SHARED
from hypothesis import given
from hypothesis import strategies as st
from made_plans import made_plan
from run_files import files_of, passes_of
from test_game import NoTokenizer
from test_objective import SMALL
from test_pairs import drawn

import headspex
from headspex.budget.allocation import GRADIENTS, MOST_GRADIENTS, gradients_within, spend
from headspex.engine.faithfulness import Measured, faithfulness
from headspex.engine.fit import fit_spectrum
from headspex.engine.methods.gradient import after_gradient
from headspex.engine.observations import Observations, observe
from headspex.engine.spectrum import Spectrum
from headspex.errors import NoGradientError, UsageError
from headspex.gates.annealing import clipped
from headspex.scores.block import SLOPE_BLOCK, SLOPE_PASSES
from headspex.scores.spread import mask_values
from headspex.tasks.pairs import pairs


def mean_alone(data: Observations) -> Spectrum:
    return Spectrum.from_dict({(): data.mean}, n_players=data.n_players, keep=data.keep)


@given(st.integers(0, 2**32 - 1), st.floats(0.2, 0.9), st.sampled_from([-3.0, 1e-6, 1e9]))
def test_a_linear_function_is_its_gradient_in_any_unit(seed: int, keep: float, unit: float) -> None:
    rng = np.random.default_rng(seed)
    effects, masks = rng.normal(size=9), rng.random((60, 9)) < keep
    values = 5 + masks @ effects
    data = observe(masks, values, keep=keep, weights=rng.random(60) + 0.5)
    found = after_gradient(mean_alone, unit * effects)(data)
    np.testing.assert_allclose(found.predict(masks), values, atol=1e-9)


def test_a_gradient_that_says_all_leaves_a_constant_to_fit() -> None:
    rng = np.random.default_rng(2)
    masks, effects = rng.random((200, 8)) < 0.7, rng.integers(-4, 5, size=8).astype(float)
    found = fit_spectrum(masks, masks @ effects, keep=0.7, gradient=effects)
    np.testing.assert_allclose(found.predict(masks), masks @ effects, atol=1e-6)


def test_a_gradient_that_says_nothing_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    data = observe(rng.random((80, 6)) < 0.5, rng.normal(size=80))
    found = after_gradient(mean_alone, np.zeros(6))(data)
    assert found.to_dict() == mean_alone(data).to_dict()


def test_a_rough_gradient_helps_where_masks_are_few_and_hurts_little_where_it_is_wrong() -> None:
    rng = np.random.default_rng(1)
    effects = rng.standard_t(3, size=80)
    masks, fresh = rng.random((150, 80)) < 0.8, rng.random((400, 80)) < 0.8
    values = masks @ effects + 4 * rng.normal(size=150)
    r2 = {}
    for name, gradient in (
        ("none", None),
        ("rough", effects * rng.uniform(0.3, 1.5, 80) + 0.3 * rng.normal(size=80)),
        ("wrong", rng.normal(size=80)),
    ):
        told = fit_spectrum(masks, values, keep=0.8, gradient=gradient).predict(fresh)
        found = faithfulness(Measured.exactly(fresh @ effects), told)
        assert found is not None
        r2[name] = found.r2
    assert r2["rough"] > r2["none"] + 0.1
    assert r2["wrong"] > r2["none"] - 0.05


@pytest.mark.parametrize("gradient", [[1.0, 2.0], [[1.0] * 6], [1, 2, 3, 4, 5, float("nan")]])
def test_a_gradient_of_other_players_is_refused(gradient: Any) -> None:
    masks = np.random.default_rng(0).random((40, 6)) < 0.5
    with pytest.raises(UsageError, match="gradient must be one finite number for each of the 6"):
        fit_spectrum(masks, masks.sum(axis=1), gradient=gradient)


@given(st.integers(200, 200_000), st.integers(1, 5), st.integers(0, 100))
def test_gradients_are_paid_by_the_budget_of_the_search(
    budget: int, per_mask: int, pilot: int
) -> None:
    plan = made_plan(50, 40, 40, 100, (2,), budget)
    found = spend(plan, 0.8, per_mask, pilot_passes=pilot, gradients=True)
    assert budget - per_mask < found.passes <= budget
    assert found.questions_per_mask == per_mask
    assert found.n_gradients == gradients_within(budget - pilot, per_mask)
    assert found.n_gradients % SLOPE_BLOCK == 0
    assert found.n_gradients <= MOST_GRADIENTS
    assert found.gradient_passes <= GRADIENTS * budget
    alone = spend(plan, 0.8, per_mask, pilot_passes=pilot)
    assert found.without_gradients.passes == pytest.approx(alone.passes, abs=per_mask)


def test_a_run_of_pairs_takes_gradients_keeps_them_and_is_the_same_again(
    llama_bridge: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = pairs("made", drawn(24))
    for name in ("once", "again"):
        settings: dict[str, Any] = {**SMALL, "refine": 0, "questions_per_mask": 1}
        headspex.Study(llama_bridge, task, tokenizer=NoTokenizer(), **settings).run(tmp_path / name)
    run = headspex.load_run(tmp_path / "once")
    taken = run.results["allocation"]["n_gradients"]
    assert taken == gradients_within(1_200, 1) > 0
    assert passes_of(tmp_path / "once") == run.results["passes_total"]
    assert files_of(tmp_path / "once") == files_of(tmp_path / "again")
    assert f"{SLOPE_PASSES * taken} of them gradients of the search" in str(run)
    assert "fitting without gradients" not in capsys.readouterr().err


def test_a_run_whose_metric_lost_its_gradient_says_so_and_goes_on(
    llama_bridge: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none(*given: Any, **how: Any) -> None:
        raise NoGradientError("this model has no gradients")

    monkeypatch.setattr("headspex.scores.judge.Judge.slopes", none)
    settings: dict[str, Any] = {**SMALL, "refine": 0, "questions_per_mask": 1}
    task = pairs("made", drawn(24))
    headspex.Study(llama_bridge, task, tokenizer=NoTokenizer(), **settings).run(tmp_path / "run")
    said = capsys.readouterr().err
    assert said.count("fitting without gradients, as this model has no gradients") == 1


@pytest.mark.slow
def test_on_a_real_model_gradients_tell_more_than_as_many_passes_of_masks() -> None:
    path = SHARED / "real/smollm2_ioi_keep80.npz"
    if not path.exists():
        pytest.skip("the scores of a real model's heads are not in ../shared/real")
    game = np.load(path)
    fresh, truth = game["fresh_masks"], game["fresh_score"][:, :22].mean(axis=1)
    gains = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        passes, taken = 1_000, 96
        answers = rng.permutation(np.arange(256, len(game["row"])))[:passes]
        rows = rng.permutation(len(game["slope"]))[:taken]
        slopes = game["slope"][rows].astype(float)
        limit = float(np.median(np.linalg.norm(slopes, axis=1)))
        gradient = clipped(slopes, limit).mean(axis=0)
        r2 = []
        for known, few in ((None, answers), (gradient, answers[SLOPE_PASSES * taken :])):
            masks, numbers = game["masks"][game["row"][few]], np.arange(len(few))
            values = mask_values(game["score"][few], numbers, game["asked"][few], 22, masks)
            told = fit_spectrum(masks, values, keep=0.8, gradient=known).predict(fresh)
            found = faithfulness(Measured.exactly(truth), told)
            assert found is not None
            r2.append(found.r2)
        gains.append(r2[1] - r2[0])
    assert np.mean(gains) > 0.05
