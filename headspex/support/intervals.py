"""Confidence intervals: of means, of proportions, of paired proportions, of clustered ratios."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import brentq
from scipy.stats import norm, t

from headspex.errors import UsageError
from headspex.support.scale import exponent_of, scaled_by

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence bounds."""

    value: float
    low: float
    high: float


def mean_interval(
    values: Float[np.ndarray, " values"], *, level: float = LEVEL
) -> tuple[float, float]:
    """t interval of the mean of independent values; infinite for a single value.

    Raises:
        UsageError: no values.
    """
    if len(values) == 0:
        raise UsageError("the mean of no values has no interval; score at least one question")
    if len(values) == 1:
        return -np.inf, np.inf
    exponent = exponent_of(values)
    values = scaled_by(values, -exponent)
    quantile = t.ppf((1 + level) / 2, len(values) - 1)
    half = quantile * values.std(ddof=1) / np.sqrt(len(values))
    mean = values.mean()
    return float(np.ldexp(mean - half, exponent)), float(np.ldexp(mean + half, exponent))


def wilson(correct: float, total: float) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927), always within 0..1.

    Raises:
        UsageError: not a proportion.
    """
    if total < 1 or not 0 <= correct <= total:
        raise UsageError(
            f"a proportion needs 0 <= correct <= total and total >= 1, "
            f"but got correct={correct} and total={total}; count the questions again"
        )
    quantile = float(norm.ppf((1 + LEVEL) / 2))
    share, spread = correct / total, quantile**2 / total
    centre = (share + spread / 2) / (1 + spread)
    half = quantile / (1 + spread) * np.sqrt(share * (1 - share) / total + spread / (4 * total))
    # At 0 and at `total` the bounds are exactly 0 and 1; rounding must not push the mean outside.
    return (
        0.0 if correct == 0 else float(centre - half),
        1.0 if correct == total else float(centre + half),
    )


def share_interval(values: Float[np.ndarray, " values"]) -> tuple[float, float]:
    """95 % interval of the mean of values within 0..1, such as each question's mean over schedules.

    Wilson's interval at the effective sample size: the number of right-or-wrong answers whose mean
    has the same variance (Korn & Graubard 1998). It stays within 0..1, and equal values do not give
    a width of 0. Values of 0 and 1 give Wilson's interval itself.

    Raises:
        UsageError: no values.
    """
    if len(values) == 0:
        raise UsageError("the mean of no values has no interval; score at least one question")
    mean = float(values.mean())
    variance = float(values.var(ddof=1)) if len(values) > 1 else 0.0
    equal_to = max(1.0, mean * (1 - mean) / variance) if variance > 0 else 1.0
    return wilson(float(values.sum()) * equal_to, len(values) * equal_to)


def paired_shares_interval(
    differences: Float[np.ndarray, " pairs"], *, level: float = LEVEL
) -> tuple[float, float]:
    """Interval of the difference of two paired proportions (Agresti & Min 2005).

    Half a pair is added to either side, and one pair that agrees: two methods that agree on a few
    dozen questions need not always agree.

    Args:
        differences: -1, 0 or 1.
        level: of confidence.
    """
    count = len(differences) + 2
    centre = float(differences.sum()) / count
    square = (float(np.abs(differences).sum()) + 1) / count
    half = float(norm.ppf((1 + level) / 2)) * float(np.sqrt((square - centre**2) / count))
    return max(-1.0, centre - half), min(1.0, centre + half)


def paired_loss_bound(lost: int, won: int, total: int, *, level: float = LEVEL) -> float:
    """The largest loss that a one-sided score test does not reject (Tango 1998, equation 10).

    It keeps its level even if nearly all pairs agree.

    Args:
        lost, won: questions that only the first, or only the second model answers correctly.
        total: number of questions.
        level: of confidence.
    """
    if lost == total:
        return 1.0
    quantile = float(norm.ppf(level))

    def excess(loss: float) -> float:
        # The likeliest share of questions that only the second model gets right, given the loss.
        b = (2 * total - lost + won) * loss - lost - won
        c = -won * loss * (1 - loss)
        share = (np.sqrt(b * b - 8 * total * c) - b) / (4 * total)
        variance = total * (2 * share + loss * (1 - loss))
        return float((won - lost + total * loss) / np.sqrt(variance)) - quantile

    least, most = max((lost - won) / total, 0.0) + 1e-9, 1 - 1e-9
    if excess(least) >= 0:
        return max(0.0, (lost - won) / total)
    return float(brentq(excess, least, most)) if excess(most) > 0 else 1.0


def mean_by_cluster(
    values: Float[np.ndarray, " values"],
    *clusters: Int[np.ndarray, " values"],
    level: float = LEVEL,
) -> Interval:
    """The unweighted mean of all values, with a cluster-robust interval.

    Args:
        values: in any unit.
        clusters: one label per value; or two, such as seed and question, if errors may be
            correlated in both.
        level: of confidence.
    """
    return ratio_by_cluster(values, np.ones(len(values)), *clusters, level=level)


def ratio_by_cluster(
    above: Float[np.ndarray, " values"],
    below: Float[np.ndarray, " values"],
    *clusters: Int[np.ndarray, " values"],
    level: float = LEVEL,
) -> Interval:
    """The sum of `above` over the sum of `below` (delta method); a single cluster gives no bounds.

    Errors may be correlated within a cluster: a seed, a question, a block of masks. With few
    clusters the normal distribution is too narrow: with G clusters, Student's t has G - 1 degrees
    of freedom, and the variance is multiplied by G / (G - 1) (Cameron & Miller, A practitioner's
    guide to cluster-robust inference, Journal of Human Resources 2015, section VI).

    With two clusterings the variance is the sum of both minus that of their intersections (Cameron,
    Gelbach & Miller 2011), at least the larger of the two, with Satterthwaite's degrees of freedom.

    Args:
        above, below: the summands.
        clusters: one label per summand, or two.
        level: of confidence.
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
