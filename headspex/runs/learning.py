"""A run's schedule from learned gates, where the score has a gradient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy.stats import rankdata

from headspex.budget.plan import Plan
from headspex.budget.sample import Sample
from headspex.engine.spectrum import Spectrum
from headspex.gates.annealing import learned_order
from headspex.gates.exchange import Measure, exchanged
from headspex.gates.sizes import ROWS
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
    unit: float,
    gradients: ScoreStore,
    seed: int,
) -> Refined:
    """Learn gates on search questions, make exchanges on the model, and keep the best schedule.

    Args:
        judge: scores masks.
        sample: of the run.
        proposed: the spectrum's own schedule, which gates have to beat.
        spectrum: predicts the values along the schedule.
        plan: with the number of steps.
        rounds: independent runs of gates, at least 1.
        metric: that schedules are found by.
        unit: a difference of the metric that matters.
        gradients: store for gradients of the metric.
        seed: fixes gates and questions.
    """
    sizes = plan.learning
    n_players, n_questions = len(judge.players), len(sample.search)
    rng = stream(seed, "questions for exchanges")
    asked = [np.sort(rng.permutation(n_questions)[: sizes.questions]) for _ in plan.sizes]

    def measure(
        masks: Bool[np.ndarray, "masks players"], questions: Int[np.ndarray, " questions"]
    ) -> Float[np.ndarray, "masks questions"]:
        numbers = sample.search[questions]
        return judge.ask_all(masks, numbers, metrics=[metric], what="exchanges")[metric]

    with judge.progress(rounds * sizes.steps * ROWS * SLOPE_PASSES, "learn gates") as report:

        def gradient(
            levels: UInt8[np.ndarray, "rows players"], questions: Int[np.ndarray, " rows"]
        ) -> Float[np.ndarray, "rows players"]:
            return judge.stored_gradients(
                levels, sample.search[questions], metric=metric, store=gradients, progress=report
            )

        found = [
            learned_order(
                gradient, n_players, n_questions, steps=sizes.steps, unit=unit,
                rng=stream(seed, f"gates {number}"),
            )
            for number in range(rounds)
        ]  # fmt: skip
    better = [exchanged(one.order, measure, plan.sizes, asked) for one in found]
    schedules = [proposed, *(Schedule(one.order, n_players) for one in better)]
    best = _best(measure, schedules, plan.sizes, asked)
    passes = SLOPE_PASSES * sum(one.rows for one in found) + sum(one.passes for one in better)
    passes += len(schedules) * sum(map(len, asked))
    return Refined(with_values(best, spectrum), spectrum, passes)


def _best(
    measure: Measure,
    schedules: Sequence[Schedule],
    sizes: Sequence[int],
    asked: Sequence[Int[np.ndarray, " questions"]],
) -> Schedule:
    """The schedule with the best mean rank over all sizes; of equals, the last.

    A mean of scores would be decided by the largest sizes, where all schedules are bad.
    """
    means = [
        measure(np.concatenate([one.masks([size]) for one in schedules]), questions).mean(axis=1)
        for size, questions in zip(sizes, asked, strict=True)
    ]
    ranks = rankdata(-np.array(means), axis=1).mean(axis=0)
    return schedules[len(ranks) - 1 - int(ranks[::-1].argmin())]
