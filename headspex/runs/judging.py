"""A run's schedules, judged on held-out questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from headspex.budget.sample import Sample
from headspex.runs.circuits import Circuits, judged_circuits
from headspex.runs.curve import CurvePoint
from headspex.runs.verification import verify, verify_whole
from headspex.schedules.schedule import Schedule
from headspex.scores.judge import Judge
from headspex.setup import Setup


@dataclass(frozen=True, eq=False)
class Judged:
    """Held-out scores; those of questions are in the metric that schedules are judged in.

    Attributes:
        curve: in every metric, the whole model first.
        whole: of the whole model, on each question.
        verified: method -> of each question, [schedules, sizes, questions]; empty if no schedule
            is judged.
        circuits: MIB's measures of the run's own schedule; None where the plan has none.
    """

    curve: list[CurvePoint]
    whole: Float[np.ndarray, " questions"]
    verified: dict[str, Float[np.ndarray, "schedules sizes questions"]]
    circuits: Circuits | None


def judged_schedules(
    setup: Setup,
    judge: Judge,
    sample: Sample,
    own: Schedule,
    others: Mapping[str, Sequence[Schedule]],
) -> Judged:
    """Judge the whole model, the run's own schedule, and those of other methods.

    Args:
        setup: of the run.
        judge: scores masks.
        sample: has the held-out questions, and those of them that other methods are asked.
        own: the run's schedule.
        others: method -> its schedules.
    """
    plan, objective = setup.plan, setup.objective
    metrics, judged_in, asked = objective.curve, objective.judged_in, sample.heldout
    curve, whole = verify_whole(judge, asked, metrics=metrics)
    if not plan.sizes:
        return Judged(curve, whole[judged_in], {}, None)
    points, scored = verify(judge, {"proxyspex": [own]}, plan.sizes, asked, metrics=metrics)
    compared, theirs = verify(judge, others, plan.sizes, sample.compared, metrics=metrics)
    curve += points + compared
    circuits, metric = None, objective.circuits_in
    if plan.circuit_sizes and metric is not None:
        rows = scored[metric]["proxyspex"][0]
        known = {0: whole[metric], **dict(zip(plan.sizes, rows, strict=True))}
        circuits = judged_circuits(
            judge, own, asked, metric=metric, known=known, sizes=plan.circuit_sizes
        )
        curve += circuits.points
    return Judged(curve, whole[judged_in], scored[judged_in] | theirs[judged_in], circuits)
