"""What a run finds out once its masks can be scored."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from threadpoolctl import threadpool_limits

from headspex.budget.allocation import Allocation
from headspex.budget.sample import Sample, draw_sample
from headspex.budget.verification import RANDOM_SCHEDULES
from headspex.engine.baselines import BASELINES
from headspex.engine.faithfulness import Faithfulness, Measured, faithfulness
from headspex.engine.fit import fit_spectrum
from headspex.engine.spectrum import Spectrum
from headspex.engine.uncertainty import intervals
from headspex.runs.curve import CurvePoint
from headspex.runs.interactions_table import Interaction, interaction_table
from headspex.runs.refinement import Refined, refined
from headspex.runs.verification import verify, verify_whole
from headspex.schedules.schedule import Schedule, prune_schedule, random_schedule
from headspex.scores.evaluate import Passes
from headspex.scores.judge import Judge
from headspex.scores.spread import sampled_values
from headspex.scores.store import ScoreStore
from headspex.seeds import stream
from headspex.tasks import Task, interval

if TYPE_CHECKING:
    from headspex.study import Study


@dataclass(frozen=True, eq=False)
class Findings:
    """What a run found out.

    Attributes:
        spectrum: fitted to the search questions.
        interactions: its terms in words with their intervals, strongest first.
        schedules: method -> which player goes first, second, ...; `random` is several.
        curve: held-out scores, the whole model first.
        whole: held-out score of the whole model on each question, in the task's own metric.
        verified: method -> held-out score of each question in that metric,
            [schedules, sizes, questions]; those of the run's own schedule are of the same
            questions as `whole`, for paired comparisons, the others' of some of them.
        faithfulness: R² on fresh masks, as if each were asked all search questions; None if they
            cannot be told apart.
        transfer: the same predictions on held-out questions, mean difference removed.
        allocation: how the search was spent.
        passes, passes_total: forward passes spent on pilot and search, and on everything.
        own_metric: the task's own, in which schedules are judged.
        refinement: of the schedule; None without it.
        chance: score of guessing; None where there is nothing to guess.
        at_chance: whether the whole model cannot be told from guessing.
    """

    spectrum: Spectrum
    interactions: list[Interaction]
    schedules: dict[str, list[Schedule]]
    curve: list[CurvePoint]
    whole: np.ndarray
    verified: dict[str, np.ndarray]
    faithfulness: Faithfulness | None
    transfer: Faithfulness | None
    allocation: Allocation
    passes: int
    passes_total: int
    own_metric: str
    refinement: Refined | None
    chance: float | None
    at_chance: bool


def find(
    study: Study, judge: Judge, allocation: Allocation, *, slopes: ScoreStore | None = None
) -> Findings:
    """Search, fit, and judge what was fitted; the scores come from `judge`.

    Args:
        study: says what is asked.
        judge: answers.
        allocation: how the search spends its budget.
        slopes: keeps those of the score; None: they are not taken.
    """
    plan, settings, keep = study.plan, study.settings, allocation.keep
    task, metric = study.task, study.metric
    sample = draw_sample(plan, allocation, seed=settings.seed)
    at_chance = _at_chance(judge, sample.heldout, task)
    with study.timed("search"):
        scores = search_scores(judge, sample, metric)
        data = sample.observed(scores)
    with study.timed("fit the spectrum"):
        spectrum = fit_spectrum(
            data.masks, data.values, keep=keep, weights=data.weights,
            seed=settings.seed, threads=settings.threads,
        )  # fmt: skip
        # BLAS adds up in another order with another number of threads, which the environment sets.
        with threadpool_limits(1):
            lasso = BASELINES["lasso"](data, seed=settings.seed)
    with study.timed("intervals of the interactions"):
        bounds = intervals(
            data.masks, data.values, spectrum.terms, keep=keep, weights=data.weights,
            seed=settings.seed,
        )  # fmt: skip
    with study.timed("score fresh masks"):
        predicted = spectrum.predict(sample.fresh)
        searched, heldout = fresh_values(judge, sample, metric, predicted)
    best = prune_schedule(spectrum, study.players)
    refinement = None
    if settings.refine:
        with study.timed("refine the schedule"):
            refinement = refined(
                judge, sample, scores, spectrum, plan=plan, rounds=settings.refine,
                metric=metric, slopes=slopes, seed=settings.seed, threads=settings.threads,
            )  # fmt: skip
        best = refinement.schedule
    own = {"proxyspex": [best]}
    others = {
        "lasso": [prune_schedule(lasso, study.players)],
        "random": random_schedules(plan.n_players, seed=settings.seed),
    }
    with study.timed("verify schedules"):
        metrics = curve_metrics(task.metric, metric)
        curve, whole = verify_whole(judge, sample.heldout, metrics=metrics)
        verified: dict[str, np.ndarray] = {}
        if plan.sizes:
            for some, asked in ((own, sample.heldout), (others, sample.compared)):
                points, scored = verify(judge, some, plan.sizes, asked, metrics=metrics)
                curve += points
                verified |= scored
    return Findings(
        spectrum=spectrum,
        interactions=interaction_table(spectrum, bounds, study.players),
        schedules=own | others,
        curve=curve,
        whole=whole,
        verified=verified,
        faithfulness=faithfulness(searched, predicted, seed=settings.seed),
        transfer=faithfulness(
            heldout, predicted, remove_mean_difference=True, seed=settings.seed
        ),
        allocation=allocation,
        passes=allocation.passes,
        passes_total=allocation.passes
        + plan.verify_passes
        + (0 if refinement is None else refinement.passes),
        own_metric=task.metric,
        refinement=refinement,
        chance=task.chance,
        at_chance=at_chance,
    )  # fmt: skip


def search_scores(
    judge: Judge, sample: Sample, metric: str, *, passes: int | None = None
) -> Float[np.ndarray, " passes"]:
    """The score of each pass of the search, or of the first `passes`."""
    scores = [
        judge.ask_passes(part, metrics=[metric], what="search")[metric]
        for part in search_passes(sample, passes)
    ]
    return np.concatenate(scores)


def fresh_values(
    judge: Judge, sample: Sample, metric: str, predicted: Float[np.ndarray, " fresh"]
) -> tuple[Measured, Measured]:
    """Values of the fresh masks on the search and on the held-out questions, from a few of each.

    Args:
        judge: scores.
        sample: of the run.
        metric: of the values.
        predicted: what a spectrum says of the masks, from which answers differ less.
    """
    scores = judge.ask(sample.fresh, sample.fresh_asked, metrics=[metric], what="fresh masks")
    searched, heldout = np.split(scores[metric], [sample.fresh_search.shape[1]], axis=1)
    first = len(sample.search)
    return (
        sampled_values(searched, sample.fresh_search, first, expected=predicted),
        sampled_values(
            heldout, sample.fresh_heldout - first, len(sample.heldout), expected=predicted
        ),
    )


def search_passes(sample: Sample, passes: int | None = None) -> list[Passes]:
    """The search, or its first passes, as it is asked: the pilot's part as the pilot asked it."""
    parts = np.split(np.arange(len(sample.row[:passes])), [sample.n_known])
    return [
        Passes(sample.masks, sample.row[part], sample.asked[part]) for part in parts if len(part)
    ]


def random_schedules(n_players: int, *, seed: int) -> list[Schedule]:
    """The schedules whose mean score is the baseline `random`."""
    rng = stream(seed, "random schedules")
    return [random_schedule(n_players, rng=rng) for _ in range(RANDOM_SCHEDULES)]


def curve_metrics(own: str, metric: str) -> list[str]:
    """In which metrics schedules are judged: the task's own, and what the spectrum explains."""
    return list(dict.fromkeys([own, metric]))


def _at_chance(judge: Judge, heldout: np.ndarray, task: Task) -> bool:
    """Whether the whole model cannot be told from guessing; says so before the search."""
    own, chance = task.metric, task.chance
    if chance is None:
        return False
    whole = np.ones((1, len(judge.players)), dtype=bool)
    correct = judge.ask_all(whole, heldout, metrics=[own], what="whole model")[own]
    score, (low, _) = float(correct.mean()), interval(own, correct[0])
    at_chance = low <= chance
    if at_chance:
        print(
            f"headspex: the model does not do this task: score {score:.2f}, chance "
            f"{chance:.2f}; the search goes on, but will describe noise",
            file=sys.stderr,
        )
    return at_chance
