"""Interactions of all pairs of players, estimated with intervals.

Masks come in opposites, as for Shapley values (`headspex.engine.shapley`), of the sizes that the
index depends on. Two estimates share them:

- the *fit*, the better on masks it has not seen of two that know an index exactly: ridge regression
  on all terms of all orders (`headspex.engine.methods.part_kernel`) and a sparse spectrum
  (`headspex.engine.methods.growth`);
- the estimate *without bias*, which adds what the fit leaves over. An index is a weighted mean over
  sets of players (`headspex.engine.pair_indices`); that of the fit is known, and that of its errors
  is estimated from opposites that the fit has not seen. Sets are drawn without replacement, those
  drawn count for themselves, and once all are drawn the estimate is exact.

Intervals are those of the estimate without bias, from the squares of what is left. Its noise is
that of n (n - 1) / 2 numbers, so with few masks the fit alone is nearer to the truth: of the
difference D of the two the share 1 - V / |D|^2, or nothing, is added to the fit, where V is the
variance of D (James & Stein 1961), and at least what brings a value into its interval, so that one
strong interaction that the fit misses is not lost among weak ones (limited translation; Efron &
Morris 1972).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import t as student
from threadpoolctl import threadpool_limits

from headspex.engine.control import FOLDS, evidence, fold_pairs, halves
from headspex.engine.fit import ValueFunction, scored
from headspex.engine.methods.cross_validation import fit_or_constant
from headspex.engine.methods.growth import grow
from headspex.engine.methods.odd_kernel import learn_pair_relevances
from headspex.engine.methods.part_kernel import pair_effects, part_fit
from headspex.engine.observations import Observations, observe
from headspex.engine.pair_design import n_sets, opposites
from headspex.engine.pair_indices import PAIR_INDICES, quadrature, size_weights_of
from headspex.engine.search import MOST_ENUMERATED, all_masks, exact_spectrum
from headspex.engine.shapley import LEVEL
from headspex.engine.spectrum import Spectrum
from headspex.errors import UsageError
from headspex.players import Masks
from headspex.support.scale import exponent_of, scaled_by
from headspex.support.seeds import stream
from headspex.support.validation import whole, whole_seed

PER_PLAYER = 2.5  # masks, at least: twice what separates the players' own effects
FEWEST_MASKS = 4 * FOLDS + 2  # unless fewer are all

Matrix = Float[np.ndarray, "players players"]  # symmetric, 0 on the diagonal
Vector = Float[np.ndarray, " opposites"]


@dataclass(frozen=True, eq=False)
class InteractionEstimate:
    """An interaction index of all pairs of players, with 95 % intervals.

    Attributes:
        values: [players, players], symmetric; 0 on the diagonal.
        standard_errors: the same shape, in the unit of the values; 0 where they are exact.
        low, high: 95 % bounds.
        index: its name.
        exact: whether all 2^n masks were scored.
        data: the masks and their values.
    """

    values: Matrix
    standard_errors: Matrix
    low: Matrix
    high: Matrix
    index: str
    exact: bool
    data: Observations

    @property
    def n_evaluations(self) -> int:
        """Number of masks scored."""
        return len(self.data)

    def top(self, count: int) -> tuple[tuple[int, int], ...]:
        """The pairs with the largest absolute values, largest first.

        Raises:
            UsageError: a count below 0.
        """
        count = whole("count", count, 0)
        first, second = np.triu_indices(len(self.values), 1)
        order = np.argsort(-np.abs(self.values[first, second]), kind="stable")[:count]
        return tuple(zip(first[order].tolist(), second[order].tolist(), strict=True))


def interaction_values(
    value_function: ValueFunction, n_players: int, *, budget: int, index: str = "sii", seed: int = 0
) -> InteractionEstimate:
    """Estimate how strongly any two players interact.

    Positive is synergy, negative redundancy. `Spectrum.interactions` has the same indices of a
    spectrum, up to any order, without intervals.

    Args:
        value_function: bool [masks, players] -> float [masks]; called once with all masks.
        n_players: columns of a mask, at least 2.
        budget: masks scored, at most; at least 2.5 per player, and 22. If it pays for all 2^n, and
            players are 16 or fewer, or all come out of the draw, the values are exact.
        index: sii (Shapley interaction), stii (Shapley-Taylor of order two), fsii (faithful
            Shapley of order two) or banzhaf.
        seed: fixes the masks.

    Raises:
        UsageError: an unknown index, fewer players or masks than above, an invalid seed, or a value
            function that returns another shape or NaN.
    """
    if index not in PAIR_INDICES:
        raise UsageError(f"no index {index!r} with intervals; known: {', '.join(PAIR_INDICES)}")
    n_players, seed = whole("n_players of interactions", n_players, 2), whole_seed(seed)
    fewest = max(FEWEST_MASKS, ceil(PER_PLAYER * n_players))
    if n_players <= MOST_ENUMERATED:
        fewest = min(fewest, 2**n_players)
    budget = whole(f"budget of the interactions of {n_players} players", budget, fewest)
    if n_players <= MOST_ENUMERATED and 2**n_players <= budget:
        masks = all_masks(n_players)
        data = observe(masks, scored(value_function, masks))
        values, none = _matrix(exact_spectrum(data.values), index), np.zeros((n_players,) * 2)
        return InteractionEstimate(values, none, values, values, index, True, data)
    masks = interaction_masks(index, n_players, budget, seed=seed)
    data = observe(masks, scored(value_function, masks))
    exponent = exponent_of(data.values)
    with threadpool_limits(1):  # as in `in_own_unit`
        found = corrected(replace(data, values=scaled_by(data.values, -exponent)), index, seed)
    errors = np.sqrt(found.variances)
    half = student.ppf((1 + LEVEL) / 2, found.freedom) * errors
    low, high = found.unbiased - half, found.unbiased + half
    values = np.clip(found.fit + found.share * (found.unbiased - found.fit), low, high)
    values, errors, low, high = (scaled_by(x, exponent) for x in (values, errors, low, high))
    return InteractionEstimate(values, errors, low, high, index, len(masks) == 2**n_players, data)


def interaction_masks(index: str, n_players: int, budget: int, *, seed: int = 0) -> Masks:
    """The masks of `interaction_values`: S, not S in rows i and i + half of them."""
    spread = size_weights_of(index, n_players).spread[1:]
    return opposites(n_players, budget, spread, stream(seed, "interactions"))


@dataclass(frozen=True, eq=False)
class Correction:
    """The fit and the estimate without bias.

    Attributes:
        fit: the index of the fit.
        unbiased: this, corrected by what the fit leaves over.
        variances: of `unbiased`.
        freedom: the effective number of opposites behind each variance (Kish).
    """

    fit: Matrix
    unbiased: Matrix
    variances: Matrix
    freedom: Matrix

    @property
    def share(self) -> float:
        """How much of the correction is used, 0..1."""
        square = float(np.square(self.unbiased - self.fit).sum())
        return max(0.0, 1 - float(self.variances.sum()) / square) if square else 0.0


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fit to opposites, and what it leaves of their parts, by parity: 1 is even, -1 odd.

    Attributes:
        fit: the index of the fit to all.
        without: that of the mean of the fits that miss some.
        seen: what is left by this mean.
        left: by the fit that missed the opposites in question.
    """

    fit: Matrix
    without: Matrix
    seen: dict[int, Vector]
    left: dict[int, Vector]


