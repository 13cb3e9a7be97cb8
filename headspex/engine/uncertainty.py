"""Confidence intervals of a spectrum's coefficients, for any way of fitting it.

Cross-fitting (Chernozhukov et al., Double/debiased machine learning, 2018): a spectrum fitted to
the other folds predicts the masks of this one. The basis is orthonormal under the sampling of
masks, so the fit's coefficient of T plus the mean of (residual x chi_T) over held-out masks is an
unbiased estimate of F(T), whatever the fit selected, shrank or missed. A bootstrap of the fit
repeats its selection bias and undercovers. Terms selected for looking large in the same data need
wider intervals (`chosen`), as wide as those that exclude zero need: readers select these again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import comb
from operator import index

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import t as student
from threadpoolctl import threadpool_limits

from headspex.engine.characters import Keep, characters
from headspex.engine.methods.cross_validation import CrossValidation, Method, cross_validate
from headspex.engine.methods.growth import grow
from headspex.engine.methods.kernel import kernel_ridge
from headspex.engine.methods.saturation import saturating_fit
from headspex.engine.observations import connected_blocks, observe
from headspex.engine.terms import Term
from headspex.errors import UsageError
from headspex.support.scale import exponent_of, scaled_by
from headspex.support.seeds import stream
from headspex.support.validation import whole_seed

FOLDS = 5
LEAST_BLOCKS = 10  # to estimate a variance
LEVEL = 0.95
_PRODUCTS = 1 << 22  # residual x character held at once: 32 MB, with a peak of three times that


@dataclass(frozen=True, eq=False)
class Intervals:
    """Coefficients with 95 % intervals, in the orthonormal basis of `keep`.

    Attributes:
        coefficient: cross-fitted estimate of each term, in the unit of the values.
        low, high: 95 % bounds; the level holds over the terms of each order.
        selected: share of the folds, 0..1, whose sparse fit contains the term.
    """

    coefficient: Float[np.ndarray, " terms"]
    low: Float[np.ndarray, " terms"]
    high: Float[np.ndarray, " terms"]
    selected: Float[np.ndarray, " terms"]


def intervals(
    masks: Bool[np.ndarray, "masks players"],
    values: Float[np.ndarray, " masks"],
    terms: Sequence[Term],
    *,
    keep: Keep,
    weights: Float[np.ndarray, " masks"] | None = None,
    groups: np.ndarray | None = None,
    seed: int = 0,
    chosen: bool = True,
    fit: Method | None = None,
) -> Intervals:
    """95 % intervals of the coefficients of `terms`.

    They hold for masks drawn independently with the probabilities `keep`, each scored at least
    once; for masks chosen in another way the estimates are biased.

    Args:
        masks: True = the player stays on.
        values: one per mask, in any unit.
        terms: columns of each, in any order; () is the constant. They may be terms of no fit.
        keep: the probability with which masks keep a player, one number or one per player.
        weights: of each value, up to a factor; must not depend on the mask.
        groups: labels; masks of one group, and equal masks, count as one observation.
        seed: fixes the folds; the same input gives the same intervals bit for bit.
        chosen: the terms were selected because they looked large in these data, as those of a
            spectrum are. Their intervals are wider, so that 95 % of them still cover, and so that
            of those that exclude zero at most 5 % are expected to do so by chance. False: named
            beforehand, each interval covers at 95 %.
        fit: from the masks of four folds to a spectrum. The better it predicts, the narrower the
            intervals; they are valid for any fit. The default is the best, on held-out masks, of
            the sparse growth, the saturating curve and the kernel ridge of `fit_spectrum`.

    Raises:
        UsageError: as in `fit_spectrum`, a term's column unknown or repeated, fewer than 10
            different masks (or groups of them).
    """
    data = observe(masks, values, keep=keep, weights=weights)
    exponent = exponent_of(data.values)
    data = replace(data, values=scaled_by(data.values, -exponent))
    checked = _checked_terms(terms, data.n_players)
    seed = whole_seed(seed)
    blocks = connected_blocks(data.masks, groups)
    n_blocks = int(blocks.max()) + 1
    if n_blocks < LEAST_BLOCKS:
        raise UsageError(
            f"intervals need at least {LEAST_BLOCKS} different masks, in as many groups, "
            f"but got {n_blocks}; score more masks"
        )
    order = np.argsort(blocks, kind="stable")
    data, blocks = data.rows(order), blocks[order]
    folds = (stream(seed, "interval folds").permutation(n_blocks) % FOLDS)[blocks]
    # The sparse method comes first: its spectra give `selected`.
    cheap: dict[str, Method] = {
        "sparse": grow,
        "link": saturating_fit,
        "kernel": partial(kernel_ridge, seed=seed),
    }
    methods: Mapping[str, Method] = {"given": fit} if fit else cheap
    with threadpool_limits(1):  # as in `in_own_unit`
        found = _one_step(cross_validate(data, folds, methods), blocks, checked, chosen=chosen)
    return replace(
        found,
        coefficient=scaled_by(found.coefficient, exponent),
        low=scaled_by(found.low, exponent),
        high=scaled_by(found.high, exponent),
    )


def _one_step(
    cv: CrossValidation,
    blocks: Int[np.ndarray, " masks"],
    terms: list[Term],
    *,
    chosen: bool,
) -> Intervals:
    """Corrects the best fits by their held-out residuals; `blocks` must ascend."""
    data, folds = cv.data, cv.folds
    best = max(cv.held_out, key=lambda name: cv.r2(cv.held_out[name]))
    found = [spectrum.to_dict() for spectrum in cv.spectra[best]]
    fitted = np.array([[table.get(term, 0.0) for term in terms] for table in found])
    share = data.weights / data.weights.sum()
    starts = np.flatnonzero(np.diff(blocks, prepend=-1))
    share_of_block, fold_of_block = np.add.reduceat(share, starts), folds[starts]
    weighted_residual = share * (data.values - cv.held_out[best])
    coefficient = np.bincount(folds, share) @ fitted
    deviation = np.zeros(len(terms))
    step = max(1, _PRODUCTS // len(data))
    for start in range(0, len(terms), step):
        part = slice(start, start + step)
        design = characters(data.masks, terms[part], data.keep)
        # A block's share of the estimate, [terms, blocks]; a slice of masks is a block.
        parts = np.add.reduceat(design.T * weighted_residual, starts, axis=1)
        coefficient[part] += parts.sum(axis=1)
        parts += share_of_block * (fitted[:, part] - coefficient[part])[fold_of_block].T
        deviation[part] = np.sqrt(np.square(parts).sum(axis=1))
    # Characters with a small product of keeps are rarely large, and a small sample may miss the
    # rare masks that make up their variance. It is 1 over all masks, which gives a lower bound.
    deviation = np.maximum(deviation, np.sqrt(np.square(weighted_residual).sum()))
    # Effective number of blocks of equal weight (Kish).
    equal = max(2.0, 1 / float(np.square(share_of_block).sum()))
    deviation *= np.sqrt(equal / (equal - 1))
    misses = np.full(len(terms), 1 - LEVEL)
    if chosen:
        sizes = np.divide(
            np.abs(coefficient), deviation, out=np.zeros(len(terms)), where=deviation > 0
        )
        sizes[(deviation == 0) & (coefficient != 0)] = np.inf
        misses = miss_rates(2 * student.sf(sizes, equal - 1), terms, data.n_players)
    half = -student.ppf(misses / 2, equal - 1) * deviation
    first = next(iter(cv.spectra.values()))
    kept = [set(spectrum.terms) for spectrum in first]
    selected = np.array([np.mean([term in some for some in kept]) for term in terms])
    return Intervals(coefficient, coefficient - half, coefficient + half, selected)


def miss_rates(
    p_values: Float[np.ndarray, " terms"], terms: Sequence[Term], n_players: int
) -> Float[np.ndarray, " terms"]:
    """The miss rate of each chosen term's interval, by order.

    Of the M terms of an order, let R be found by Benjamini and Hochberg's rule (J. R. Stat. Soc. B
    57, 1995, equation 1), as if all that were not chosen had shown nothing. With R / M times the
    rate, the intervals that exclude zero are those of the R terms, and 95 % of them cover
    (Benjamini & Yekutieli, J. Am. Stat. Assoc. 100, 2005). On SmolLM2 with indirect objects,
    35,000 masks, R / M for all chosen terms let 176 pairs exclude zero, of which 73 % had the same
    sign in a second search; of the 18 pairs that this rule finds, all had.

    Args:
        p_values: of the hypothesis that a coefficient is zero.
        terms: columns of each.
        n_players: columns of a mask.
    """
    sizes = np.array([len(term) for term in terms], dtype=np.intp)
    rates = np.empty(len(terms))
    for size in np.unique(sizes).tolist():
        of_order = np.flatnonzero(sizes == size)
        distinct = {terms[i]: p_values[i] for i in of_order.tolist()}
        steps = (1 - LEVEL) * np.arange(1, len(distinct) + 1) / comb(n_players, size)
        below = np.flatnonzero(np.sort(np.array(list(distinct.values()))) <= steps)
        rates[of_order] = steps[below[-1]] if len(below) else steps[0]
    return rates


def _checked_terms(terms: Sequence[Term], n_players: int) -> list[Term]:
    checked: list[Term] = []
    for term in terms:
        try:
            columns = tuple(sorted(map(index, term)))
        except TypeError as error:
            raise UsageError(
                f"a term is a tuple of columns such as (3, 17), but got {term!r}"
            ) from error
        if columns and not 0 <= columns[0] <= columns[-1] < n_players:
            raise UsageError(
                f"a term's columns lie in 0..{n_players - 1}, but got {term!r}; "
                "count players as the columns of a mask"
            )
        if len(set(columns)) < len(columns):
            raise UsageError(f"a term names each column once, but got {term!r}")
        checked.append(columns)
    return checked
