"""A schedule that was refined on the model, and the scores it was refined by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from headspex.budget.sample import Sample
from headspex.engine.spectrum import Spectrum
from headspex.schedules.schedule import Schedule
from headspex.scores.judge import Judge
from headspex.walk.walk import Measure


@dataclass(frozen=True, eq=False)
class Refined:
    """The result of all rounds.

    Attributes:
        schedule: of the last round.
        spectrum: that it was walked by, the run's or one refitted near the schedule.
        passes: forward passes of all rounds.
    """

    schedule: Schedule
    spectrum: Spectrum
    passes: int


def measured(judge: Judge, sample: Sample, metric: str, report: Callable[[int], object]) -> Measure:
    """Scores of masks on search questions, by their places among these.

    Args:
        judge: scores masks.
        sample: of the run.
        metric: of the scores.
        report: is told of finished passes.
    """

    def measure(
        masks: Bool[np.ndarray, "masks players"], questions: Int[np.ndarray, " questions"]
    ) -> Float[np.ndarray, "masks questions"]:
        asked = sample.search[questions]
        return judge.ask_all(masks, asked, metrics=[metric], what=report)[metric]

    return measure
