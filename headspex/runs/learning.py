"""A run's schedule from learned gates, where the score has a gradient."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int, UInt8

from headspex.budget.plan import Plan
from headspex.budget.sample import Sample
from headspex.engine.spectrum import Spectrum
from headspex.gates.annealing import learned_order
from headspex.gates.ascent import Gradient
from headspex.gates.exchange import Asked, exchanged
from headspex.gates.greedy import ROUNDS
from headspex.gates.sizes import ROWS
from headspex.runs.refined import Refined, measured
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
    """Learn gates on search questions, and let the model choose and exchange at the judged sizes.

    Args:
        judge: scores masks.
        sample: of the run.
        proposed: the spectrum's own schedule, a proposal too.
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

    def drawn(choices: int, count: int = sizes.questions) -> list[Int[np.ndarray, " questions"]]:
        return [np.sort(rng.permutation(n_questions)[:count]) for _ in range(choices)]

    at_sizes, (alone,), of_rounds = drawn(len(plan.sizes)), drawn(1), drawn(ROUNDS)
    questions = Asked(at_sizes, alone, of_rounds, drawn(len(sizes.greedy), sizes.choice))

    def gradient_of(report: Callable[[int], object]) -> Gradient:
        def gradient(
            levels: UInt8[np.ndarray, "rows players"], questions: Int[np.ndarray, " rows"]
        ) -> Float[np.ndarray, "rows players"]:
            return judge.stored_gradients(
                levels, sample.search[questions], metric=metric, store=gradients, progress=report
            )

        return gradient

    with judge.progress(rounds * sizes.steps * ROWS * SLOPE_PASSES, "learn gates") as report:
        found = [
            learned_order(
                gradient_of(report), n_players, n_questions, steps=sizes.steps, unit=unit,
                rng=stream(seed, f"gates {number}"),
            )
            for number in range(rounds)
        ]  # fmt: skip
    proposals = [*(one.order for one in found), proposed.order]
    more = (rounds - 1) * (len(plan.sizes) * sizes.questions + len(sizes.greedy) * sizes.choice)
    with judge.progress(sizes.checks + more, "exchange heads") as report:
        better = exchanged(
            proposals, measured(judge, sample, metric, report), gradient_of(report), plan.sizes,
            questions, greedy=sizes.greedy, slope_passes=SLOPE_PASSES,
        )  # fmt: skip
    passes = SLOPE_PASSES * sum(one.rows for one in found) + better.passes
    schedule = with_values(Schedule(better.order, n_players), spectrum)
    return Refined(schedule, spectrum, passes)
