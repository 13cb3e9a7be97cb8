"""Fits as control variates of Shapley values: what they say, and what they leave of unseen pairs.

Two fits take part. The *kernel* (`headspex.engine.methods.odd_kernel`) has all terms of all orders,
the *sparse* spectrum (`headspex.engine.methods.growth`) few terms, and it is exact where a function
has no others. Any weighted mean of the two is a control variate as well, and the one that leaves
the correction the least variance is taken (Glasserman, Monte Carlo Methods in Financial
Engineering, 2003, 4.1). That mean is one number, so that what a pair adds to it hardly counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from headspex.engine.indices import shapley_of
from headspex.engine.methods.cross_validation import fit_or_constant
from headspex.engine.methods.growth import grow
from headspex.engine.methods.odd_kernel import (
    PRIOR_PRECISION,
    OddFit,
    PairRelevances,
    learn_pair_relevances,
    odd_fit,
    without_opposite,
)
from headspex.engine.observations import Observations
from headspex.engine.spectrum import Spectrum
from headspex.support.seeds import stream

FOLDS = 5  # of pairs
ALIKE = 1e-4  # relevance of each player, so low that products of two do not count
ADDITIVE_NOISE = 0.2  # variance of a value, in units of that of an additive function's
EVIDENCE_PAIRS = 400  # used to learn relevances; the cost of a step is cubic in them


@dataclass(frozen=True, eq=False)
class Control:
    """A fit, and fits like it to all pairs but some.

    Attributes:
        shapley: [players] of the fit to all pairs.
        without: [players] of fits that have not seen a pair, averaged by the weights of pairs.
        left: [pairs] a pair's odd part minus its prediction by a fit that has not seen it.
        seen: [pairs] what the fits of `without` leave of each pair, averaged as they are.
        moved: [players, pairs] how far each pair moves `shapley`, where the fit can tell; else 0.
    """

    shapley: Float[np.ndarray, " players"]
    without: Float[np.ndarray, " players"]
    left: Float[np.ndarray, " pairs"]
    seen: Float[np.ndarray, " pairs"]
    moved: Float[np.ndarray, "players pairs"]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Masks and their opposites.

    Attributes:
        signs: +1 for a player that is on in the pair's first mask, -1 for one that is off.
        odd, even: half of the difference of a pair's values, and half of their sum.
    """

    signs: Float[np.ndarray, "pairs players"]
    odd: Float[np.ndarray, " pairs"]
    even: Float[np.ndarray, " pairs"]

    @classmethod
    def of(cls, data: Observations) -> Pairs:
        """Of masks first, then their opposites; a single mask after them is left out."""
        n_pairs = len(data) // 2
        odd, even = halves(data.values[: 2 * n_pairs])
        return cls(np.where(data.masks[:n_pairs], 1.0, -1.0), odd, even)


