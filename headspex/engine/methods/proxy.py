"""Boosted trees on masks, converted exactly into a spectrum.

The proxy of ProxySPEX (arXiv 2505.17495). Depth and number of trees are chosen on held-out masks.
"""

from dataclasses import replace

import numpy as np
import xgboost
from jaxtyping import Bool

from headspex.engine.methods.extraction import tree_spectrum
from headspex.engine.observations import Observations, connected_blocks
from headspex.engine.spectrum import Spectrum
from headspex.support.seeds import derived_seed, stream

DEPTHS = (3, 5)  # no term of higher order can be found
MAX_TREES = 600
PATIENCE = 25  # trees without gain on the held-out masks before boosting stops
LEARNING_RATE = 0.1


def boosted_trees(data: Observations, *, seed: int = 0, threads: int = 1) -> Spectrum:
    """The exact spectrum of trees, their depth and number chosen on a fifth of the masks."""
    # Standardised: xgboost stores values and leaves as float32.
    centre, spread = data.mean, float(np.sqrt(data.variance))
    data = replace(data, values=(data.values - centre) / spread)
    held = _held_out(data, seed)
    train = _matrix(data.rows(np.flatnonzero(~held)))
    test = _matrix(data.rows(np.flatnonzero(held)))
    best = (np.inf, DEPTHS[0], 1)
    for depth in DEPTHS:
        booster = xgboost.train(
            _parameters(depth, seed, threads),
            train,
            MAX_TREES,
            evals=[(test, "test")],
            early_stopping_rounds=PATIENCE,
            verbose_eval=False,
        )
        best = min(best, (booster.best_score, depth, booster.best_iteration + 1))
    _, depth, n_trees = best
    booster = xgboost.train(_parameters(depth, seed, threads), _matrix(data), n_trees)
    fitted = tree_spectrum(booster, data.n_players, keep=data.keep)
    coefficients = spread * fitted.coefficients
    coefficients[0] += centre
    return replace(fitted, coefficients=coefficients)


def _held_out(data: Observations, seed: int) -> Bool[np.ndarray, " masks"]:
    blocks = connected_blocks(data.masks)
    n_blocks = int(blocks.max()) + 1
    chosen = stream(seed, "trees").permutation(n_blocks)[: max(1, n_blocks // 5)]
    return np.isin(blocks, chosen)


def _matrix(data: Observations) -> xgboost.DMatrix:
    # Dense: the zeros of a sparse matrix are missing values to xgboost.
    return xgboost.DMatrix(data.masks.astype(np.float32), data.values, weight=data.weights)


def _parameters(depth: int, seed: int, threads: int) -> dict[str, object]:
    return {
        "objective": "reg:squarederror",
        "tree_method": "hist",
        "max_bin": 2,  # a mask's entry is 0 or 1
        "max_depth": depth,
        "eta": LEARNING_RATE,
        "subsample": 0.8,
        "seed": derived_seed(seed, "boosting"),
        "nthread": threads,
        "verbosity": 0,
    }
