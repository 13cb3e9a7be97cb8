"""Shapley values from about n log n evaluations, with intervals.

Masks come in pairs of opposites (`headspex.engine.pair_design`). Two estimates share them:

- the *fit* (`headspex.engine.control`): ridge regression on all terms of all orders with a
  relevance for each player, a sparse spectrum, or a weighted mean of both. It discards players
  without effect, and few evaluations suffice for the others. What it gets wrong stays in it.
- the *corrected* estimate, which keeps the fit as a control variate. With h(S) the odd part
  (f(S) - f(not S)) / 2 and x_i(S) = 1 - s / n for a member of S, -s / n for others,

      phi_i = (f(all) - f(none)) / n + C * mean over sizes s of mean over sets of size s of x_i h

  where sizes weigh 1 / (s (n - s)), as in KernelSHAP. That of the fit is known; what the fit leaves
  over is estimated from the pairs. The fit that predicts a pair has not seen it, so once every size
  has pairs there is no bias, whatever the fit is. Sets are drawn without replacement: those drawn
  count for themselves, and what is left of a pair stands for the sets of its size that were not
  drawn. Once all are drawn the estimate is exact.

The squares of what is left of each pair give the variance V of the corrected estimate. A pair that
is seen moves the fit too, often the same way; C is the covariance of the two, summed over pairs.
With D the difference of the two estimates, |D|^2 estimates their variances less 2 C, plus the
squared bias of the fit. So the share of D that leaves the least squared error, added to the fit, is
1 - (V - C) / |D|^2, or nothing (James & Stein 1961, for C = 0; half of C is counted). Few
evaluations thus lose nothing to the correction, and with many the bias goes away. Intervals of the
values use V, which is above the variance of the sum.

Below some 1.25 masks a player nothing tells V, and there is the fit alone, hedged by that of an
additive function (`headspex.engine.control.few_shapley`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import t as student
from threadpoolctl import threadpool_limits

from headspex.engine.control import (
    FOLDS,
    blended,
    few_shapley,
    fold_pairs,
    halves,
    kernel_control,
    odd_residual,
    sparse_control,
)
from headspex.engine.fit import ValueFunction, scored
from headspex.engine.indices import shapley_of
from headspex.engine.methods.cross_validation import fit_or_constant
from headspex.engine.methods.growth import grow
from headspex.engine.methods.kernel import kernel_ridge
from headspex.engine.methods.odd_kernel import PRIOR_PRECISION
from headspex.engine.observations import Observations, observe
from headspex.engine.pair_design import few_masks, n_sets, shapley_masks, size_weights
from headspex.engine.scaling import in_own_unit
from headspex.engine.search import MOST_ENUMERATED, all_masks, exact_spectrum
from headspex.engine.spectrum import Spectrum
from headspex.support.scale import exponent_of, scaled_by
from headspex.support.seeds import stream
from headspex.support.validation import whole, whole_seed

FEWEST_MASKS = 3  # all players, none, and one between
LEAST_PAIRS = 2 * FOLDS  # beside all players and none; with fewer there are no intervals,
JUDGED_FROM = 1.25  # masks per player, nor with fewer of these
# Prior precision of relevances where there are intervals, but fewer pairs than players. With .3, as
# elsewhere, errors at a quarter of n log2 n (seeds 711 to 722) fell by a third in `boosted64a` and
# a tenth in `spectrum64a`, but rose by a quarter where all players matter alike (`complete64`,
# `andor96`). In the smallest samples, without intervals, .3 was better.
FEW_PRECISION = 1.0
SPARSE_FROM = 2.0  # pairs per player; with fewer, which of the two fits is better is chance
# Of the covariance of fit and correction, which is an estimate too. With all of it, errors at
# 8 n log2 n evaluations fell by a third to a half in the `training` games of the benchmark (seeds
# 721 to 723), and rose by a quarter in `network16`; with half they fell by 28 and 38 % in two of
# them, and rose in none of the six games tried (by 3 % at most at n log2 n).
COUNTED = 0.5
LEVEL = 0.95


@dataclass(frozen=True, eq=False)
class Correction:
    """The fit, the estimate without bias, and their mixture.

    Attributes:
        fit: [players] Shapley values of the fit.
        unbiased: [players] these, corrected by what the fit leaves over.
        variances: [players] of `unbiased`.
        freedom: the effective number of pairs behind the variances (Kish).
        share: of the correction that is used, 0..1.
    """

    fit: Float[np.ndarray, " players"]
    unbiased: Float[np.ndarray, " players"]
    variances: Float[np.ndarray, " players"]
    freedom: float
    share: float

    @property
    def values(self) -> Float[np.ndarray, " players"]:
        """The fit and `share` of its correction."""
        return np.asarray(self.fit + self.share * (self.unbiased - self.fit))


@dataclass(frozen=True, eq=False)
class ShapleyEstimate:
    """Shapley values with 95 % intervals.

    Attributes:
        values: [players]; they add up to the value of all players minus that of none.
        standard_errors: [players], in the unit of the values; 0 where they are exact, infinite
            where there were too few masks to tell (below 1.25 per player, or below 22).
        low, high: [players] 95 % bounds.
        n_evaluations: number of masks scored.
        exact: whether all 2^n masks were scored.
        data: the masks and their values.
        seed: that of the masks.
    """

    values: Float[np.ndarray, " players"]
    standard_errors: Float[np.ndarray, " players"]
    low: Float[np.ndarray, " players"]
    high: Float[np.ndarray, " players"]
    exact: bool
    data: Observations
    seed: int

    @property
    def n_evaluations(self) -> int:
        """Number of masks scored."""
        return len(self.data)

    @cached_property
    def spectrum(self) -> Spectrum:
        """A spectrum of the function, from the same masks; fitted when it is first asked for.

        Its Shapley values are near `values`, and equal to them where these are exact.
        """
        if self.exact and self.data.n_players <= MOST_ENUMERATED:
            return exact_spectrum(self.data.values)
        return _kernel_spectrum(self.data, self.seed)

    def top(self, count: int) -> tuple[int, ...]:
        """The players with the largest absolute values, largest first.

        Raises:
            UsageError: a count below 0.
        """
        count = whole("count", count, 0)
        order = np.argsort(-np.abs(self.values), kind="stable")
        return tuple(order[:count].tolist())


def shapley_values(
    value_function: ValueFunction, n_players: int, *, budget: int, seed: int = 0
) -> ShapleyEstimate:
    """Estimate every player's Shapley value.

    Args:
        value_function: bool [masks, players] -> float [masks]; called once with all masks.
        n_players: columns of a mask.
        budget: masks scored, at most; at least 3. The full and the empty mask are among them.
        seed: fixes the masks.

    Raises:
        UsageError: fewer than 3 masks, no players, an invalid seed, or a value function that
            returns another shape or NaN.
    """
    n_players, seed = whole("n_players", n_players, 1), whole_seed(seed)
    budget = whole("budget of Shapley values", budget, FEWEST_MASKS)
    listed = n_players <= MOST_ENUMERATED and 2**n_players <= budget
    few = budget < JUDGED_FROM * n_players or budget // 2 <= LEAST_PAIRS
    drawn = few_masks if few else shapley_masks
    masks = all_masks(n_players) if listed else drawn(n_players, budget, seed=seed)
    data = observe(masks, scored(value_function, masks))
    if listed:
        values, errors = shapley_of(exact_spectrum(data.values)), np.zeros(n_players)
        freedom = np.inf
    else:
        exponent = exponent_of(data.values)
        near_one = replace(data, values=scaled_by(data.values, -exponent))
        with threadpool_limits(1):  # as in `in_own_unit`
            found = (uncorrected if few else corrected)(near_one, seed)
        values = scaled_by(found.values, exponent)
        errors, freedom = scaled_by(np.sqrt(found.variances), exponent), found.freedom
    half = student.ppf((1 + LEVEL) / 2, freedom) * errors
    exact = len(masks) == 2**n_players
    return ShapleyEstimate(values, errors, values - half, values + half, exact, data, seed)


def _kernel_spectrum(data: Observations, seed: int) -> Spectrum:
    def fitted(scaled: Observations) -> Spectrum:
        return fit_or_constant(
            lambda some: kernel_ridge(some, prior_precision=PRIOR_PRECISION, seed=seed), scaled
        )

    return in_own_unit(data, fitted)


def uncorrected(data: Observations, seed: int) -> Correction:
    """The fit alone, from so few masks, those of `few_masks`, that its variances are unknown."""
    n, n_pairs = data.n_players, len(data) // 2
    fit = np.zeros(n)
    if not data.constant:
        fit = few_shapley(data, _folds(_sizes(data), seed), seed)
    fit = _adding_up(fit, float(data.values[0] - data.values[n_pairs]))
    return Correction(fit, fit, np.full(n, np.inf), 1.0, 0.0)


def corrected(data: Observations, seed: int) -> Correction:
    """The estimates from masks of `shapley_masks`, at least `LEAST_PAIRS` pairs."""
    n, n_pairs = data.n_players, len(data) // 2
    if data.constant:
        return Correction(np.zeros(n), np.zeros(n), np.zeros(n), np.inf, 0.0)
    on, odd, sizes = data.masks[:n_pairs], halves(data.values)[0], _sizes(data)
    weights, unseen = _pair_weights(sizes, n)
    centred = on - on.mean(axis=1, keepdims=True)
    squares = np.square(centred).sum(axis=1)
    unit = float((weights * squares).sum()) / (n - 1)

    # Of a pair's squared `left`, in the variance of the correction.
    importance = squares * np.square(weights) * unseen
    folds = _folds(sizes, seed)
    precision = PRIOR_PRECISION if n_pairs >= n else FEW_PRECISION
    control = kernel_control(data, weights, folds, seed, prior_precision=precision)
    if n_pairs >= SPARSE_FROM * n:
        sparse = grow(data)
        if importance @ odd_residual(data, sparse) ** 2 < importance @ control.left**2:
            rival = sparse_control(data, weights, folds, sparse)
            control = blended(control, rival, importance)

    left = control.left
    drawn = weights * ((1 - unseen) * control.seen + unseen * left)
    parts = centred * (weights * left * np.sqrt(unseen))[:, None] / unit
    power = np.square(parts).sum(axis=1)
    freedom = float(power.sum() ** 2 / np.square(power).sum()) if power.any() else np.inf
    total = 2 * float(odd[0])
    fit, unbiased = (
        _adding_up(values, total)
        for values in (control.shapley, control.without + centred.T @ drawn / unit)
    )
    square = float(np.square(unbiased - fit).sum())
    shared = float((parts * (control.moved * np.sqrt(unseen)).T).sum())
    share = float(np.clip(1 - (power.sum() - COUNTED * shared) / square, 0, 1)) if square else 0.0
    variances = np.square(parts).sum(axis=0)
    return Correction(fit, unbiased, variances, max(1.0, freedom), share)


def _sizes(data: Observations) -> Int[np.ndarray, " pairs"]:
    """Of the smaller set of each pair."""
    on = data.masks[: len(data) // 2].sum(axis=1)
    return np.asarray(np.minimum(on, data.n_players - on))


def _folds(sizes: Int[np.ndarray, " pairs"], seed: int) -> Int[np.ndarray, " pairs"]:
    return fold_pairs(sizes, stream(seed, "shapley folds"))


def _pair_weights(
    sizes: np.ndarray, n_players: int
) -> tuple[Float[np.ndarray, " pairs"], Float[np.ndarray, " pairs"]]:
    """Weight of each pair, adding up to 1, and the share of sets of its size that are unseen.

    A size without pairs gives its weight to the nearest sizes that have some.
    """
    counts = np.bincount(sizes, minlength=n_players // 2 + 1)[1:]
    present = np.flatnonzero(counts)
    totals = np.zeros(len(counts))
    for place, weight in enumerate(size_weights(n_players)):
        distance = np.abs(present - place)
        near = present[distance == distance.min()]
        totals[near] += weight / len(near)
    existing = np.array([n_sets(n_players, size + 1) for size in range(len(counts))], dtype=float)
    each = np.append(0.0, totals / np.maximum(counts, 1))
    unseen = np.append(0.0, 1 - counts / existing)
    return each[sizes], unseen[sizes]


def _adding_up(values: Float[np.ndarray, " players"], total: float) -> np.ndarray:
    """Values that sum to `total`: the difference is shared equally."""
    return np.asarray(values + (total - values.sum()) / len(values))
