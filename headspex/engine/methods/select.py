"""Which terms to keep, and their coefficients: the winner of the contest, fitted to all masks."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
from jaxtyping import Float, Int

from headspex.engine.fit_report import FitReport
from headspex.engine.methods.baselines import lasso_heads
from headspex.engine.methods.cross_validation import (
    CrossValidation,
    Method,
    cross_validate,
    fit_or_constant,
    interval,
    split,
    split_narrow,
    stack,
)
from headspex.engine.methods.growth import grow
from headspex.engine.methods.kernel import kernel_ridge
from headspex.engine.methods.proof import beyond_chance, fits_exactly, gcv_r2
from headspex.engine.methods.proxy import boosted_trees
from headspex.engine.methods.saturation import saturating_fit
from headspex.engine.observations import Observations
from headspex.engine.spectrum import Spectrum

SIZES = (10_000, 5000, 2000, 1000, 500, 250, 125, 60, 30, 15)  # terms, tried by cross-validation
TOLERANCE = 5e-4  # share of the explained variance that a smaller spectrum may cost
PROMISING = 0.1  # R² by which a fit's own estimate must exceed the contest's to reopen it
GAIN = 5e-4  # share of the explained variance that a sum of methods must gain over the best


def fit_methods(seed: int, threads: int) -> dict[str, Method]:
    """The ways to fit a spectrum, cheapest first."""
    return {
        "linear": partial(lasso_heads, seed=seed),
        "link": saturating_fit,
        "sparse": grow,
        "kernel": partial(kernel_ridge, seed=seed),
        "trees": partial(boosted_trees, seed=seed, threads=threads),
    }


def select_spectrum(
    data: Observations,
    blocks: Int[np.ndarray, " masks"],
    methods: Mapping[str, Method],
    *,
    seed: int = 0,
) -> Spectrum:
    """The best spectrum that `methods` find, with its report.

    Every choice between methods, their sum, and the number of terms is made on predictions of
    masks that were held out of the fits. Near the fewest masks that suffice, folds miss what is
    plain to all masks together. So a sparse spectrum that solves all of them is taken as it is, and
    one beyond chance that promises more than the contest found calls for narrower folds.
    """
    if data.constant or int(blocks.max()) == 0:
        return _constant(data, {})
    folds = split(blocks, seed)
    sparse = fit_or_constant(methods["sparse"], data)
    if fits_exactly(sparse, data):
        cv = cross_validate(data, folds, {"sparse": methods["sparse"]})
        return _reported(cv, blocks, sparse, {"sparse": sparse}, cv.held_out["sparse"])
    cv = cross_validate(data, folds, methods)
    shares, predictions = _choice(cv)
    promised = gcv_r2(sparse, data)
    if promised > cv.r2(predictions) + PROMISING and beyond_chance(sparse, data):
        cv = cross_validate(data, split_narrow(blocks, seed), methods)
        shares, predictions = _choice(cv)
    if cv.r2(predictions) <= 0:
        return _constant(data, cv.scores)
    size = _smallest_size(cv, shares)
    parts = {
        name: sparse if name == "sparse" else fit_or_constant(methods[name], data)
        for name in shares
    }
    spectrum = _add(data, parts, shares).truncate(max_terms=size)
    return _reported(cv, blocks, spectrum, parts, predictions)


def _choice(cv: CrossValidation) -> tuple[dict[str, float], Float[np.ndarray, " masks"]]:
    """Methods and their shares in the sum, and its predictions of held-out masks."""
    scores = cv.scores
    best = max(scores, key=lambda name: scores[name])
    if len(scores) > 1:
        weights, stacked = stack(cv)
        shares = {name: share for name, share in weights.items() if share > 0.01}
        if shares and cv.r2(stacked) > scores[best] + GAIN * abs(scores[best]):
            return shares, stacked
    return {best: 1.0}, cv.held_out[best]


def _reported(
    cv: CrossValidation,
    blocks: Int[np.ndarray, " masks"],
    spectrum: Spectrum,
    parts: Mapping[str, Spectrum],
    predictions: Float[np.ndarray, " masks"],
) -> Spectrum:
    """The spectrum with what is known of it."""
    method, score = "+".join(parts), cv.r2(predictions)
    low, high = interval(cv, predictions, blocks)
    named = {name: set(part.terms) for name, part in parts.items()}
    found = tuple(
        "+".join(name for name, terms in named.items() if term in terms) if term else "constant"
        for term in spectrum.terms
    )
    scores = {**cv.scores, method: score}
    return replace(spectrum, report=FitReport(score, low, high, method, scores, found))


def _constant(data: Observations, scores: dict[str, float]) -> Spectrum:
    report = FitReport(0.0, 0.0, 0.0, "constant", {**scores, "constant": 0.0}, ("constant",))
    return Spectrum(((),), np.array([data.mean]), data.n_players, data.keep, report)


def _add(
    data: Observations, spectra: Mapping[str, Spectrum], shares: Mapping[str, float]
) -> Spectrum:
    """The weighted sum of deviations from the mean."""
    constant = Spectrum.from_dict({(): data.mean}, n_players=data.n_players, keep=data.keep)
    parts = [(share, spectra[name]) for name, share in shares.items()]
    return Spectrum.weighted_sum([(1 - sum(shares.values()), constant), *parts])


def _smallest_size(cv: CrossValidation, shares: Mapping[str, float]) -> int | None:
    """The fewest terms that lose nothing on held-out masks; None keeps all of them."""
    data = cv.data
    sums = []
    for fold in range(int(cv.folds.max()) + 1):
        train = data.rows(np.flatnonzero(cv.folds != fold))
        spectra = {name: cv.spectra[name][fold] for name in shares}
        sums.append(_add(train, spectra, shares))
    score, chosen = _score_at(cv, sums, None), None
    for size in SIZES:
        if size < max(len(spectrum.terms) for spectrum in sums):
            if _score_at(cv, sums, size) < score - TOLERANCE * abs(score):
                break
            chosen = size
    return chosen


def _score_at(cv: CrossValidation, sums: list[Spectrum], size: int | None) -> float:
    predictions = np.full(len(cv.data), cv.data.mean)  # stays where never held out
    for fold, spectrum in enumerate(sums):
        test = cv.folds == fold
        predictions[test] = spectrum.truncate(max_terms=size).predict(cv.data.masks[test])
    return cv.r2(predictions)
