"""The peeling decoder of SPEX: decode terms from the bins of a transform, subtract them, repeat.

In a group x = l M + shift + delay, the Walsh-Hadamard transform over l sums, in bin j, the terms
whose set T has M T = j; a delay flips each term's sign by the parity of T with it. If one term
dominates its bin, the signs are the syndrome of its set, which the code decodes (arXiv 2502.13870);
signs near zero are tried both ways (Chase, IEEE Trans. Inf. Theory 18, 1972).

The paper accepts a set if little energy remains in its bin. Here a set must be significant in the
samples outside the group in which it was decoded, which also works for bins with several terms and
under noise. Single players are tested in every round, decoded or not.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.linalg import cho_factor, cho_solve

from headspex.engine.spex.bch import BCHCode, parities
from headspex.engine.spex.cosets import SpexDesign
from headspex.engine.walsh import walsh_hadamard

Sets = Bool[np.ndarray, "sets players"]
Samples = Float[np.ndarray, " samples"]

DOUBTS = (6, 10)  # least reliable signs of a bin, tried both ways; the larger number when stuck
ROUNDS = 30  # the games of tests/benchmarks need up to 19
EXACT = 1e-18  # share of the variance left by rounding when all terms are found
_TINY = float(np.finfo(np.float64).tiny)  # avoids division by 0
_RIDGE = 1e-12  # keeps the normal equations solvable if terms are collinear on few samples
_ROWS_AT_ONCE = 4096
_WORDS_AT_ONCE = 1 << 16  # 70 MB of decoded sets of 1024 players


@dataclass(frozen=True, eq=False)
class Found:
    """Terms as sets of players, the empty set first, and their fit.

    Attributes:
        coefficients: by least squares.
        errors: their standard errors.
        residual: of each sample; 0 for held-out samples.
        noise: the residual's variance, by degrees of freedom.
    """

    sets: Sets
    coefficients: Float[np.ndarray, " sets"]
    errors: Float[np.ndarray, " sets"]
    residual: Samples
    noise: float


def peel(design: SpexDesign, values: Samples, train: Bool[np.ndarray, " samples"]) -> Found:
    """The significant terms of the samples in `train`; the other values are not used."""
    centre = values[train].mean()
    centred = np.where(train, values - centre, 0.0)
    exact = EXACT * float(np.var(values[train]))
    sets = np.zeros((1, design.n_players), dtype=bool)
    best = _fit(design.masks, centred, train, sets)
    doubts = min(DOUBTS)
    for _ in range(ROUNDS):
        if best.noise <= exact:
            break
        room = int(train.sum()) // 2 - len(best.sets)  # two samples for each term
        new = _significant(design, best, doubts)[:room]
        found = _fit(design.masks, centred, train, np.concatenate([best.sets, new]))
        least = np.maximum(found.errors * _threshold(len(found.sets)), np.sqrt(exact))
        strong = np.abs(found.coefficients) > least
        strong[0] = True
        if not strong.all():
            found = _fit(design.masks, centred, train, found.sets[strong])
        if found.noise < best.noise:
            best, doubts = found, min(DOUBTS)
        elif doubts < max(DOUBTS):
            doubts = max(DOUBTS)
        else:
            break
    constant = np.where(best.sets.any(axis=1), 0.0, centre)
    return replace(best, coefficients=best.coefficients + constant)


def read_bins(
    design: SpexDesign, residual: Samples, doubts: int
) -> tuple[Sets, Int[np.ndarray, " sets"]]:
    """Sets decoded from bins to which they belong, with the bin's group; some by chance.

    A set may occur several times, from several bins or sign patterns.
    """
    _, n_delays, n_bins = design.rows.shape
    bins = walsh_hadamard(residual[design.rows]).swapaxes(1, 2).reshape(-1, n_delays)
    step = max(1, _WORDS_AT_ONCE >> doubts)
    starts = range(0, len(bins), step)
    parts = [_named(design.code, bins[start : start + step], doubts) for start in starts]
    sets = np.concatenate([part[0] for part in parts])
    where = np.concatenate([start + part[1] for start, part in zip(starts, parts, strict=True)])
    groups, numbers = where // n_bins, where % n_bins
    consistent = np.zeros(len(sets), dtype=bool)
    for group, generator in enumerate(design.generators):
        hashes = parities(sets, generator) @ (1 << np.arange(len(generator)))
        consistent |= (groups == group) & (hashes == numbers)
    return sets[consistent], groups[consistent]


def _named(
    code: BCHCode, bins: Float[np.ndarray, "bins delays"], doubts: int
) -> tuple[Sets, Int[np.ndarray, " sets"]]:
    """Sets decoded from the signs of the bins, weakest signs tried both ways, and their bins."""
    n_delays = bins.shape[1]
    weakest = np.argsort(np.abs(bins), axis=1, kind="stable")[:, None, :doubts]
    n_doubts = weakest.shape[2]
    flips = (np.arange(2**n_doubts)[:, None] >> np.arange(n_doubts) & 1).astype(bool)
    signs = np.repeat((bins < 0)[:, None], len(flips), axis=1)
    tried = np.take_along_axis(signs, weakest, axis=2) ^ flips
    np.put_along_axis(signs, np.broadcast_to(weakest, tried.shape), tried, axis=2)
    signs = signs.reshape(-1, n_delays)
    # Relative to the delay 0, whose sign is that of the coefficient and the shift.
    sets, named = code.decode(signs[:, 1:] ^ signs[:, :1])
    return sets[named], np.flatnonzero(named) // len(flips)


def _significant(design: SpexDesign, found: Found, doubts: int) -> Sets:
    """New sets, most significant first; each is tested outside the group it was decoded in."""
    sets, groups = read_bins(design, found.residual, doubts)
    singles = np.eye(design.n_players, dtype=bool)
    groups = np.concatenate([groups, np.full(len(singles), len(design.rows))])
    first = np.unique(
        np.packbits(np.concatenate([found.sets, sets, singles]), axis=1), axis=0, return_index=True
    )[1]
    new = np.sort(first[first >= len(found.sets)]) - len(found.sets)
    sets, groups = np.concatenate([sets, singles])[new], groups[new]
    # Column g: outside group g; the last one, for single players: everywhere.
    outside = np.repeat(found.residual[:, None], len(design.rows) + 1, axis=1)
    for group, rows in enumerate(design.rows):
        outside[rows.reshape(-1), group] = 0.0
    sums = np.zeros((len(sets), outside.shape[1]))
    for part, signs in _characters(design.masks, sets):
        sums += signs.T @ outside[part]
    errors = np.sqrt(np.square(outside).sum(axis=0))
    scores = np.abs(sums / np.maximum(errors, _TINY))[np.arange(len(sets)), groups]
    order = np.argsort(-scores, kind="stable")
    return np.asarray(sets[order[scores[order] > _threshold(len(sets) + len(singles))]])


def _fit(
    masks: Bool[np.ndarray, "samples players"],
    values: Samples,
    train: Bool[np.ndarray, " samples"],
    sets: Sets,
) -> Found:
    """Least squares; values are 0 outside `train`."""
    gram, moments = np.zeros((len(sets), len(sets))), np.zeros(len(sets))
    for part, signs in _characters(masks, sets):
        chosen = signs[train[part]]
        gram += chosen.T @ chosen
        moments += signs.T @ values[part]
    count = int(train.sum())
    gram[np.diag_indices_from(gram)] += _RIDGE * count
    factor = cho_factor(gram)
    coefficients = cho_solve(factor, moments)
    residual = values.copy()
    for part, signs in _characters(masks, sets):
        residual[part] -= signs @ coefficients
    residual[~train] = 0.0
    noise = float(residual @ residual) / max(1, count - len(sets))
    variances = noise * np.diag(cho_solve(factor, np.eye(len(sets))))
    return Found(sets, coefficients, np.sqrt(variances), residual, noise)


def _characters(
    masks: Bool[np.ndarray, "samples players"], sets: Sets
) -> Iterator[tuple[slice, Float[np.ndarray, "part sets"]]]:
    """(-1)^(players of the set that are on), some samples at a time."""
    for start in range(0, len(masks), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        yield part, 1.0 - 2.0 * parities(masks[part], sets)


def _threshold(tests: int) -> float:
    """A bound, in standard errors, that the maximum of `tests` normal variables rarely exceeds."""
    return float(np.sqrt(2 * np.log(tests + 1)))