@dataclass(frozen=True, eq=False)
class Opposites:
    """Masks S and not S, by the smaller one; the first S is the empty set.

    Attributes:
        data: S, then not S.
        parts: (f(S) + parity * f(not S)) / 2 by parity.
        parities: those that the index depends on.
        fold: of each; -1 is never held out.
        mixing: weight of the fit that misses it in the mean of the fits.
    """

    data: Observations
    parts: dict[int, Vector]
    parities: tuple[int, ...]
    fold: np.ndarray
    mixing: Vector

    @property
    def on(self) -> Bool[np.ndarray, "opposites players"]:
        """The smaller sets."""
        return self.data.masks[: len(self.fold)]

    @property
    def signs(self) -> Float[np.ndarray, "opposites players"]:
        """The same, 1 for a player that is on and -1 for one that is off."""
        return np.where(self.on, 1.0, -1.0)


def corrected(data: Observations, index: str, seed: int) -> Correction:
    """The estimates from masks of `interaction_masks`; values near 1."""
    n, m = data.n_players, len(data) // 2
    if data.constant:
        none = np.zeros((n, n))
        return Correction(none, none, none, np.full((n, n), np.inf))
    swapped = np.arange(2 * m)
    swapped[[0, m]] = m, 0  # none before all
    data = data.rows(swapped)
    sizes = data.masks[:m].sum(axis=1)
    odd, even = halves(data.values)
    parts = {1: even, -1: odd}
    of_size = size_weights_of(index, n)
    effects = {1: of_size.even[sizes], -1: of_size.odd[sizes]}
    weights, unseen = _weights(sizes, of_size.share, n)
    rng = stream(seed, "interaction folds")
    fold = fold_pairs(sizes, rng)
    parities = tuple(parity for parity in parts if effects[parity].any())
    mixing = np.where(fold < 0, 0.0, weights / weights[1:].sum())
    given = Opposites(data, parts, parities, fold, mixing)

    def estimate(fitted: Fitted) -> Correction:
        drawn, parts_left = np.zeros((m, 3)), np.zeros((m, 3))
        for parity, effect in effects.items():
            if parity in fitted.left:
                seen, left = fitted.seen[parity], fitted.left[parity]
                drawn += effect * (weights * ((1 - unseen) * seen + unseen * left))[:, None]
                parts_left += effect * (weights * np.sqrt(unseen) * left)[:, None]
        squares = np.square(parts_left)
        variances, fourth = _sums(given.on, squares), _sums(given.on, np.square(squares))
        freedom = np.square(variances) / np.where(fourth > 0, fourth, 1.0)
        return Correction(
            fitted.fit,
            fitted.without + _sums(given.on, drawn),
            variances,
            np.where(fourth > 0, np.maximum(1.0, freedom), np.inf),
        )

    found = [estimate(_kernel(given, index, rng)), estimate(_sparse(given, index))]
    return min(found, key=lambda one: float(one.variances.sum()))


