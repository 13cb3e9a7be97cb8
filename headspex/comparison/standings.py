"""How each method does on the same fresh masks and the same held-out questions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from headspex.comparison.methods import METHODS, OURS
from headspex.engine.faithfulness import Faithfulness, Measured, faithfulness
from headspex.engine.paired import Difference, r2_difference, score_difference
from headspex.tasks import interval


@dataclass(frozen=True, eq=False)
class Evidence:
    """The measurements that methods are judged by.

    Attributes:
        measured: values of the fresh masks.
        predictions: for the same masks, by method; only methods that predict.
        correct: held-out score on each question at each size, by method.
        metric: of that score, the task's own.
        sizes: numbers of heads removed.
        seed: of the bootstrap.
    """

    measured: Measured
    predictions: Mapping[str, Float[np.ndarray, " fresh"]]
    correct: Mapping[str, Float[np.ndarray, "sizes questions"]]
    metric: str
    sizes: Sequence[int]
    seed: int = 0

    def r2_less(self, method: str, other: str) -> Difference:
        """R² of `method` minus that of `other`."""
        mine, others = self.predictions[method], self.predictions[other]
        return r2_difference(self.measured, mine, others, seed=self.seed)

    def accuracy_less(self, method: str, other: str) -> Difference:
        """Accuracy of `method` minus that of `other`, mean over the sizes."""
        mine, others = self.correct[method], self.correct[other]
        return score_difference(mine.mean(axis=0), others.mean(axis=0))


@dataclass(frozen=True)
class Standing:
    """Scores of one method.

    Attributes:
        method: its name in `METHODS`.
        faithfulness: R² on the fresh masks; None if it does not predict, or nothing varies.
        r2_difference: to `OURS`; None for `OURS`, and where there is no R².
        accuracy, low, high: on held-out questions, mean over the sizes, with its 95 % interval.
        accuracy_difference: to `OURS`; None for `OURS`.
        at_sizes: number of heads removed -> difference to `OURS`; empty for `OURS`.
    """

    method: str
    faithfulness: Faithfulness | None
    r2_difference: Difference | None
    accuracy: float
    low: float
    high: float
    accuracy_difference: Difference | None
    at_sizes: Mapping[int, Difference]

    @property
    def title(self) -> str:
        """The method's display name."""
        return METHODS[self.method].title

    @property
    def predicts(self) -> bool:
        """Whether the method predicts scores, so that it has an R²."""
        return METHODS[self.method].predicts

    def to_dict(self) -> dict[str, Any]:
        """As it stands in compare.json."""
        return {
            "method": self.method,
            "faithfulness": or_null(self.faithfulness),
            f"r2_less_{OURS}": or_null(self.r2_difference),
            "accuracy": {"mean": self.accuracy, "low": self.low, "high": self.high},
            f"accuracy_less_{OURS}": or_null(self.accuracy_difference),
            f"accuracy_less_{OURS}_at": [
                {"n_pruned": size, **difference.to_dict()}
                for size, difference in self.at_sizes.items()
            ],
        }


@dataclass(frozen=True)
class Verdict:
    """The best method, and its margin over the second."""

    best: Standing
    second: Standing
    margin: Difference

    def to_dict(self) -> dict[str, Any]:
        """As it stands in compare.json."""
        return {
            "method": self.best.method,
            "second": self.second.method,
            **self.margin.to_dict(),
            "beyond_noise": self.margin.beyond_noise,
        }

    def __str__(self) -> str:
        noise = "beyond noise" if self.margin.beyond_noise else "within noise"
        return f"{self.margin} against {self.second.title}, {noise}"


def standings(evidence: Evidence) -> list[Standing]:
    """Standings of every method with a schedule, including `OURS`."""
    return [_standing(method, evidence) for method in evidence.correct]


def best_predicting(evidence: Evidence, found: Sequence[Standing]) -> Verdict | None:
    """By R²; None where nothing varies, so that R² is undefined."""
    r2 = {s.method: s.faithfulness.r2 for s in found if s.faithfulness is not None}
    able = [standing for standing in found if standing.method in r2]
    return _verdict(able, lambda s: r2[s.method], evidence.r2_less) if able else None


def best_pruning(evidence: Evidence, found: Sequence[Standing]) -> Verdict:
    """By accuracy, mean over the sizes."""
    return _verdict(found, lambda s: s.accuracy, evidence.accuracy_less)


def or_null(found: Any) -> dict[str, Any] | None:
    """For JSON."""
    return None if found is None else found.to_dict()


def _standing(method: str, evidence: Evidence) -> Standing:
    correct, ours = evidence.correct[method], evidence.correct[OURS]
    predicts, other = method in evidence.predictions, method != OURS
    per_question = correct.mean(axis=0)
    return Standing(
        method,
        faithfulness(evidence.measured, evidence.predictions[method], seed=evidence.seed)
        if predicts
        else None,
        evidence.r2_less(method, OURS) if predicts and other else None,
        float(per_question.mean()),
        *interval(evidence.metric, per_question),
        evidence.accuracy_less(method, OURS) if other else None,
        {
            size: score_difference(mine, theirs)
            for size, mine, theirs in zip(evidence.sizes, correct, ours, strict=True)
            if other
        },
    )


def _verdict(
    found: Sequence[Standing],
    by: Callable[[Standing], float],
    less: Callable[[str, str], Difference],
) -> Verdict:
    """Best and second; among equals, the first in the methods' table wins."""
    best, second = sorted(found, key=by, reverse=True)[:2]
    return Verdict(best, second, less(best.method, second.method))
