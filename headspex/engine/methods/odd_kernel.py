"""Kernel ridge regression on pairs of opposite masks, for Shapley values.

The kernel is that of `headspex.engine.methods.kernel`, all terms of all orders with a relevance for
each player, times a factor that lets effects change with the number of players that are on:

    k(S, T) = scale * prod_i (1 + relevance_i s_i t_i) * (1 - fading + fading * near(|S|, |T|)),

signs s_i = 1 for a player that is on. `near` is 1 for equal sizes and falls with the difference of
their log odds, as the first few players may matter most. A pair S and not S splits a function into
an odd part (f(S) - f(not S)) / 2 and an even one, (f(S) + f(not S)) / 2. They are independent under
the prior, with covariances

    odd = (k(S, T) - k(S, not T)) / 2,  even = (k(S, T) + k(S, not T)) / 2,

so the evidence of m masks is that of two halves, a quarter of the work. Shapley values depend on
the odd part alone. Those of k(., T) are needed for every T. With c(s) the factor of sizes, and
E_i(s) the mean over sets of s other players of the product over these others, they are

    phi_i = 1 / n * sum_s (1 + relevance_i t_i) c(s + 1) E_i(s) - (1 - relevance_i t_i) c(s) E_i(s).

Means over sets of a size obey a recurrence in the players, of which all E_i at once are the
derivatives, backwards through it (`_kernel_shapley`): no term of any order is left out.

Leaving out a pair has a closed form too: its residual is the dual divided by the diagonal of the
inverse covariance (Rasmussen & Williams, Gaussian Processes for Machine Learning, 2006, 5.12).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import lapack
from scipy.optimize import minimize

from headspex.engine.methods.kernel import MAX_RELEVANCE, NOISE_FLOOR, STEPS

# Of the relevances; squared errors are 13-20 % below those with the default of `kernel`.
PRIOR_PRECISION = 0.3
CERTAIN = 1e-6  # share of the noise in the first pair's value

FADING = 0.1  # where the search for it begins
NO_FADING = -40.0  # log odds
AT_ONCE = 1 << 22  # numbers kept by the recurrence: 34 MB

Signs = Float[np.ndarray, "pairs players"]
Square = Float[np.ndarray, "pairs pairs"]


@dataclass(frozen=True, eq=False)
class PairRelevances:
    """Prior of the coefficients; `scale` and `noise` in the squared unit of the values."""

    players: Float[np.ndarray, " players"]
    scale: float
    noise: float  # variance of a value
    fading: float  # share of the covariance that holds between sets of about one size only


@dataclass(frozen=True, eq=False)
class OddFit:
    """Posterior means of the odd part: of all pairs, and of all but one.

    Attributes:
        shapley: [players] from all pairs.
        influence: [players, pairs] what `shapley` loses per unit of a pair's `left` without it.
        left: [pairs] a pair's odd part minus its prediction from all other pairs.
        residual: [pairs] its odd part minus that of the fit to all.
        leverage: [others, pairs] what `residual` of the others loses per unit of a pair's `left`.
    """

    shapley: Float[np.ndarray, " players"]
    influence: Float[np.ndarray, "players pairs"]
    left: Float[np.ndarray, " pairs"]
    residual: Float[np.ndarray, " pairs"]
    leverage: Float[np.ndarray, "others pairs"]


def odd_fit(
    signs: Signs,
    odd: Float[np.ndarray, " pairs"],
    relevances: PairRelevances,
    *,
    last_noise: float | None = None,
) -> OddFit:
    """The fit of (f(S) - f(not S)) / 2 over pairs; the first is all players and none.

    The value of that pair counts as free of noise, so that Shapley values add up to it.

    Args:
        signs: +1 for a player that is on in the pair's first mask, -1 for one that is off.
        odd: (f(S) - f(not S)) / 2.
        relevances: of the players.
        last_noise: variance of the last value, where it is that of `without_opposite`.
    """
    noise = np.full(len(signs), relevances.noise / 2)
    noise[0] *= CERTAIN
    if last_noise is not None:
        noise[-1] = last_noise
    covariance = _covariances(signs, relevances)[0]
    covariance.flat[:: len(signs) + 1] += noise
    inverse = inverted(covariance)
    dual = inverse @ odd
    shapley = relevances.scale * _kernel_shapley(signs, relevances.players, relevances.fading)
    leverage = noise[:, None] * inverse
    return OddFit(
        shapley @ dual, shapley @ inverse, dual / np.diag(inverse), noise * dual, leverage
    )


def without_opposite(
    signs: Signs, even: Float[np.ndarray, " pairs"], value: float, relevances: PairRelevances
) -> tuple[float, float]:
    """The odd part of a mask whose opposite was not scored, and its variance as a measurement.

    What is left of its value without the even part that the pairs predict; how far that may be off
    counts as noise.

    Args:
        signs: of the pairs, and of that mask last.
        even: (f(S) + f(not S)) / 2 of the pairs.
        value: of the mask.
        relevances: of the players.
    """
    covariance = _covariances(signs, relevances)[1]
    known, last = covariance[:-1, :-1].copy(), covariance[-1, :-1]
    known.flat[:: len(signs)] += relevances.noise / 2
    weights = inverted(known) @ last
    predicted = even.mean() + weights @ (even - even.mean())
    off = max(0.0, float(covariance[-1, -1] - weights @ last))
    return value - float(predicted), off + relevances.noise


def _covariances(signs: Signs, relevances: PairRelevances) -> tuple[Square, Square]:
    """Of the odd parts under the prior, and of the even ones."""
    same, opposite = pair_products(signs, relevances.players)
    near, far = _closeness(signs)
    same *= 1 - relevances.fading * (1 - near)
    opposite *= 1 - relevances.fading * (1 - far)
    half = relevances.scale / 2
    return half * (same - opposite), half * (same + opposite)


def inverted(covariance: Square) -> Square:
    """The inverse of a positive definite matrix."""
    factor, _ = lapack.dpotrf(covariance, lower=1)
    lower = np.tril(lapack.dpotri(factor, lower=1)[0])
    return np.asarray(lower + np.tril(lower, -1).T)


def learn_pair_relevances(
    signs: Signs,
    odd: Float[np.ndarray, " pairs"],
    even: Float[np.ndarray, " pairs"],
    *,
    prior_precision: float = PRIOR_PRECISION,
    fades: bool = True,
) -> PairRelevances:
    """Maximises the log evidence of pairs, as `learn_relevances` does that of masks.

    Args:
        signs: +1 for a player that is on in the pair's first mask, -1 for one that is off.
        odd: (f(S) - f(not S)) / 2.
        even: (f(S) + f(not S)) / 2.
        prior_precision: of the relevances.
        fades: whether effects may change with the number of players that are on.
    """
    m, n = signs.shape
    even = even - even.mean()
    variance = float(np.mean(odd**2) + np.mean(even**2))
    start = 1.0 / (n + 1)
    if not variance:  # nothing to learn from, and every fit is 0
        return PairRelevances(np.full(n, start), 1.0, 1.0, FADING)
    targets = [(np.sqrt(2 / variance) * part).astype(np.float32) for part in (odd, even)]
    narrow = signs.astype(np.float32)
    near, far = (1 - part for part in _closeness(narrow))
    centre = np.log(start / (MAX_RELEVANCE - start))

    def loss(z: Float[np.ndarray, " parameters"]) -> tuple[float, Float[np.ndarray, " parameters"]]:
        theta, (scale, noise) = MAX_RELEVANCE / (1 + np.exp(-z[:n])), np.exp(z[n : n + 2])
        fading = 1 / (1 + np.exp(-z[n + 2]))
        same, opposite = (np.float32(scale) * part for part in pair_products(narrow, theta))
        same_lost, opposite_lost = same * near, opposite * far  # per unit of fading
        same, opposite = (
            part - np.float32(fading) * lost
            for part, lost in ((same, same_lost), (opposite, opposite_lost))
        )
        kernels = np.stack([same - opposite, same + opposite])
        drift = z[:n] - centre
        value, slopes = 0.5 * prior_precision * float(drift @ drift), np.empty_like(kernels)
        for kernel, target, slope in zip(kernels, targets, slopes, strict=True):
            covariance = kernel.copy()
            covariance.flat[:: m + 1] += np.float32(noise)
            factor, failed = lapack.spotrf(covariance.T, lower=1, overwrite_a=1)
            if failed:  # beyond the precision of float32; the line search steps back
                return 1e30, np.zeros_like(z)
            solved, _ = lapack.spotrs(factor, target, lower=1)
            value += 0.5 * float(target @ solved)
            value += float(np.log(np.diag(factor).astype(np.float64)).sum())
            lower = np.tril(lapack.spotri(factor, lower=1, overwrite_c=1)[0])
            slope[:] = 0.5 * (lower + np.tril(lower, -1).T - np.outer(solved, solved))
        # With a = s_i t_i, d log k(S, T) = (a - theta_i) / (1 - theta_i^2) per unit of theta_i, and
        # -a in place of a for k(S, not T).
        crossed = slopes[0] * kernels[1] + slopes[1] * kernels[0]
        by_sign = np.einsum("ij,ij->j", narrow, crossed @ narrow).astype(np.float64)
        by_scale = float((slopes * kernels).sum(dtype=np.float64))
        by_theta = (by_sign - theta * by_scale) / (1 - theta**2)
        by_z = by_theta * theta * (1 - theta / MAX_RELEVANCE) + prior_precision * drift
        by_noise = noise * float(np.trace(slopes[0]) + np.trace(slopes[1]))
        lost = (slopes[1] - slopes[0]) * opposite_lost + (slopes[0] + slopes[1]) * same_lost
        by_fading = -fading * (1 - fading) * float(lost.sum(dtype=np.float64))
        return value, np.concatenate([by_z, [by_scale, by_noise, by_fading]])

    begin = np.log(FADING / (1 - FADING)) if fades else NO_FADING
    z0 = np.concatenate([np.full(n, centre), np.log([1.0, 0.05]), [begin]])
    of_fading = (-8.0, 4.0) if fades else (NO_FADING, NO_FADING)
    bounds = [(-12.0, 6.0)] * n + [(-8.0, 5.0), (NOISE_FLOOR, 2.0), of_fading]
    best = minimize(
        loss, z0, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": STEPS}
    ).x
    scale, noise = (variance * np.exp(best[n : n + 2])).tolist()
    fading = float(1 / (1 + np.exp(-best[n + 2])))
    return PairRelevances(MAX_RELEVANCE / (1 + np.exp(-best[:n])), scale, noise, fading)


def pair_products(signs: Signs, theta: Float[np.ndarray, " players"]) -> tuple[Square, Square]:
    """The products for S, T and for S, not T, over all two pairs, in the precision of `signs`."""
    together, apart = np.log1p(theta), np.log1p(-theta)
    logs = (signs * ((together - apart) / 2).astype(signs.dtype)) @ signs.T
    common = signs.dtype.type((together + apart).sum() / 2)
    return np.exp(common + logs), np.exp(common - logs)


def _closeness(signs: Signs) -> tuple[Square, Square]:
    """`near` of the sizes of S and T, and of S and not T."""
    n = signs.shape[1]
    odds = _log_odds(n)[np.rint((n + signs.sum(axis=1)) / 2).astype(np.intp)].astype(signs.dtype)
    return _near(odds[:, None], odds), _near(odds[:, None], -odds)


def _log_odds(n_players: int) -> Float[np.ndarray, " sizes"]:
    """Of a player being on, in sets of 0, 1, ... players, as after one more on and one more off."""
    return np.asarray(np.log(np.arange(1, n_players + 2) / np.arange(n_players + 1, 0, -1)))


def _near(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(-0.5 * np.square(one - other)))


def _kernel_shapley(
    signs: Signs, theta: Float[np.ndarray, " players"], fading: float
) -> Float[np.ndarray, "players pairs"]:
    """Shapley values of k(., T), without the scale, for each pair's T.

    Over sets of s of the first d players the mean of the product is a weighted mean of those over
    sets of s and s - 1 of the first d - 1, times the factor of player d: only positive numbers are
    added up.
    """
    m, n = signs.shape
    found = np.empty((n, m))
    sizes = np.arange(n + 1)
    odds = _log_odds(n)
    for start in range(0, m, step := max(1, AT_ONCE // n**2)):
        rows = signs[start : start + step]
        on, off = 1 + (theta * rows).T, 1 - (theta * rows).T
        means = [np.ones((1, len(rows)))]
        for d in range(n):
            share = (np.arange(d + 2) / (d + 1))[:, None]
            longer = np.zeros((d + 2, len(rows)))
            longer[:-1] = (1 - share[:-1]) * off[d] * means[d]
            longer[1:] += share[1:] * on[d] * means[d]
            means.append(longer)
        taken = np.rint((n + rows.sum(axis=1)) / 2).astype(np.intp)
        factor = 1 - fading * (1 - _near(odds[:, None], odds[taken]))
        gain, loss = factor.copy(), factor.copy()
        gain[1:] /= sizes[1:, None]
        loss[:-1] /= sizes[:0:-1, None]
        gain[0] = loss[-1] = 0
        for d in range(n - 1, -1, -1):
            share = (np.arange(d + 2) / (d + 1))[:, None]
            up, down = share[1:] * on[d], (1 - share[:-1]) * off[d]
            found[d, start : start + step] = ((up * gain[1:] - down * loss[:-1]) * means[d]).sum(
                axis=0
            )
            gain, loss = (down * part[:-1] + up * part[1:] for part in (gain, loss))
    return found
