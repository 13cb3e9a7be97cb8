"""SPEX (arXiv 2502.13870): designed masks from which the terms of a sparse function are decoded.

`spex_design` chooses the masks, `fit_spex` turns their values into a spectrum.
"""

import numpy as np
from jaxtyping import Bool, Float

from headspex.engine.fit_report import FitReport
from headspex.engine.methods.baselines import lasso_heads
from headspex.engine.methods.cross_validation import CrossValidation, interval
from headspex.engine.observations import Observations, observe
from headspex.engine.scaling import in_own_unit
from headspex.engine.spectrum import Spectrum
from headspex.engine.spex.cosets import SpexDesign, smallest_budget, spex_design
from headspex.engine.spex.peeling import EXACT, peel
from headspex.engine.terms import Term
from headspex.engine.walsh import walsh_hadamard
from headspex.support.seeds import stream
from headspex.support.validation import whole_seed

__all__ = ["SpexDesign", "fit_spex", "smallest_budget", "spex_design"]

FOLDS = 10  # decoding survives the loss of a tenth of the samples, but often not of a fifth
HELD_OUT = 5  # folds that are predicted; half of the samples suffice


def fit_spex(
    design: SpexDesign, values: Float[np.ndarray, " samples"], *, seed: int = 0
) -> Spectrum:
    """The spectrum that SPEX finds, at keep 0.5.

    Significant terms are fitted by least squares, their residual by a LASSO on single players.
    Samples held out of the whole search decide whether that predicts better than the LASSO alone,
    or than a constant; `Spectrum.report` has their R². If terms are hard to find this R² is too
    low, since a search without the held-out samples finds fewer terms.

    A complete design is transformed exactly, noise included: there is nothing to predict, and no
    report.

    Args:
        design: the masks that were scored.
        values: one per mask of the design, in any unit.
        seed: fixes which samples are held out.

    Raises:
        UsageError: values of another length, NaN or infinite, or a negative seed.
    """
    seed = whole_seed(seed)

    def fitted(data: Observations) -> Spectrum:
        if data.constant:
            return _constant(data, {})
        return _transformed(data) if design.complete else _judged(design, data, seed)

    return in_own_unit(observe(design.masks, values), fitted)


def _judged(design: SpexDesign, data: Observations, seed: int) -> Spectrum:
    """The method that predicts held-out samples best, fitted to all samples."""

    def fitted(name: str, train: Bool[np.ndarray, " samples"]) -> Spectrum:
        if name == "spex":
            return _spex(design, data, train, seed)
        return lasso_heads(data.rows(np.flatnonzero(train)), seed=seed)

    folds = stream(seed, "spex folds").permutation(len(data)) % FOLDS
    tested = np.flatnonzero(folds < HELD_OUT)
    held_out = {}
    for name in ("linear", "spex"):
        predictions = np.empty(len(data))
        for fold in range(HELD_OUT):
            test = folds == fold
            predictions[test] = fitted(name, ~test).predict(data.masks[test])
        held_out[name] = predictions[tested]
    contest = CrossValidation(data.rows(tested), folds[tested], held_out, {})
    scores = {name: contest.r2(predictions) for name, predictions in held_out.items()}
    best = max(scores, key=lambda name: scores[name])
    if scores[best] <= 0:
        return _constant(data, scores)
    low, high = interval(contest, held_out[best], np.arange(len(tested)))
    spectrum = fitted(best, np.ones(len(data), dtype=bool))
    sources = tuple(best if term else "constant" for term in spectrum.terms)
    report = FitReport(scores[best], low, high, best, scores, sources)
    return Spectrum(spectrum.terms, spectrum.coefficients, data.n_players, data.keep, report)


def _spex(
    design: SpexDesign, data: Observations, train: Bool[np.ndarray, " samples"], seed: int
) -> Spectrum:
    """Least squares on the terms found, and a LASSO on single players for the residual."""
    found = peel(design, data.values, train)
    terms = [tuple(np.flatnonzero(players).tolist()) for players in found.sets]
    table: dict[Term, float] = dict(zip(terms, found.coefficients.tolist(), strict=True))
    if found.noise > EXACT * float(np.var(data.values[train])):
        rest = lasso_heads(observe(data.masks[train], found.residual[train]), seed=seed)
        for term, coefficient in rest.to_dict().items():
            table[term] = table.get(term, 0.0) + coefficient
    return Spectrum.from_dict(table, n_players=data.n_players)


def _transformed(data: Observations) -> Spectrum:
    """Every coefficient, from all 2^n values in binary order of their masks."""
    coefficients = walsh_hadamard(data.values)
    # Smaller coefficients are exact zeros up to rounding.
    kept = np.flatnonzero(np.abs(coefficients) > 1e-14 * np.abs(data.values).max())
    players = kept[:, None] >> np.arange(data.n_players) & 1
    terms = [tuple(np.flatnonzero(row).tolist()) for row in players]
    table = dict(zip(terms, coefficients[kept].tolist(), strict=True))
    return Spectrum.from_dict(table, n_players=data.n_players)


def _constant(data: Observations, scores: dict[str, float]) -> Spectrum:
    report = FitReport(0.0, 0.0, 0.0, "constant", {**scores, "constant": 0.0}, ("constant",))
    return Spectrum(((),), np.array([data.mean]), data.n_players, data.keep, report)