def halves(values: Float[np.ndarray, " masks"]) -> tuple[np.ndarray, np.ndarray]:
    """Odd and even part of values of pairs: masks first, then their opposites."""
    first, second = values[: len(values) // 2], values[len(values) // 2 :]
    return (first - second) / 2, (first + second) / 2


def fold_pairs(
    sizes: Int[np.ndarray, " pairs"], rng: np.random.Generator
) -> Int[np.ndarray, " pairs"]:
    """Folds of equal size, over all sizes of sets alike; -1 for all players and none."""
    order = np.lexsort((rng.random(len(sizes)), sizes))
    folds = np.empty(len(sizes), dtype=np.int64)
    folds[order] = (np.arange(len(sizes)) + rng.integers(FOLDS)) % FOLDS
    folds[0] = -1
    return folds


def evidence(
    pairs: Int[np.ndarray, " pairs"], rng: np.random.Generator
) -> Int[np.ndarray, " fewer"]:
    """The first of some pairs and others at random, as many as relevances are learned from."""
    if len(pairs) <= EVIDENCE_PAIRS:
        return pairs
    return np.sort(np.append(rng.permutation(pairs[1:])[: EVIDENCE_PAIRS - 1], pairs[0]))


def kernel_control(
    data: Observations,
    weights: Float[np.ndarray, " pairs"],
    folds: Int[np.ndarray, " pairs"],
    seed: int,
    *,
    prior_precision: float,
) -> Control:
    """A pair is predicted from all other pairs, with relevances that the other folds have."""
    n_pairs = len(weights)
    shapley, without, left = np.zeros(data.n_players), np.zeros(data.n_players), np.zeros(n_pairs)
    seen, moved = np.zeros(n_pairs), np.zeros((data.n_players, n_pairs))
    pairs = Pairs.of(data)
    for fold, relevances in enumerate(_learned(pairs, folds, seed, prior_precision)):
        held = np.flatnonzero(folds == fold)
        found = odd_fit(pairs.signs, pairs.odd, relevances)
        left[held] = found.left[held]
        moved[:, held] = found.influence[:, held] * left[held]
        missed = weights[held] * left[held]
        shapley += found.shapley / FOLDS
        without += weights[held].sum() * found.shapley - found.influence[:, held] @ missed
        seen += weights[held].sum() * found.residual - found.leverage[:, held] @ missed
    return Control(shapley, without, left, seen + weights * left, moved)


def few_shapley(
    data: Observations, folds: Int[np.ndarray, " pairs"], seed: int
) -> Float[np.ndarray, " players"]:
    """Shapley values from so few pairs that the best of several fits is not known.

    A weighted mean of two: the kernel's, averaged over relevances that all folds but one have, and
    that of an additive function, to which all players are alike. Each weighs by the inverse of the
    squares of what it leaves of pairs that it has not seen.

    Args:
        data: pairs of masks, and perhaps one mask more, without its opposite.
        folds: of pairs.
        seed: of the choice of evidence.
    """
    pairs, n = Pairs.of(data), data.n_players

    def fitted(relevances: PairRelevances) -> OddFit:
        if len(data) % 2 == 0:
            return odd_fit(pairs.signs, pairs.odd, relevances)
        signs = np.vstack([pairs.signs, np.where(data.masks[-1], 1.0, -1.0)])
        last, noise = without_opposite(signs, pairs.even, float(data.values[-1]), relevances)
        return odd_fit(signs, np.append(pairs.odd, last), relevances, last_noise=noise)

    shapley, left = np.zeros(n), np.zeros(len(folds))
    for fold, relevances in enumerate(_learned(pairs, folds, seed, PRIOR_PRECISION)):
        found = fitted(relevances)
        shapley += found.shapley / FOLDS
        left[folds == fold] = found.left[: len(folds)][folds == fold]
    additive = fitted(PairRelevances(np.full(n, ALIKE), 1 / (n * ALIKE), ADDITIVE_NOISE, 0.0))
    kernel, other = (np.square(one[1 : len(folds)]).sum() for one in (left, additive.left))
    share = other / (kernel + other) if kernel + other else 1.0
    return np.asarray(share * shapley + (1 - share) * additive.shapley)


def _learned(
    pairs: Pairs, folds: Int[np.ndarray, " pairs"], seed: int, prior_precision: float
) -> Iterator[PairRelevances]:
    """The relevances that all folds but one have, for each fold."""
    rng = stream(seed, "shapley evidence")
    for fold in range(FOLDS):
        some = evidence(np.flatnonzero(folds != fold), rng)
        yield learn_pair_relevances(
            pairs.signs[some], pairs.odd[some], pairs.even[some], prior_precision=prior_precision
        )


def sparse_control(
    data: Observations,
    weights: Float[np.ndarray, " pairs"],
    folds: Int[np.ndarray, " pairs"],
    whole: Spectrum,
) -> Control:
    """A pair's prediction is fitted to the other folds.

    Args:
        data: pairs of masks.
        weights: of pairs.
        folds: of pairs.
        whole: the sparse spectrum of all pairs.
    """
    n_pairs = len(weights)
    without, left, seen = np.zeros(data.n_players), np.zeros(n_pairs), np.zeros(n_pairs)
    for fold in range(FOLDS):
        held, others = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        found = fit_or_constant(grow, data.rows(np.append(others, others + n_pairs)))
        residual = odd_residual(data, found)
        left[held] = residual[held]
        without += weights[held].sum() * shapley_of(found)
        seen += weights[held].sum() * residual
    return Control(shapley_of(whole), without, left, seen, np.zeros((data.n_players, n_pairs)))


def odd_residual(data: Observations, spectrum: Spectrum) -> Float[np.ndarray, " pairs"]:
    """What a spectrum leaves of the odd part of pairs."""
    return np.asarray(halves(data.values - spectrum.predict(data.masks))[0])


def blended(one: Control, other: Control, importance: Float[np.ndarray, " pairs"]) -> Control:
    """The weighted mean of two whose squares of `left` have the least sum by `importance`."""
    apart = one.left - other.left
    square = float(importance @ np.square(apart))
    share = float(np.clip(-(importance * apart) @ other.left / square, 0, 1)) if square else 1.0
    parts = zip(*(vars(control).values() for control in (one, other)), strict=True)
    return Control(*(share * mine + (1 - share) * yours for mine, yours in parts))
