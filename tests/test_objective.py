"""Objectives: a schedule keeps the highest score, or the whole model's behaviour."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_game import NoTokenizer
from test_pairs import drawn

import headspex
from headspex.errors import UsageError
from headspex.scores.store import ScoreStore
from headspex.tasks.pairs import Pair, pairs
from headspex.tasks.scoring import FREE_NATS, free_loss

SMALL: dict[str, Any] = {"budget": 1_200, "verify_budget": 2_500, "keep": 0.7, "threads": 1}


def margin(logits: Any, batch: Any) -> Any:
    return logits[:, -1, 5] - logits[:, -1, 7]


def run_of(bridge: Any, folder: Path, task: Any, **settings: Any) -> Any:
    study = headspex.Study(bridge, task, tokenizer=NoTokenizer(), **SMALL, **settings)
    study.run(folder)
    return headspex.load_run(folder)


def curve_of(run: Any, metric: str) -> list[float]:
    """Scores of the run's own schedule, by size."""
    return [p.score for p in run.curve if p.method == "proxyspex" and p.metric == metric]


@pytest.mark.slow
def test_a_schedule_that_matches_stays_nearer_than_one_that_scores_best(
    llama_bridge: Any, tmp_path: Path
) -> None:
    task = pairs("made", drawn(24))
    match = run_of(copy.deepcopy(llama_bridge), tmp_path / "match", task)
    best = run_of(copy.deepcopy(llama_bridge), tmp_path / "best", task, objective="best")
    assert (match.results["objective"], match.task_metric) == ("match", "kl")
    assert (best.results["objective"], best.task_metric) == ("best", "logit-diff")
    assert {p.metric for p in match.curve} == {"kl", "logit-diff", "accuracy"}
    assert match.results["unpruned"] == pytest.approx(0, abs=1e-6)
    assert match.results["may_cost"] == FREE_NATS
    # The spectrum explains the metric in both, from the same scores.
    assert match.metric == best.metric == "logit-diff"
    np.testing.assert_array_equal(match.spectrum.coefficients, best.spectrum.coefficients)
    assert np.mean(curve_of(match, "kl")) > np.mean(curve_of(best, "kl"))
    # Random prompts have nothing in common, so the highest score is one of the searched prompts.
    study = headspex.Study(llama_bridge, task, tokenizer=NoTokenizer(), **SMALL)
    with ScoreStore(":memory:") as store:
        searched = {
            name: study.judge(store).ask_all(
                run.schedule.masks(study.plan.sizes), np.arange(study.plan.n_search),
                metrics=["logit-diff"], what="searched",
            )["logit-diff"].mean()
            for name, run in (("match", match), ("best", best))
        }  # fmt: skip
    assert searched["best"] > searched["match"]
    identity = json.loads((tmp_path / "match/run.json").read_text())["identity"]
    assert identity["objective"] == "match"
    assert re.search(r"KL divergence (may be up to )?[\d.]+ nats", str(match))


def test_a_metric_of_ones_own_is_matched_question_by_question(
    llama_bridge: Any, tmp_path: Path
) -> None:
    prompts = [pair.clean for pair in drawn(24)]
    task = headspex.tasks.game(margin, prompts, positions="last")
    run = run_of(copy.deepcopy(llama_bridge), tmp_path / "run", task, objective="match")
    assert run.task_metric == "distance"
    assert run.results["unpruned"] == 0
    whole = next(p.score for p in run.curve if p.n_pruned == 0 and p.metric == "value")
    assert run.results["may_cost"] == pytest.approx((0.1 * whole) ** 2)
    assert (np.array(curve_of(run, "distance")) <= 0).all()
    assert "mean squared distance" in str(run)


@pytest.mark.slow
def test_a_metric_without_a_gradient_is_refined_by_a_walk_with_a_word(
    llama_bridge: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def in_numbers(logits: Any, batch: Any) -> Any:
        return margin(logits, batch).detach().numpy()

    prompts = [pair.clean for pair in drawn(24)]
    task = headspex.tasks.game(in_numbers, prompts, positions="last")
    run = run_of(copy.deepcopy(llama_bridge), tmp_path / "run", task)
    said = capsys.readouterr().err
    assert "refining by a walk on the model, as gradients need a metric that torch can" in said
    assert run.results["refine_passes"] > 0


def test_what_counts_as_no_loss_depends_on_the_metric() -> None:
    assert free_loss(None, "accuracy", 0.8) == 0.01
    assert free_loss(None, "logit-diff", -4.0) == pytest.approx(0.04)
    assert free_loss(None, "kl", 0.0) == FREE_NATS
    assert free_loss(None, "distance", -4.0) == pytest.approx(0.16)
    assert free_loss(0.3, "kl", 0.0) == 0.3


def test_every_task_but_ones_own_metric_has_the_divergence(llama_bridge: Any) -> None:
    wrong: Any = {"objective": "worst"}
    found = headspex.Study("tiny", "mini", metric="kl").objective
    assert (found.name, found.aim, found.judged_in) == ("match", "kl", "kl")
    found = headspex.Study("tiny", "mini", objective="match").objective
    assert (found.metric, found.aim, found.judged_in) == ("accuracy", "kl", "kl")
    assert found.curve == ("kl", "accuracy")
    task = headspex.tasks.game(margin, [(1, 2), (3, 4)])
    with pytest.raises(UsageError, match="metric must be one of value for task margin"):
        _ = headspex.Study(llama_bridge, task, metric="kl").task
    with pytest.raises(UsageError, match=r"objective must be best or match, but .*worst"):
        headspex.Study("tiny", "mini", **wrong)


def test_pairs_are_evaluated_without_lm_eval_and_a_task_hardly_done_is_said(
    llama_bridge: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from headspex.evaluation.evaluate import evaluation

    # A random model answers few of them, as thirty tokens are wrong.
    hard = [Pair.of(pair.clean, [300], range(3, 33)) for pair in drawn(24)]
    task = pairs("made", hard)
    study = headspex.Study(llama_bridge, task, tokenizer=NoTokenizer(), **SMALL, refine=0)
    found = evaluation(study, study.questions_of("heldout"))
    assert found.metric == "logit-diff"
    assert len(found.to_dict()["log_likelihoods"][0]) == 31
    study.run(tmp_path / "run")
    assert "of the prompts right, so it hardly does this task" in capsys.readouterr().err
