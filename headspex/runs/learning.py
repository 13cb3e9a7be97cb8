"""A run's schedule from learned gates, where the score has a gradient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, UInt8
from scipy.stats import rankdata

from headspex.budget.plan import Plan
from headspex.budget.sample import Sample
from headspex.engine.spectrum import Spectrum
from headspex.gates.annealing import ROWS, learned_order
from headspex.runs.refinement import Refined
from headspex.schedules.schedule import Schedule, with_values
from headspex.scores.block import SLOPE_PASSES
from headspex.scores.judge import Judge
from headspex.scores.store import ScoreStore
from headspex.support.seeds import stream


def learned(
    judge: Judge,
    sample: Sample,
    proposed: Schedule,
    spectrum: Spectrum,
    *,
    plan: Plan,
    rounds: int,
    metric: str,
    gradients: ScoreStore,
    seed: int,
) -> Refined:
    """Learn gates on search questions, and keep the best schedule.

    Args:
        judge: scores masks.
        sample: of the run.
        proposed: the spectrum's own schedule, which gates have to beat.
        spectrum: predicts the values along the schedule.
        plan: with the number of steps.
        rounds: independent runs of gates, at least 1.
        metric: that schedules are found by.
        gradients: store for gradients of the metric.
        seed: fixes gates and questions.
    """
    sizes = plan.learning
    n_players, n_questions = len(judge.players), len(sample.search)
    schedules = [proposed]
    with judge.progress(rounds * sizes.steps * ROWS * SLOPE_PASSES, "learn gates") as report:

        def gradient(
            levels: UInt8[np.ndarray, "rows players"], questions: Int[np.ndarray, " rows"]
        ) -> Float[np.ndarray, "rows players"]:
            asked = sample.search[questions]
            by_gate = judge.stored_gradients(levels, asked, metric=metric, store=gradients)
            report(SLOPE_PASSES * len(asked))
            return by_gate

        for number in range(rounds):
            found = learned_order(
                gradient, n_players, n_questions, steps=sizes.steps,
                rng=stream(seed, f"gates {number}"),
            )  # fmt: skip
            schedules.append(Schedule(found.order, n_players))
    asked = stream(seed, "choice of a schedule").permutation(sample.search)[: sizes.questions]
    best = _best(judge, schedules, plan.sizes, np.sort(asked), metric=metric)
    return Refined(with_values(best, spectrum), spectrum, rounds * sizes.passes)


def _best(
    judge: Judge,
    schedules: Sequence[Schedule],
    sizes: Sequence[int],
    questions: Int[np.ndarray, " questions"],
    *,
    metric: str,
) -> Schedule:
    """The schedule with the best mean rank over all sizes; of equals, the last.

    A mean of scores would be decided by the largest sizes, where all schedules are bad.
    """
    masks = np.concatenate([one.masks(sizes) for one in schedules])
    scores = judge.ask_all(masks, questions, metrics=[metric], what="choose a schedule")[metric]
    means = scores.reshape(len(schedules), len(sizes), -1).mean(axis=2)
    ranks = rankdata(-means, axis=0).mean(axis=1)
    return schedules[len(ranks) - 1 - int(ranks[::-1].argmin())]
