"""Kernel ridge regression on all terms of all orders, with a relevance for each player.

Each coefficient has the prior variance scale * prod(relevance of its players). The covariance of
two masks is then a product over players, so 2^n terms cost no more than one (the ANOVA kernel;
Duvenaud et al., Additive Gaussian processes, NeurIPS 2011). Relevances maximise the evidence. The
posterior mean of each coefficient is a sum over masks, so the result is again a Spectrum.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.linalg import cho_factor, cho_solve, lapack
from scipy.optimize import minimize

from headspex.engine.characters import characters
from headspex.engine.observations import Observations
from headspex.engine.spectrum import Spectrum
from headspex.engine.terms import Term
from headspex.support.seeds import stream

Columns = Int[np.ndarray, "terms order"]

EVIDENCE_MASKS = 800  # masks used to learn relevances; the cost of a step is cubic in them
STEPS = 25  # of L-BFGS
MAX_RELEVANCE = 0.9  # the kernel of two masks that differ would turn negative at 1
PRIOR_PRECISION = 0.02  # precision of the relevances' common log-normal prior
NOISE_FLOOR = -9.5  # log of the least noise; below it, float32 fails to invert the covariance
MAX_ORDER = 4
BEAM = (10_000, 20_000, 4_000, 2_000)  # candidate terms of order 1, 2, 3, 4
MAX_TERMS = 3000  # of the spectrum; the dropped ones held < 1e-3 of R² on every game tried
DUAL_MASKS = 3000  # with more masks, solve for coefficients: the dual is cubic in the masks
PRIMAL_TERMS = 1500  # coefficients to solve for then
LOOKED_AT_ONCE = 1 << 22  # terms: 130 MB with their widths and places
SUMMED_AT_ONCE = 1 << 25  # sums over masks, float32: 134 MB


@dataclass(frozen=True, eq=False)
class Relevances:
    """Prior of the coefficients; `scale` and `noise` in the squared unit of the values."""

    players: Float[np.ndarray, " players"]
    scale: float
    noise: float  # variance of a value of weight 1


def kernel_ridge(
    data: Observations, *, prior_precision: float = PRIOR_PRECISION, seed: int = 0
) -> Spectrum:
    """The largest terms of the posterior mean under learned relevances.

    Args:
        data: masks and values.
        prior_precision: of the relevances, see `learn_relevances`.
        seed: chooses the masks that relevances are learned from, if there are many.
    """
    chosen = stream(seed, "evidence").permutation(len(data))[:EVIDENCE_MASKS]
    relevances = learn_relevances(data.rows(np.sort(chosen)), prior_precision=prior_precision)
    if len(data) <= DUAL_MASKS:
        return _from_all_terms(data, relevances)
    return _from_widest_terms(data, relevances)


def product_kernel(
    masks: Bool[np.ndarray, "masks players"],
    relevances: Float[np.ndarray, " players"],
    keep: Float[np.ndarray, " players"],
    dtype: type[np.floating[Any]] = np.float64,
) -> Float[np.ndarray, "masks masks"]:
    """prod_i (1 + relevance_i chi_i(m) chi_i(m')) for all pairs of masks."""
    on = masks.astype(dtype)
    # chi chi' is (1-p)/p when both are on, p/(1-p) when both are off, and -1 when they differ.
    both_on = np.log1p(relevances * (1 - keep) / keep)
    both_off = np.log1p(relevances * keep / (1 - keep))
    differ = np.log1p(-relevances)
    single = on @ (differ - both_off).astype(dtype) + dtype(both_off.sum() / 2)
    logs = (on * (both_on + both_off - 2 * differ).astype(dtype)) @ on.T
    logs += single[:, None]
    logs += single
    return np.asarray(np.exp(logs, out=logs))


def learn_relevances(data: Observations, *, prior_precision: float = PRIOR_PRECISION) -> Relevances:
    """Maximises the log evidence of `data`, with a common log-normal prior of the relevances.

    Args:
        data: masks and values.
        prior_precision: precision of that prior.
    """
    n, m = data.n_players, len(data)
    on = data.masks.astype(np.float32)
    target = ((data.values - data.mean) / np.sqrt(data.variance)).astype(np.float32)
    spread = (1 / data.weights).astype(np.float32)
    ratio_on, ratio_off = (1 - data.keep) / data.keep, data.keep / (1 - data.keep)
    # Sums over pairs of masks run over the lower triangle, the diagonal at half its value.
    lower = np.tri(m, dtype=np.float32) - 0.5 * np.eye(m, dtype=np.float32)
    start = 1.0 / (n + 1)

    def loss(z: Float[np.ndarray, " parameters"]) -> tuple[float, Float[np.ndarray, " parameters"]]:
        theta, scale, noise = _unpack(z)
        kernel = product_kernel(data.masks, theta, data.keep, np.float32)
        kernel *= np.float32(scale)
        covariance = kernel.copy()
        covariance.flat[:: m + 1] += np.float32(noise) * spread
        factor, failed = lapack.spotrf(covariance.T, lower=1, overwrite_a=1)
        if failed:  # beyond the precision of float32; the line search steps back
            return 1e30, np.zeros_like(z)
        solved, _ = lapack.spotrs(factor, target, lower=1)
        diagonal = np.log(np.diag(factor).astype(np.float64)).sum()
        slope, _ = lapack.spotri(factor, lower=1, overwrite_c=1)
        drift = z[:n] - centre
        value = 0.5 * float(target @ solved) + diagonal + 0.5 * prior_precision * drift @ drift
        by_noise = 0.5 * noise * float(((np.diag(slope) - solved**2) * spread).sum())
        slope = slope.T  # C order; the upper triangle now holds the inverse
        slope -= np.outer(solved, solved)
        kernel *= lower.T
        slope *= kernel
        both = np.einsum("ij,ij->j", on, slope @ on).astype(np.float64)
        rows = 0.5 * (slope.sum(axis=0) + slope.sum(axis=1)).astype(np.float64)
        one = rows @ on
        total = rows.sum()
        by_theta = (
            both * ratio_on / (1 + theta * ratio_on)
            + (total - 2 * one + both) * ratio_off / (1 + theta * ratio_off)
            - 2 * (one - both) / (1 - theta)
        )
        by_z = by_theta * theta * (1 - theta / MAX_RELEVANCE) + prior_precision * drift
        return float(value), np.concatenate([by_z, [total, by_noise]])

    centre = np.log(start / (MAX_RELEVANCE - start))
    z0 = np.concatenate([np.full(n, centre), [0.0, np.log(0.05)]])
    bounds = [(-12.0, 6.0)] * n + [(-8.0, 5.0), (NOISE_FLOOR, 2.0)]
    best = minimize(
        loss, z0, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": STEPS}
    )
    theta, scale, noise = _unpack(best.x)
    return Relevances(theta, scale * data.variance, noise * data.variance)


def _unpack(
    z: Float[np.ndarray, " parameters"],
) -> tuple[Float[np.ndarray, " players"], float, float]:
    return MAX_RELEVANCE / (1 + np.exp(-z[:-2])), float(np.exp(z[-2])), float(np.exp(z[-1]))


def _widest(relevances: Relevances) -> Iterator[tuple[Columns, Float[np.ndarray, " terms"]]]:
    """Terms of large prior variance, order by order, by beam search."""
    n = len(relevances.players)
    family, prior = np.zeros((1, 0), dtype=np.intp), np.full(1, relevances.scale)
    for order in range(1, min(MAX_ORDER, n) + 1):
        parent, player = _extended(family, prior, relevances.players, BEAM[order - 1])
        if not len(parent):
            return
        family = np.concatenate([family[parent], player[:, None]], axis=1)
        prior = prior[parent] * relevances.players[player]
        yield family, prior


def _extended(
    family: Columns,
    prior: Float[np.ndarray, " parents"],
    players: Float[np.ndarray, " players"],
    most: int,
) -> tuple[Int[np.ndarray, " terms"], Int[np.ndarray, " terms"]]:
    """Parent and added player of the terms of largest prior variance, in descending order.

    Ties go to the earlier parent, then to the earlier player, whatever the batch size.
    """
    n = len(players)
    last = family[:, -1:] if family.shape[1] else np.full((1, 1), -1)
    parent, player = np.zeros((2, 0), dtype=np.intp)
    widths = np.zeros(0)
    step = max(1, LOOKED_AT_ONCE // n)
    for start in range(0, len(family), step):
        least = widths[-1] if len(widths) == most else -np.inf
        later = np.arange(n) > last[start : start + step]
        wider = later & (np.outer(prior[start : start + step], players) > least)
        found = np.nonzero(wider)
        parent = np.concatenate([parent, found[0] + start])
        player = np.concatenate([player, found[1]])
        widths = prior[parent] * players[player]
        wide = np.argsort(-widths, kind="stable")[:most]
        parent, player, widths = parent[wide], player[wide], widths[wide]
    return parent, player


def _from_all_terms(data: Observations, relevances: Relevances) -> Spectrum:
    """Solves the dual problem, with the covariance of all 2^n terms."""
    covariance = relevances.scale * product_kernel(data.masks, relevances.players, data.keep)
    covariance.flat[:: len(data) + 1] += relevances.noise / data.weights
    dual = cho_solve(cho_factor(covariance, lower=True), data.values - data.mean)
    narrow = dual.astype(np.float32)
    families, priors = zip(*_widest(relevances), strict=True)
    coefficients = [
        prior * _moments(data, family, narrow)
        for family, prior in zip(families, priors, strict=True)
    ]
    constant = data.mean + relevances.scale * float(dual.sum())
    return _spectrum(data, families, np.concatenate(coefficients), constant)


def _moments(
    data: Observations, family: Columns, dual: Float[np.ndarray, " masks"]
) -> Float[np.ndarray, " terms"]:
    """Sums of each term's character times `dual`; terms with equal stems share products."""
    first = data.characters()
    stems, stem = np.unique(family[:, :-1], axis=0, return_inverse=True)
    stem, player = stem.reshape(-1), family[:, -1]
    moments = np.empty(len(family))
    step = max(1, SUMMED_AT_ONCE // data.n_players)
    for start in range(0, len(stems), step):
        terms = list(map(tuple, stems[start : start + step].tolist()))
        products = dual[:, None] * characters(data.masks, terms, data.keep)
        of_these = np.flatnonzero((stem >= start) & (stem < start + step))
        moments[of_these] = (products.T @ first)[stem[of_these] - start, player[of_these]]
    return moments


def _from_widest_terms(data: Observations, relevances: Relevances) -> Spectrum:
    """Solves for the terms of largest prior variance; the others count as noise."""
    families, priors = zip(*_widest(relevances), strict=True)
    prior = np.concatenate(priors)
    wide = np.sort(np.argsort(-prior, kind="stable")[:PRIMAL_TERMS])
    families, root = _of_rows(families, wide), np.sqrt(prior[wide]).astype(np.float32)
    terms: list[Term] = [tuple(row) for family in families for row in family.tolist()]
    everything = relevances.scale * (np.prod(1 + relevances.players) - 1)
    noise = relevances.noise + max(0.0, float(everything - prior[wide].sum()))
    design = characters(data.masks, terms, data.keep) * root
    weighted = design * (data.weights / noise).astype(np.float32)[:, None]
    system = (weighted.T @ design).astype(np.float64)
    system.flat[:: len(terms) + 1] += 1
    target = (data.values - data.mean).astype(np.float32)
    solution = cho_solve(cho_factor(system, lower=True), (weighted.T @ target).astype(np.float64))
    return _spectrum(data, families, root * solution, data.mean)


def _spectrum(
    data: Observations,
    families: Sequence[Columns],
    coefficients: Float[np.ndarray, " terms"],
    constant: float,
) -> Spectrum:
    """The spectrum of the strongest terms; only these become Python objects, to save time."""
    strong = np.sort(np.argsort(-np.abs(coefficients), kind="stable")[:MAX_TERMS])
    terms = [tuple(row) for family in _of_rows(families, strong) for row in family.tolist()]
    table = dict(zip(terms, coefficients[strong].tolist(), strict=True)) | {(): constant}
    return Spectrum.from_dict(table, n_players=data.n_players, keep=data.keep)


def _of_rows(families: Sequence[Columns], rows: Int[np.ndarray, " some"]) -> list[Columns]:
    """The terms at these ascending row numbers, counted across all families."""
    ends = np.cumsum([0, *map(len, families)])
    cuts = np.searchsorted(rows, ends)
    return [
        family[rows[a:b] - start]
        for family, start, (a, b) in zip(families, ends, pairwise(cuts), strict=False)
    ]
