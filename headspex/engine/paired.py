"""Paired comparisons of two methods, on the same questions or on the same masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
from jaxtyping import Float

from headspex.engine.faithfulness import Measured, resamples
from headspex.support.intervals import (
    LEVEL,
    mean_interval,
    paired_loss_bound,
    paired_shares_interval,
)
from headspex.support.scale import exponent_of, scaled_by


@dataclass(frozen=True)
class Difference:
    """How much higher one method is than another, with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def beyond_noise(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0

    def to_dict(self) -> dict[str, float]:
        """The three numbers, for JSON."""
        return {"difference": self.value, "low": self.low, "high": self.high}

    def __str__(self) -> str:
        return f"{self.value:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def score_difference(
    mine: Float[np.ndarray, " questions"],
    other: Float[np.ndarray, " questions"],
    *,
    looks: int = 1,
) -> Difference:
    """Mean of `mine - other` over questions; a question is one observation.

    Args:
        mine, other: score on each question, or its mean over sizes or schedules.
        looks: number of differences that the 95 % should cover jointly (Bonferroni).

    If scores are within 0..1 and every difference is -1, 0 or 1 (right or wrong, once each), the
    interval is that of paired proportions, else a t interval.
    """
    differences = mine - other
    value, level = float(differences.mean()), 1 - (1 - LEVEL) / looks
    shares = all(((scores >= 0) & (scores <= 1)).all() for scores in (mine, other))
    if not shares or not np.isin(differences, (-1, 0, 1)).all():
        return Difference(value, *mean_interval(differences, level=level))
    return Difference(value, *paired_shares_interval(differences, level=level))


def loss_bound(
    whole: Float[np.ndarray, " questions"], pruned: Float[np.ndarray, " questions"]
) -> float:
    """An upper bound of the pruned model's loss: the end of a one-sided 95 % interval.

    A question is one observation. If all scores are 0 or 1 the interval is Tango's score interval
    for paired proportions (Statistics in Medicine 17, 1998), which keeps its level even if nearly
    all answers agree; else it is that of a paired t test.

    Args:
        whole, pruned: scores of both models on each question, in the unit of the bound.
    """
    differences = pruned - whole
    if all(np.isin(scores, (0, 1)).all() for scores in (whole, pruned)):
        lost, won = int((differences < 0).sum()), int((differences > 0).sum())
        return paired_loss_bound(lost, won, len(whole), level=LEVEL)
    # A one-sided 95 % bound is an end of a two-sided 90 % interval.
    return -mean_interval(differences, level=2 * LEVEL - 1)[0]


def free_size(losses: Sequence[float], sizes: Sequence[int], *, may_cost: float) -> int | None:
    """The largest size whose removal is shown to be free; None if even the smallest is not.

    A fixed sequence of tests: from the smallest size up, each size is tested to lose less than
    `may_cost` with 95 % confidence, and the first failure ends the sequence. So the chance that any
    size is wrongly called free is 5 % in all, with no correction for the number of tests (Maurer,
    Hothorn & Lehmacher 1995).

    Args:
        losses: upper bound of the loss, by `loss_bound`, at each size.
        sizes: numbers of players removed, ascending.
        may_cost: in the unit of the losses.
    """
    shown = takewhile(lambda pair: pair[1] < may_cost, zip(sizes, losses, strict=True))
    return max((size for size, _ in shown), default=None)


def r2_difference(
    measured: Measured,
    mine: Float[np.ndarray, " masks"],
    other: Float[np.ndarray, " masks"],
    *,
    seed: int = 0,
) -> Difference:
    """R² of the predictions `mine` minus that of `other` (percentile bootstrap over masks).

    The errors of the values cancel in the difference of the two squared errors.

    Args:
        measured: values of masks, not all equal.
        mine, other: predictions of the same masks.
        seed: fixes the bootstrap.
    """
    exponent = exponent_of(measured.values, mine, other)
    measured = measured.scaled_by(-exponent)
    mine, other = scaled_by(mine, -exponent), scaled_by(other, -exponent)
    gain = np.square(measured.values - other) - np.square(measured.values - mine)
    n = len(measured)
    counts = np.concatenate([np.ones((1, n)), resamples(n, seed)])
    total = measured.variance(counts)
    # A resample of equal values has no R² and is left out of the quantiles.
    differences = (counts @ gain / n) / np.where(total > 0, total, np.nan)
    low, high = np.nanquantile(differences[1:], [0.025, 0.975])
    return Difference(float(differences[0]), float(low), float(high))
