"""Is one method better than another? Differences on the same questions, or on the same masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import norm, t

from headspex.engine.faithfulness import RESAMPLES


@dataclass(frozen=True)
class Difference:
    """How much higher one method is than another, with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def beyond_noise(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0

    def to_dict(self) -> dict[str, float]:
        """As it stands in JSON."""
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
        looks: differences that are looked at together, all of which the 95 % are to cover
            (Bonferroni).

    Where scores are within 0..1 and every difference is -1, 0 or 1 (right or wrong, once each) half
    a question is added for either, and one for 0 (Agresti & Min 2005): that two methods agree on a
    few dozen questions does not mean that they always do. Else it is a t interval.
    """
    differences = mine - other
    value = float(differences.mean())
    shares = all(((scores >= 0) & (scores <= 1)).all() for scores in (mine, other))
    if not shares or not np.isin(differences, (-1, 0, 1)).all():
        return Difference(value, *_t_interval(differences, looks))
    count = len(differences) + 2
    centre = float(differences.sum()) / count
    square = (float(np.abs(differences).sum()) + 1) / count
    half = float(norm.ppf(1 - 0.025 / looks)) * float(np.sqrt((square - centre**2) / count))
    return Difference(value, max(-1.0, centre - half), min(1.0, centre + half))


def free_size(
    whole: Float[np.ndarray, " questions"],
    pruned: Float[np.ndarray, "sizes questions"],
    sizes: Sequence[int],
    *,
    may_cost: float,
) -> int | None:
    """The most players that go for free; None where none can be shown to.

    Free means that the score is less than `may_cost` below the whole model's by the lower end of
    the paired 95 % interval, which covers all sizes together.

    Args:
        whole: score of the whole model on each question.
        pruned: at each size.
        sizes: numbers of players removed.
        may_cost: in the unit of the scores.
    """
    free = [
        size
        for size, row in zip(sizes, pruned, strict=True)
        if score_difference(row, whole, looks=len(sizes)).low > -may_cost
    ]
    return max(free, default=None)


def r2_difference(
    values: Float[np.ndarray, " masks"],
    mine: Float[np.ndarray, " masks"],
    other: Float[np.ndarray, " masks"],
    *,
    seed: int = 0,
) -> Difference:
    """R² of the predictions `mine` less that of `other` (percentile bootstrap over masks).

    Args:
        values: measured; not all equal.
        mine, other: predictions of the same masks.
        seed: fixes the bootstrap.
    """
    gain = np.square(values - other) - np.square(values - mine)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(values), size=(RESAMPLES, len(values)))
    total = values[drawn].var(axis=1)
    # A resample of equal values has no R²; quantiles leave it out.
    resampled = gain[drawn].mean(axis=1) / np.where(total > 0, total, np.nan)
    low, high = np.nanquantile(resampled, [0.025, 0.975])
    return Difference(float(gain.mean() / values.var()), float(low), float(high))


def _t_interval(values: Float[np.ndarray, " questions"], looks: int) -> tuple[float, float]:
    if len(values) < 2:
        return -np.inf, np.inf
    half = t.ppf(1 - 0.025 / looks, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)