def _kernel(given: Opposites, index: str, rng: np.random.Generator) -> Fitted:
    """Relevances from the other folds, then the fits to all opposites and to all but one."""
    signs, parts, n = given.signs, given.parts, given.data.n_players
    rules = {parity: quadrature(index, n, parity) for parity in given.parities}
    fit, without = np.zeros((n, n)), np.zeros((n, n))
    seen, left = ({parity: np.zeros(len(signs)) for parity in rules} for _ in range(2))
    for fold in range(FOLDS):
        held, others = np.flatnonzero(given.fold == fold), np.flatnonzero(given.fold != fold)
        centre = {1: parts[1][others].mean(), -1: 0.0}
        others = evidence(others, rng)
        relevances = learn_pair_relevances(
            signs[others], parts[-1][others], parts[1][others], fades=False
        )
        for parity, rule in rules.items():
            found = part_fit(signs, parts[parity] - centre[parity], relevances, parity)
            missed = given.mixing[held] * found.left[held]
            dual = given.mixing[held].sum() * found.dual - found.inverse[:, held] @ missed
            left[parity][held] = found.left[held]
            seen[parity] += found.noise * dual
            seen[parity][held] += missed
            fit += pair_effects(signs, relevances, found.dual / FOLDS, *rule)
            without += pair_effects(signs, relevances, dual, *rule)
    return Fitted(fit, without, seen, left)


def _sparse(given: Opposites, index: str) -> Fitted:
    """Sparse spectra of the other folds."""
    data, m, n = given.data, len(given.fold), given.data.n_players
    fit, left = np.zeros((n, n)), {parity: np.zeros(m) for parity in given.parities}
    seen = {parity: given.parts[parity].copy() for parity in given.parities}
    for fold in range(FOLDS):
        held, others = np.flatnonzero(given.fold == fold), np.flatnonzero(given.fold != fold)
        found = fit_or_constant(grow, data.rows(np.concatenate([others, others + m])))
        share = float(given.mixing[held].sum())
        fit += share * _matrix(found, index)
        predicted = found.predict(data.masks)
        for parity in given.parities:
            part = (predicted[:m] + parity * predicted[m:]) / 2
            left[parity][held] = (given.parts[parity] - part)[held]
            seen[parity] -= share * part
    return Fitted(fit, fit, seen, left)


def _matrix(spectrum: Spectrum, index: str) -> Matrix:
    """The index of a spectrum, for each two players."""
    found = np.zeros((spectrum.n_players,) * 2)
    for term, value in spectrum.interactions(index, order=2, keep=0.5).items():
        if len(term) == 2:
            found[term] = found[term[::-1]] = value
    return found


def _sums(
    on: Bool[np.ndarray, "opposites players"], of: Float[np.ndarray, "opposites 3"]
) -> Matrix:
    """For each two players, the sum over masks of the entry for how many of the two are on."""
    inside, outside = on.astype(np.float64), (~on).astype(np.float64)
    one = inside.T @ (of[:, 1:2] * outside)
    found = inside.T @ (of[:, 2:] * inside) + outside.T @ (of[:, :1] * outside) + one + one.T
    np.fill_diagonal(found, 0.0)
    return np.asarray(found)


def _weights(
    sizes: np.ndarray, share: Float[np.ndarray, " sizes"], n_players: int
) -> tuple[Vector, Vector]:
    """Weight of each S, adding up to 1, and the share of sets of its size that are unseen.

    A size without sets gives its weight to the nearest sizes that have some.
    """
    counts = np.bincount(sizes, minlength=len(share))
    present = np.flatnonzero(counts)[1:]
    totals = np.zeros(len(share))
    totals[0] = share[0]
    for size in range(1, len(share)):
        distance = np.abs(present - size)
        near = present[distance == distance.min()]
        totals[near] += share[size] / len(near)
    existing = np.array([n_sets(n_players, size) for size in range(len(share))], dtype=np.float64)
    return (totals / np.maximum(counts, 1))[sizes], (1 - counts / existing)[sizes]
