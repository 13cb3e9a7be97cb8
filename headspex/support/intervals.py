"""Intervals of means and ratios where observations come in clusters: seeds, questions, blocks.

Errors may agree within a cluster, and the clusters are what there are several of. With few of them
the normal distribution is too narrow: Student's t with one degree of freedom less than there are
clusters, and their number over it as a factor of the variance (Cameron & Miller, A practitioner's
guide to cluster-robust inference, Journal of Human Resources 2015, section VI).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import t

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate, and the bounds that it is known within."""

    value: float
    low: float
    high: float


def mean_by_cluster(
    values: Float[np.ndarray, " values"],
    *clusters: Int[np.ndarray, " values"],
    level: float = LEVEL,
) -> Interval:
    """The mean of all values, each counting the same.

    Args:
        values: in any unit.
        clusters: a label of each value; or two, its seed and its question, say, where errors may
            agree in both ways.
        level: how often such intervals are to cover.
    """
    return ratio_by_cluster(values, np.ones(len(values)), *clusters, level=level)


def ratio_by_cluster(
    above: Float[np.ndarray, " values"],
    below: Float[np.ndarray, " values"],
    *clusters: Int[np.ndarray, " values"],
    level: float = LEVEL,
) -> Interval:
    """The sum of `above` over that of `below` (delta method); no bounds from a single cluster.

    Clustered in two ways, the variance is the sum of both less that by cells of the two (Cameron,
    Gelbach & Miller 2011), not less than either, and its degrees of freedom are Satterthwaite's.

    Args:
        above, below: parts of both sums.
        clusters: one label of each part, or two.
        level: how often such intervals are to cover.
    """
    ratio = float(above.sum() / below.sum())
    missed = (above - ratio * below) / below.sum()
    counts, variances = zip(*(_variance(missed, labels) for labels in clusters), strict=True)
    if min(counts) < 2:
        return Interval(ratio, -np.inf, np.inf)
    total = sum(variances)
    if len(clusters) > 1:
        cells = np.unique(np.stack(clusters), axis=1, return_inverse=True)[1]
        total -= _variance(missed, cells)[1]
    total = max(total, *variances)
    if total == 0:
        return Interval(ratio, ratio, ratio)
    shares = [variance / total for variance in variances]
    freedom = 1 / sum(share**2 / (n - 1) for n, share in zip(counts, shares, strict=True))
    half = float(t.ppf((1 + level) / 2, freedom) * np.sqrt(total))
    return Interval(ratio, ratio - half, ratio + half)


def _variance(
    missed: Float[np.ndarray, " values"], labels: Int[np.ndarray, " values"]
) -> tuple[int, float]:
    """How many clusters there are, and the variance of the sum over them."""
    names, cluster = np.unique(labels, return_inverse=True)
    squares = float(np.square(np.bincount(cluster, missed)).sum())
    return len(names), squares * len(names) / max(1, len(names) - 1)
