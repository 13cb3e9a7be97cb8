"""How far each coefficient of a spectrum is known, whichever way its term was found.

Cross-fitting (Chernozhukov et al., Double/debiased machine learning, 2018): a spectrum fitted to
the other folds predicts the masks of this one. Because the basis is orthonormal under the sampling
of masks, its coefficient of T plus the mean of (residual x chi_T) over the masks it has not seen is
an unbiased estimate of F(T), whatever the fit selected, shrank or missed. A bootstrap of the fit
itself repeats the selection's bias and does not cover.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from headspex.characters import Keep
from headspex.contest import fit_or_constant
from headspex.errors import UsageError
from headspex.growth import grow
from headspex.observations import Observations, connected_blocks, observe
from headspex.spectrum import Spectrum
from headspex.terms import Term

FOLDS = 5
LEAST = 10  # blocks of masks; a variance of fewer numbers is hardly one
LEVEL = 0.95
_PRODUCTS = 1 << 22  # residual x character held at once: 32 MB, and a few times that in passing


@dataclass(frozen=True, eq=False)
class Intervals:
    """Estimates of coefficients with 95 % intervals, in the orthonormal basis of `keep`.

    Attributes:
        coefficient: cross-fitted estimate of each term, in the unit of the values.
        low, high: of the interval; each term's own, not of all terms at once.
        selected: share of the folds whose own fit keeps the term, 0 to 1.
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
    fit: Callable[[Observations], Spectrum] = grow,
) -> Intervals:
    """95 % intervals of the coefficients of `terms`, however the terms were chosen.

    Valid for masks drawn independently with the probabilities `keep`, some of them perhaps scored
    more than once; for masks chosen in any other way the estimates are biased.

    Args:
        masks: True = the player stays on.
        values: one per mask, in any unit.
        terms: each any columns in any sequence, () for the constant; fits may lack them.
        keep: the probability with which masks keep a player, one number or one per player.
        weights: how much each value counts, up to a factor; not chosen by looking at the masks.
        groups: labels; masks of one group, and equal masks, count as one observation.
        seed: fixes the folds.
        fit: what each fold learns from the others. A better fit gives narrower intervals; they
            hold for any.

    Raises:
        UsageError: as in `fit_spectrum`, a term with a column unknown or repeated, fewer than 10
            different masks or groups of them.
    """
    data = observe(masks, values, keep=keep, weights=weights)
    wanted = _checked_terms(terms, data.n_players)
    if seed < 0:
        raise UsageError(f"seed must be 0 or more, but got {seed}")
    blocks = connected_blocks(data.masks, groups)
    n_blocks = int(blocks.max()) + 1
    if n_blocks < LEAST:
        raise UsageError(
            f"intervals need at least {LEAST} different masks, in as many groups, but got "
            f"{n_blocks}; score more masks"
        )
    # Masks of a block next to each other, so that sums over blocks are sums over slices.
    order = np.argsort(blocks, kind="stable")
    data, starts = data.rows(order), np.searchsorted(blocks[order], np.arange(n_blocks))
    fold_of_block = np.random.default_rng(seed).permutation(n_blocks) % FOLDS
    folds = np.repeat(fold_of_block, np.diff(np.append(starts, len(data))))
    spectra = [fit_or_constant(fit, data.rows(np.flatnonzero(folds != k))) for k in range(FOLDS)]
    residual = data.values.copy()
    for k, spectrum in enumerate(spectra):
        residual[folds == k] -= spectrum.predict(data.masks[folds == k])
    fitted, selected = _look_up(spectra, wanted)
    share = data.weights / data.weights.sum()
    share_of_block = np.add.reduceat(share, starts)
    scores = np.concatenate(
        [np.zeros((0, n_blocks)), *_scores(data, wanted, share * residual, starts)]
    )
    return scores
