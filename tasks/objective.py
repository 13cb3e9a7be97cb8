"""What a pruning schedule keeps: the highest score, or the whole model's behaviour."""

from __future__ import annotations

from dataclasses import dataclass

from headspex.tasks.scoring import DISTANCE, DISTANCES, KL, SHARES
from headspex.tasks.task import Task


@dataclass(frozen=True)
class Objective:
    """The metrics of a run.

    Attributes:
        name: "best" or "match".
        metric: that the spectrum explains.
        aim: that schedules are found by.
        judged_in: that schedules are judged in, on held-out questions.
        curve: all metrics of the curve, `judged_in` first.
        measures_kl: whether the whole model's next tokens are compared with.
        circuits_in: the metric of `curve` that MIB's faithfulness is a ratio of; None for answers
            that are right or wrong.
    """

    name: str
    metric: str
    aim: str
    judged_in: str
    curve: tuple[str, ...]
    measures_kl: bool
    circuits_in: str | None

    @property
    def scale(self) -> str:
        """The metric whose score of the whole model says how large a loss is free."""
        return self.metric if self.judged_in == DISTANCE else self.judged_in


def shown_with(judged_in: str, metric: str) -> list[str]:
    """The metrics to show schedules in: a distance says nothing of the metric, so both."""
    return list(dict.fromkeys([judged_in, metric])) if judged_in in DISTANCES else [judged_in]


def objective_of(task: Task, *, metric: str, wanted: str | None) -> Objective:
    """The objective of a run.

    Args:
        task: of the run.
        metric: that the spectrum explains.
        wanted: "best" or "match"; None: "match" for paired prompts and for KL divergence, where a
            higher score is not better, else "best".
    """
    paired = task.kind.paired
    name = wanted or ("match" if paired or metric == KL else "best")
    aim = task.kind.closeness if name == "match" else metric
    judged_in = task.kind.closeness if name == "match" else task.metric
    measures_kl = paired or KL in (metric, aim)
    more = [KL] * measures_kl + [share for share in SHARES if share in task.metrics]
    curve = tuple(dict.fromkeys([judged_in, task.metric, metric, *more]))
    circuits_in = None
    if task.chance is None:
        numbers = (m for m in (metric, task.metric) if m not in (*DISTANCES, *SHARES))
        circuits_in = next(numbers, None)
    return Objective(name, metric, aim, judged_in, curve, measures_kl, circuits_in)
