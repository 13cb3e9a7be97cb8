"""`headspex compare`: every method on the scores that one run paid for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from threadpoolctl import threadpool_limits

from headspex.budget.allocation import Allocation
from headspex.budget.sample import Sample, draw_sample
from headspex.comparison.fits import (
    faithfulness_points,
    fit_all,
    fit_own_masks,
    predictions,
    search_parts,
)
from headspex.comparison.methods import OURS
from headspex.comparison.orders import ORDERS, Known
from headspex.comparison.outcome import Comparison
from headspex.comparison.standings import Evidence, best_predicting, best_pruning, standings
from headspex.engine.spectrum import Spectrum
from headspex.errors import UsageError
from headspex.files import read_text
from headspex.runs.curve import CurvePoint
from headspex.runs.findings import curve_metrics, random_schedules, search_scores
from headspex.runs.lock import locked
from headspex.runs.reopening import study_of_run
from headspex.runs.run_folder import judged_run
from headspex.runs.verification import verify
from headspex.schedules.schedule import Schedule, prune_schedule, schedule_from_scores
from headspex.scores.fill import fill_of_run
from headspex.scores.judge import Judge
from headspex.scores.store import ScoreStore
from headspex.study import Study

JUDGED = (OURS, "lasso", "random")  # whose schedules the run has scored, in its order


def compare(
    path: Path, *, budgets: Sequence[int] = (), spex_budget: int | None = None
) -> Comparison:
    """Fit every method to a finished run's search; judge all on the same masks and questions.

    Held-out scores that the run lacks are measured and kept in its `scores.sqlite`, as are those
    of SPEX's own search; nothing else is scored, and no other file of the run is touched.

    Args:
        path: the run's folder.
        budgets: forward passes of the search that methods are fitted to, beside all of them;
            `headspex.comparison.fits.SHARES` of them by default.
        spex_budget: forward passes of SPEX's search; without it SPEX does not take part.

    Raises:
        UsageError: no finished run, one whose model, data or versions are no longer what they
            were, or a budget that the search does not hold or SPEX cannot use.
    """
    folder, content = judged_run(path)
    study = study_of_run(path, content["identity"])
    settings, plan, metric = study.settings, study.plan, study.metric
    sample = draw_sample(plan, _allocation(path, content["results"]), seed=settings.seed)
    passes = search_parts(sample, budgets)
    known = Spectrum.from_json(read_text(folder.spectrum))
    fill = fill_of_run(folder.path / "masks") if settings.ablation == "mean" else None
    with locked(path), ScoreStore(folder.scores, study.scored_by(fill)) as store:
        judge = study.judge(store, fill=fill)
        scores = search_scores(judge, sample, metric)
        # As the run asked them: what is stored are whole blocks.
        fresh = judge.ask_all(sample.fresh, sample.questions, metrics=[metric], what="fresh masks")
        # First, as it may be refused.
        spex = None
        if spex_budget is not None:
            spex = fit_own_masks(
                judge, sample, budget=spex_budget, metric=metric, seed=settings.seed
            )
        searches = [sample.observed(scores[:count]) for count in passes]
        fits, left_out = fit_all(searches, passes, settings, known=known)
        if spex is not None:
            fits["spex"] = [spex]
        schedules = {
            method: [prune_schedule(several[-1].spectrum, study.players)]
            for method, several in fits.items()
        }
        # The run may have refined its schedule on the model.
        schedules[OURS] = [Schedule.from_json(read_text(folder.schedule), study.players)]
        schedules["random"] = random_schedules(len(study.players), seed=settings.seed)
        with threadpool_limits(1):
            importances = Known(judge, sample.search, metric, known)
            for name, order in ORDERS.items():
                schedules[name] = [schedule_from_scores(order.importance(importances))]
        curve, correct = _pruned(judge, schedules, study, sample)
    values = fresh[metric][:, sample.search].mean(axis=1)
    # BLAS adds up in another order with another number of threads, which the environment sets.
    with threadpool_limits(1):
        # Where nothing varies, nothing can be predicted.
        predicted = predictions(fits, sample.fresh) if np.ptp(values) > 0 else {}
        points = faithfulness_points(fits, predicted, values, seed=settings.seed)
        last = {method: several[-1] for method, several in predicted.items()}
        evidence = Evidence(values, last, correct, study.task.metric, plan.sizes, settings.seed)
        found = standings(evidence)
    return Comparison(
        n_fresh=plan.n_fresh,
        n_heldout=plan.n_heldout,
        n_players=plan.n_players,
        unit=settings.unit,
        sizes=plan.sizes,
        metric=metric,
        own_metric=study.task.metric,
        at_chance=content["results"]["at_chance"],
        standings=found,
        predicts=best_predicting(evidence, found),
        prunes=best_pruning(evidence, found),
        faithfulness=points,
        curve=curve,
        left_out=left_out,
    )


def _pruned(
    judge: Judge, schedules: Mapping[str, Sequence[Schedule]], study: Study, sample: Sample
) -> tuple[list[CurvePoint], dict[str, Float[np.ndarray, "sizes questions"]]]:
    """The curve of every method's schedule, and its held-out accuracy on each question."""
    metrics = curve_metrics(study.task.metric, study.metric)
    # Those that the run has judged, as it did: what is stored are whole blocks.
    stored = {method: schedules[method] for method in JUDGED}
    new = {method: several for method, several in schedules.items() if method not in JUDGED}
    curve, verified = verify(judge, stored, study.plan.sizes, sample.heldout, metrics=metrics)
    others, more = verify(judge, new, study.plan.sizes, sample.heldout, metrics=metrics)
    curve += [point for point in others if point.n_pruned]
    verified |= more
    return curve, {method: verified[method].mean(axis=0) for method in schedules}


def _allocation(path: Path, results: dict[str, Any]) -> Allocation:
    try:
        return Allocation.from_dict(results["allocation"])
    except (KeyError, TypeError) as error:
        raise UsageError(f"{path / 'run.json'} is damaged: {error}; repeat the run") from error
