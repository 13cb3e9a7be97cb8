"""`headspex compare`: every method on the scores of one run."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from threadpoolctl import threadpool_limits

from headspex.budget.allocation import Allocation
from headspex.budget.sample import Sample, draw_sample
from headspex.comparison.fits import (
    Fit,
    faithfulness_points,
    fit_all,
    fit_own_masks,
    fits_with_gradients,
    predictions,
    search_parts,
)
from headspex.comparison.known import Known
from headspex.comparison.methods import METHODS, OURS
from headspex.comparison.orders import ORDERS
from headspex.comparison.outcome import Comparison
from headspex.comparison.standings import Evidence, best_predicting, best_pruning, standings
from headspex.engine.faithfulness import faithfulness
from headspex.engine.spectrum import Spectrum
from headspex.errors import UsageError, argument
from headspex.estimates.costs import said_of
from headspex.runs.curve import CurvePoint
from headspex.runs.findings import fresh_values, random_schedules, search_scores
from headspex.runs.gradient import mean_gradient
from headspex.runs.lock import locked
from headspex.runs.refinement import refined, slopes_of
from headspex.runs.reopening import setup_of_run
from headspex.runs.run_folder import judged_run
from headspex.runs.verification import verify, verify_whole
from headspex.schedules.schedule import Schedule, prune_schedule, schedule_from_scores
from headspex.scores.fill import fill_of_run
from headspex.scores.judge import Judge
from headspex.scores.store import ScoreStore
from headspex.setup import Setup
from headspex.support.files import read_json, read_text
from headspex.tasks.scoring import unit_of

# Stages of a run that measure, as in timing.json.
MEASURING = ("pilot", "search", "score fresh masks", "refine the schedule", "verify schedules")
JUDGED = ("lasso", "random")  # the run scored their schedules too, in this order


def compare(
    path: Path,
    *,
    budgets: Sequence[int] = (),
    spex_budget: int | None = None,
    orders: Sequence[str] | None = None,
    order_budget: int | None = None,
) -> Comparison:
    """Fit every method to a finished run's search; judge all on the same masks and questions.

    What is measured besides is kept in the run's `scores.sqlite`, gradients in `gradients.sqlite`
    and, if another refinement takes some, in `slopes.sqlite`. No other file of the run changes.

    Args:
        path: the run's folder.
        budgets: forward passes of the search to fit methods to, besides the whole search;
            `headspex.comparison.fits.SHARES` of it by default.
        spex_budget: forward passes of SPEX's search; None leaves SPEX out.
        orders: the criteria of `headspex.comparison.orders.ORDERS` that are compared; None for all.
        order_budget: forward passes that each of them may take, by default as many as the run's
            search and refinement took.

    Raises:
        UsageError: the run is unfinished; its model, data or versions have changed; or a budget
            is larger than the search, or too small for SPEX.
    """
    folder, content = judged_run(path)
    setup = setup_of_run(path, content["identity"])
    settings, plan, metric = setup.settings, setup.plan, setup.metric
    results = content["results"]
    spent = _allocation(path, results)
    # Other methods take no gradients. They get as many passes, all for masks.
    sample = draw_sample(plan, spent.without_gradients, seed=settings.seed)
    passes = search_parts(sample, budgets)
    budget = order_budget
    if budget is None:
        budget = passes[-1] + (results["refine_passes"] or 0)
    elif budget < 1:
        raise UsageError(f"{argument('order_budget')} must be at least 1, but is {budget}")
    chosen = _chosen(orders)
    counts = [ORDERS[name].passes(plan.n_players, plan.n_search, budget) for name in chosen]
    counts += [plan.n_compared * len(plan.sizes) * len(METHODS), spent.gradient_passes]
    _say_cost(sum(counts), results["passes_total"], folder.timing)
    known = Spectrum.from_json(read_text(folder.spectrum))
    fill = fill_of_run(folder.path / "masks", settings.ablation)
    with locked(path), ScoreStore(folder.scores, setup.scored_by(fill)) as store:
        judge = setup.judge(store, fill=fill)
        aim = setup.objective.aim
        found_scores = search_scores(judge, sample, dict.fromkeys([metric, aim]))
        scores = found_scores[metric]
        # In the run's own order: scores are stored in whole blocks.
        fresh, _ = fresh_values(judge, sample, metric, known.predict(sample.fresh))
        # Before the other fits: it may be refused.
        spex = None
        if spex_budget is not None:
            spex = fit_own_masks(
                judge, sample, budget=spex_budget, metric=metric, seed=settings.seed
            )
        searches = [sample.observed(scores[:count]) for count in passes]
        ours = [Fit(known, spent.n_masks, passes[-1])]
        if spent.n_gradients:
            kept = {**setup.scored_by(fill), "gates_of": metric}
            with ScoreStore(folder.search_gradients, kept) as taken:
                ours += fits_with_gradients(
                    sample, scores, passes[:-1],
                    lambda rows: mean_gradient(setup, judge, sample, rows, store=taken), settings,
                    per_mask=spent.questions_per_mask,
                )  # fmt: skip
        fits, left_out = fit_all(searches, passes, settings, ours=ours)
        if spex is not None:
            fits["spex"] = [spex]
        steering, known_steering = fits, known
        if aim != metric:  # schedules are found by another score of the same passes
            data = sample.observed(found_scores[aim])
            steering, refused = fit_all([data], passes[-1:], settings)
            left_out |= refused
            known_steering = steering[OURS][-1].spectrum
        schedules = {
            method: [prune_schedule(several[-1].spectrum, setup.players)]
            for method, several in steering.items()
        }
        # Not the spectrum's: the run may have refined its schedule on the model.
        schedules[OURS] = [Schedule.from_json(read_text(folder.schedule), setup.players)]
        schedules["random"] = random_schedules(len(setup.players), seed=settings.seed)
        smooth = "logprob" if "logprob" in setup.task.metrics else metric
        climbed = aim if setup.task.has_gradient(aim) else smooth
        size = float(np.sqrt(np.square(found_scores[metric]).mean()))
        scored_by = setup.scored_by(fill)
        with (
            threadpool_limits(1),
            ScoreStore(folder.gradients, {**scored_by, "gates_of": climbed}) as gradients,
            slopes_of(setup, folder, scored_by) as slopes,
        ):

            def refine(spectrum: Spectrum) -> Schedule:
                return refined(
                    setup, judge, sample, found_scores, spectrum,
                    prune_schedule(spectrum, setup.players), slopes=slopes, rounds=1,
                ).schedule  # fmt: skip

            inputs = Known(
                judge, sample.search, aim, smooth, climbed, unit_of(climbed, size) or 1.0,
                known_steering, budget, gradients, settings.seed,
                lasso=steering["lasso"][-1].spectrum if "lasso" in steering else None,
                refined=refine if settings.refine else None,
            )  # fmt: skip
            for name in chosen:
                try:
                    schedules[name] = [schedule_from_scores(ORDERS[name].importance(inputs))]
                except UsageError as error:
                    left_out[name] = str(error)
        curve, correct = _pruned(judge, schedules, setup, sample)
    # BLAS sums in an order that depends on its thread count, which the environment sets.
    with threadpool_limits(1):
        # R² is undefined where all fresh masks score the same.
        varies = faithfulness(fresh, known.predict(sample.fresh), seed=settings.seed) is not None
        predicted = predictions(fits, sample.fresh) if varies else {}
        points = faithfulness_points(fits, predicted, fresh, seed=settings.seed)
        last = {method: several[-1] for method, several in predicted.items()}
        evidence = Evidence(
            fresh, last, correct, setup.objective.judged_in, plan.sizes, settings.seed
        )
        found = standings(evidence)
    return Comparison(
        n_fresh=plan.n_fresh,
        n_heldout=plan.n_compared,
        n_players=plan.n_players,
        unit=settings.unit,
        sizes=plan.sizes,
        metric=metric,
        task_metric=setup.objective.judged_in,
        at_chance=results["at_chance"],
        standings=found,
        predicts=best_predicting(evidence, found),
        prunes=best_pruning(evidence, found),
        faithfulness=points,
        curve=curve,
        left_out=left_out,
    )


def _pruned(
    judge: Judge, schedules: Mapping[str, Sequence[Schedule]], setup: Setup, sample: Sample
) -> tuple[list[CurvePoint], dict[str, Float[np.ndarray, "sizes questions"]]]:
    """Curve of every method's schedule, and its scores on the questions that all are asked."""
    metrics, sizes = setup.objective.curve, setup.plan.sizes
    curve, _ = verify_whole(judge, sample.heldout, metrics=metrics)
    scores: dict[str, Float[np.ndarray, "sizes questions"]] = {}
    new = [method for method in schedules if method not in (OURS, *JUDGED)]
    # Grouped as the run judged them: scores are stored in whole blocks.
    groups = (((OURS,), sample.heldout), (JUDGED, sample.compared), (new, sample.compared))
    for methods, asked in groups:
        points, verified = verify(
            judge, {method: schedules[method] for method in methods}, sizes, asked, metrics=metrics
        )
        curve += points
        shared = np.isin(asked, sample.compared)
        scores |= {
            method: found.mean(axis=0)[:, shared]
            for method, found in verified[setup.objective.judged_in].items()
        }
    return curve, {method: scores[method] for method in schedules}


def _chosen(orders: Sequence[str] | None) -> list[str]:
    if orders is None:
        return list(ORDERS)
    for name in orders:
        if name not in ORDERS:
            raise UsageError(
                f"{argument('orders')} must be of {', '.join(ORDERS)}, but one is {name}"
            )
    return [name for name in ORDERS if name in orders]


def _say_cost(passes: int, known: int, timing: Path) -> None:
    """What a comparison takes at the pace of its run; with an old run's scores it is less."""
    seconds = read_json(timing)["seconds"] if timing.is_file() else {}
    measured = sum(seconds.get(stage, 0.0) for stage in MEASURING)
    time = f", {said_of(passes * measured / known)} at the run's pace" if measured else ""
    print(f"headspex: at most {passes:,} forward passes besides the run's{time}", file=sys.stderr)


def _allocation(path: Path, results: dict[str, Any]) -> Allocation:
    try:
        return Allocation.from_dict(results["allocation"])
    except (KeyError, TypeError) as error:
        raise UsageError(f"{path / 'run.json'} is damaged: {error}; repeat the run") from error
