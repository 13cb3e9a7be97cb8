"""Baselines with the interface of the engine's methods."""

from collections.abc import Callable, Mapping
from warnings import catch_warnings, simplefilter

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LassoCV

from headspex.engine.characters import characters
from headspex.engine.observations import Observations, connected_blocks
from headspex.engine.spectrum import Spectrum
from headspex.engine.terms import Term
from headspex.errors import UsageError
from headspex.support.seeds import stream

PAIR_BYTES = 2e9  # of the float32 design matrix of all pairs


def lasso_heads(data: Observations, *, seed: int = 0) -> Spectrum:
    """LASSO on single players; the penalty by cross-validation."""
    return _lasso(data, _singles(data.n_players), seed)


def lasso_pairs(data: Observations, *, seed: int = 0) -> Spectrum:
    """LASSO on single players and all pairs; the penalty by cross-validation.

    Raises:
        UsageError: the design matrix would exceed PAIR_BYTES.
    """
    n = data.n_players
    size = 4 * len(data) * n * (n + 1) / 2
    if size > PAIR_BYTES:
        raise UsageError(
            f"all pairs of {n} players on {len(data)} masks need {size / 1e9:.1f} GB, more than "
            f"{PAIR_BYTES / 1e9:g} GB; use the LASSO on heads or fit_spectrum"
        )
    left, right = np.triu_indices(n, 1)
    pairs: list[Term] = list(zip(left.tolist(), right.tolist(), strict=True))
    return _lasso(data, _singles(n) + pairs, seed)


def marginal(data: Observations, *, seed: int = 0) -> Spectrum:
    """Each player's mean value when on minus its mean when off, ignoring all others."""
    del seed
    centred = data.weights * (data.values - data.mean)
    slopes = centred @ data.characters() / len(data)
    return _spectrum(data, {(i,): float(slope) for i, slope in enumerate(slopes)}, data.mean)


def random_order(data: Observations, *, seed: int = 0) -> Spectrum:
    """Random importances: a random pruning order."""
    noise = stream(seed, "random order").normal(size=data.n_players)
    scale = float(np.sqrt(data.variance / data.n_players))
    return _spectrum(data, {(i,): scale * float(x) for i, x in enumerate(noise)}, data.mean)


def best_of_n(data: Observations, *, seed: int = 0) -> Spectrum:
    """Importances that reproduce the best scored mask: its players are kept."""
    del seed
    best = data.masks[int(np.argmax(data.values))]
    scale = float(np.sqrt(data.variance / data.n_players))
    return _spectrum(data, {(i,): -scale if on else scale for i, on in enumerate(best)}, data.mean)


BASELINES: dict[str, Callable[..., Spectrum]] = {
    "lasso": lasso_heads,
    "lasso-pairs": lasso_pairs,
    "marginal": marginal,
    "best-of-n": best_of_n,
    "random": random_order,
}


def _lasso(data: Observations, terms: list[Term], seed: int) -> Spectrum:
    blocks = connected_blocks(data.masks)
    n_folds = min(5, int(blocks.max()) + 1)
    if n_folds < 2 or data.constant:
        return _spectrum(data, {}, data.mean)
    order = stream(seed, "lasso folds").permutation(int(blocks.max()) + 1)
    fold = order[blocks] % n_folds
    folds = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(n_folds)]
    # Few columns: float64 and their Gram matrix, which sklearn refuses when summed in float32.
    few = len(terms) <= 2000
    design = characters(data.masks, terms, data.keep).astype(np.float64 if few else np.float32)
    # Standardised, as the solver's tolerance is absolute.
    spread = float(np.sqrt(data.variance))
    target = ((data.values - data.mean) / spread).astype(design.dtype)
    model = LassoCV(cv=folds, alphas=30, precompute=few, tol=1e-3, max_iter=3000)
    with catch_warnings():
        # The smallest penalties converge slowly, and cross-validation does not choose them.
        simplefilter("ignore", ConvergenceWarning)
        model.fit(design, target, data.weights)
    chosen = np.flatnonzero(model.coef_)
    table = {terms[j]: spread * float(model.coef_[j]) for j in chosen}
    return _spectrum(data, table, data.mean + spread * float(model.intercept_))


def _singles(n_players: int) -> list[Term]:
    return [(i,) for i in range(n_players)]


def _spectrum(data: Observations, table: Mapping[Term, float], constant: float) -> Spectrum:
    coefficients = {**table, (): constant}
    return Spectrum.from_dict(coefficients, n_players=data.n_players, keep=data.keep)
