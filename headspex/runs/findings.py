"""What a run finds out once its masks can be scored."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from threadpoolctl import threadpool_limits

from headspex.budget.allocation import Allocation
from headspex.budget.plan import RANDOM_SCHEDULES
from headspex.budget.sample import Sample, draw_sample
from headspex.engine.baselines import BASELINES
from headspex.engine.faithfulness import Faithfulness, faithfulness
from headspex.engine.fit import fit_spectrum
from headspex.engine.spectrum import Spectrum
from headspex.engine.uncertainty import intervals
from headspex.runs.curve import CurvePoint
from headspex.runs.interactions_table import Interaction, interaction_table
from headspex.runs.refinement import Refined, refined
from headspex.runs.verification import verify
from headspex.schedules.schedule import Schedule, prune_schedule, random_schedule
from headspex.scores.evaluate import Passes
from headspex.scores.judge import Judge
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
        verified: method -> held-out score of each question in the task's own metric,
            [schedules, sizes, questions]; columns are the held-out questions in order, for paired
            comparisons.
        faithfulness: R² on fresh masks, all search questions; None if they all score the same.
        transfer: the same predictions on all held-out questions, mean difference removed.
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
    # BLAS adds up in another order with another number of threads, which the environment sets.
    with study.timed("fit the spectrum"), threadpool_limits(1):
        spectrum = fit_spectrum(
            data.masks, data.values, keep=keep, weights=data.weights,
            seed=settings.seed, threads=settings.threads,
        )  # fmt: skip
        lasso = BASELINES["lasso"](data, seed=settings.seed)
    with study.timed("intervals of the interactions"), threadpool_limits(1):
        bounds = intervals(
            data.masks, data.values, spectrum.terms, keep=keep, weights=data.weights,
            seed=settings.seed,
        )  # fmt: skip
    with study.timed("score fresh masks"):
        measured = judge.ask_all(
            sample.fresh, sample.questions, metrics=[metric], what="fresh masks"
        )[metric]
    predicted = spectrum.predict(sample.fresh)
    best = prune_schedule(spectrum, study.players)
    refinement = None
    if settings.refine:
        with study.timed("refine the schedule"):
            refinement = refined(
                judge, sample, scores, spectrum, plan=plan, rounds=settings.refine,
                metric=metric, slopes=slopes, seed=settings.seed, threads=settings.threads,
            )  # fmt: skip
        best = refinement.schedule
    schedules = {
        "proxyspex": [best],
        "lasso": [prune_schedule(lasso, study.players)],
        "random": random_schedules(plan.n_players, seed=settings.seed),
    }
    with study.timed("verify schedules"):
        curve, verified = verify(
            judge, schedules, plan.sizes, sample.heldout,
            metrics=curve_metrics(task.metric, metric),
        )  # fmt: skip
    return Findings(
        spectrum=spectrum,
        interactions=interaction_table(spectrum, bounds, study.players),
        schedules=schedules,
        curve=curve,
        verified=verified,
        faithfulness=faithfulness(
            measured[:, sample.search].mean(axis=1), predicted, seed=settings.seed
        ),
        transfer=faithfulness(
            measured[:, sample.heldout].mean(axis=1), predicted,
            remove_mean_difference=True, seed=settings.seed,
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
