"""Shapley values from about n log n evaluations, with intervals.

Masks come in pairs of opposites (`headspex.engine.pair_design`). Two estimates share them:

- the *fit*, ridge regression on all terms of all orders with a relevance for each player
  (`headspex.engine.methods.odd_kernel`): it discards players without effect, and few evaluations
  suffice for the others. What its prior gets wrong stays in it.
- the *corrected* estimate, which keeps the fit as a control variate. With h(S) the odd part
  (f(S) - f(not S)) / 2 and x_i(S) = 1 - s / n for a member of S, -s / n for others,

      phi_i = (f(all) - f(none)) / n + C * mean over sizes s of mean over sets of size s of x_i h

  where sizes weigh 1 / (s (n - s)), as in KernelSHAP. That of the fit is known; what the fit leaves
  over is estimated from the pairs. The fit that predicts a pair has not seen it (relevances from
  the other folds, then all pairs but this one), so once every size has pairs there is no bias,
  whatever the fit is. Sets are drawn without replacement: those drawn count for themselves, and
  what is left of a pair stands for the sets of its size that were not drawn. Once all are drawn
  the estimate is exact.

The squares of what is left of each pair give the variance V of the corrected estimate. If D is its
difference to the fit, |D|^2 estimates V plus the squared bias of the fit, so the share
1 - V / |D|^2 of D, or nothing, is added to the fit (James & Stein 1961). Few evaluations thus lose
nothing to the correction, and with many the bias goes away. Intervals of the values use V, which
is above the variance of the sum.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy.stats import t as student
from threadpoolctl import threadpool_limits

from headspex.engine.fit import ValueFunction, scored
from headspex.engine.indices import shapley_of
from headspex.engine.methods.cross_validation import fit_or_constant
from headspex.engine.methods.kernel import kernel_ridge
from headspex.engine.methods.odd_kernel import (
    PRIOR_PRECISION,
    learn_pair_relevances,
    odd_fit,
)
from headspex.engine.observations import Observations, observe
from headspex.engine.pair_design import n_sets, paired, shapley_masks, size_weights
from headspex.engine.scaling import in_own_unit
from headspex.engine.search import MOST_ENUMERATED, all_masks, exact_spectrum
from headspex.engine.spectrum import Spectrum
from headspex.support.scale import exponent_of, scaled_by
from headspex.support.seeds import stream
from headspex.support.validation import whole, whole_seed

FEWEST_MASKS = 3  # all players, none, and one between
FOLDS = 5  # of pairs, for the relevances
LEAST_PAIRS = 2 * FOLDS  # beside all players and none; with fewer there are no intervals
EVIDENCE_PAIRS = 400  # used to learn relevances; the cost of a step is cubic in them
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
    masks = all_masks(n_players) if listed else shapley_masks(n_players, budget, seed=seed)
    data = observe(masks, scored(value_function, masks))
    sizes = masks.sum(axis=1)
    total = float(data.values[sizes.argmax()] - data.values[sizes.argmin()])
    unknown = np.full(n_players, np.inf)
    if listed:
        values, errors = shapley_of(exact_spectrum(data.values)), np.zeros(n_players)
        freedom = np.inf
    elif not paired(n_players, budget) or len(masks) // 2 <= LEAST_PAIRS:
        values, errors, freedom = shapley_of(_kernel_spectrum(data, seed)), unknown, 1.0
        values = _adding_up(values, total)
    else:
        exponent = exponent_of(data.values)
        near_one = replace(data, values=scaled_by(data.values, -exponent))
        with threadpool_limits(1):  # as in `in_own_unit`
            found = corrected(near_one, seed)
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


def corrected(data: Observations, seed: int) -> Correction:
    """The estimates from masks of `shapley_masks`, at least `LEAST_PAIRS` pairs."""
    n, n_pairs = data.n_players, len(data) // 2
    if data.constant:
        return Correction(np.zeros(n), np.zeros(n), np.zeros(n), np.inf, 0.0)
    on, first, second = data.masks[:n_pairs], data.values[:n_pairs], data.values[n_pairs:]
    odd, even = (first - second) / 2, (first + second) / 2
    signs, sizes = np.where(on, 1.0, -1.0), (~on).sum(axis=1)
    sizes = np.minimum(sizes, n - sizes)
    weights, unseen = _pair_weights(sizes, n)

    # Two averages: of the fits to all pairs, and, by weight, of those that miss one pair. `seen` is
    # what the latter leave of each pair, its own included.
    fit, without, left = np.zeros(n), np.zeros(n), np.zeros(n_pairs)
    seen = np.zeros(n_pairs)
    rng = stream(seed, "shapley folds")
    fold_of = folds_of_pairs(sizes, rng)
    for fold in range(FOLDS):
        held = np.flatnonzero(fold_of == fold)
        others = np.flatnonzero(fold_of != fold)
        if len(others) > EVIDENCE_PAIRS:
            others = np.sort(np.append(rng.permutation(others[1:])[: EVIDENCE_PAIRS - 1], 0))
        found = odd_fit(signs, odd, learn_pair_relevances(signs[others], odd[others], even[others]))
        left[held] = found.left[held]
        missed = weights[held] * left[held]
        fit += found.shapley / FOLDS
        without += weights[held].sum() * found.shapley - found.influence[:, held] @ missed
        seen += weights[held].sum() * found.residual - found.leverage[:, held] @ missed
    seen += weights * left

    centred = (signs - signs.mean(axis=1, keepdims=True)) / 2
    unit = float((weights * np.square(centred).sum(axis=1)).sum()) / (n - 1)
    drawn = weights * ((1 - unseen) * seen + unseen * left)
    parts = centred * (weights * left * np.sqrt(unseen))[:, None] / unit
    power = np.square(parts).sum(axis=1)
    freedom = float(power.sum() ** 2 / np.square(power).sum()) if power.any() else np.inf
    total = 2 * float(odd[0])
    fit, unbiased = (
        values + (total - values.sum()) / n for values in (fit, without + centred.T @ drawn / unit)
    )
    square = float(np.square(unbiased - fit).sum())
    share = max(0.0, 1 - float(power.sum()) / square) if square else 0.0
    variances = np.square(parts).sum(axis=0)
    return Correction(fit, unbiased, variances, max(1.0, freedom), share)


def folds_of_pairs(sizes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Folds of equal size, over all sizes of sets alike; -1 for all players and none."""
    order = np.lexsort((rng.random(len(sizes)), sizes))
    folds = np.empty(len(sizes), dtype=np.int64)
    folds[order] = (np.arange(len(sizes)) + rng.integers(FOLDS)) % FOLDS
    folds[0] = -1
    return folds


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
    """Values that sum to `total`: the difference is shared in proportion to their sizes."""
    sizes = np.abs(values)
    share = sizes / sizes.sum() if sizes.any() else np.full(len(values), 1 / len(values))
    return np.asarray(values + (total - values.sum()) * share)
