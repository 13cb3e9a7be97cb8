"""Which masks Shapley values are estimated from.

Shapley values do not change when f(S) is replaced by half of f(S) - f(not S): interactions of two,
four, ... players cancel in a pair of opposite masks. So masks come in such pairs:

- all players and none;
- one pair per player, if there are so many, from rows of Hadamard matrices, columns and signs
  shuffled: two players are on together as often as apart, which separates their effects with the
  least noise (a foldover design; Box & Hunter, Technometrics 1961);
- then sets of every size s, drawn without replacement, their number in proportion to
  1 / sqrt(s (n - s)): the least variance where what is left to estimate is equally large at all
  sizes (Witter et al., arXiv 2506.11849), between the leverage scores of Musco & Witter
  (arXiv 2410.01917), equal for all sizes, and the Shapley kernel. Small sizes are soon complete.

Nothing in the design tells players apart, so that given its size each set is as likely as another:
a mean over the pairs of a size estimates that over all sets of the size without bias.
"""

from __future__ import annotations

from itertools import chain, combinations
from math import comb

import numpy as np
from jaxtyping import Bool, Float, Int

from headspex.players import Masks
from headspex.support.seeds import stream

LISTED = 4  # times as many sets as are drawn: fewer are listed, more are drawn until they differ

Sets = Bool[np.ndarray, "sets players"]


def shapley_masks(n_players: int, budget: int, *, seed: int = 0) -> Masks:
    """The masks of `shapley_values`, all different, at most `budget`.

    Pairs S, not S lie in rows i and i + half of them; the first pair is all players and none, and
    no other S has more than half of the players.
    """
    sizes = np.arange(1, n_players // 2 + 1)
    shares = 1 / np.sqrt(sizes * (n_players - sizes)) / np.where(2 * sizes == n_players, 2, 1)
    return opposites(n_players, budget, shares, stream(seed, "shapley"))


def few_masks(n_players: int, budget: int, *, seed: int = 0) -> Masks:
    """`shapley_masks`; of an odd budget the last mask is a set whose opposite is left out."""
    masks = shapley_masks(n_players, budget + budget % 2, seed=seed)
    if budget % 2 == 0:
        return masks
    half = len(masks) // 2
    return masks[np.r_[: half - 1, half : len(masks) - 1, half - 1]]


def opposites(
    n_players: int, budget: int, shares: Float[np.ndarray, " sizes"], rng: np.random.Generator
) -> Masks:
    """Pairs S, not S in rows i and i + half of them, in the order and of the sets said above.

    Args:
        n_players: columns of a mask.
        budget: masks, at most.
        shares: of sets of the size 1, 2, ... n // 2 among the drawn, up to a factor.
        rng: draws them.
    """
    count = min(budget // 2, 2 ** min(n_players - 1, 62)) - 1
    first = _small(_orthogonal_sets(n_players, min(n_players, count + 1), rng))
    first = first[first.any(axis=1)][:count]
    sizes, taken = np.arange(1, n_players // 2 + 1), first.sum(axis=1)
    room = [n_sets(n_players, size) - int((taken == size).sum()) for size in sizes.tolist()]
    drawn = [
        _others(first[taken == size], int(size), number, rng)
        for size, number in zip(sizes, _numbers(shares, count - len(first), room, rng), strict=True)
    ]
    pairs = np.concatenate([np.ones((1, n_players), dtype=np.bool_), first, *drawn])
    return np.concatenate([pairs, ~pairs])


def n_sets(n_players: int, size: int) -> int:
    """Pairs of opposite sets of which the smaller has `size` players, or 2**62 if more."""
    return min(2**62, comb(n_players, size) // (2 if 2 * size == n_players else 1))


def _small(sets: Sets) -> Sets:
    """Of each pair of opposites the smaller set; of two halves the one with the first player."""
    double = 2 * sets.sum(axis=1)
    swap = (double > sets.shape[1]) | ((double == sets.shape[1]) & ~sets[:, 0])
    return np.asarray(sets ^ swap[:, None])


def _orthogonal_sets(n_players: int, count: int, rng: np.random.Generator) -> Sets:
    """`count` rows of a Hadamard matrix, with shuffled columns and signs."""
    size = 1 << (n_players - 1).bit_length()
    rows, columns = rng.permutation(size)[:count], rng.permutation(size)[:n_players]
    # Sylvester's matrix has the sign (-1) ** (number of bits that row and column share).
    places = np.arange(size.bit_length())
    shared = (rows[:, None] >> places & 1) @ (columns[:, None] >> places & 1).T
    return np.asarray((shared % 2 == 0) ^ (rng.random(n_players) < 0.5))


def _numbers(
    weights: Float[np.ndarray, " sizes"], count: int, room: list[int], rng: np.random.Generator
) -> Int[np.ndarray, " sizes"]:
    """How many sets of each size are drawn; every size has its expected number, up to one set."""
    most, share = np.array(room, dtype=np.float64), np.zeros(len(weights))
    while (free := share < most).any():  # what complete sizes leave over goes to the others
        share[free] = (count - share[~free].sum()) * weights[free] / weights[free].sum()
        if (share <= most).all():
            break
        share = np.minimum(share, most)
    ends = np.concatenate([[0.0], np.cumsum(share)])
    ends[-1] = round(ends[-1])
    whole = np.floor(ends + rng.random() * (ends % 1 > 0) + 1e-9).astype(np.int64)
    return np.asarray(np.diff(whole))


def _others(known: Sets, size: int, number: int, rng: np.random.Generator) -> Sets:
    """`number` more sets of `size` players, none of them in `known`."""
    n_players = known.shape[1]
    if n_sets(n_players, size) <= LISTED * (number + len(known)):
        columns = np.fromiter(
            chain.from_iterable(combinations(range(n_players), size)), dtype=np.intp
        ).reshape(-1, size)
        sets = _of_columns(columns[rng.permutation(len(columns))], n_players)
        return _fresh(known, sets)[:number]
    found = known
    while len(found) < len(known) + number:
        missing = len(known) + number - len(found)
        columns = np.argsort(rng.random((missing, n_players)), axis=1)[:, :size]
        found = np.concatenate([found, _fresh(found, _of_columns(columns, n_players))])
    return found[len(known) :]


def _of_columns(columns: Int[np.ndarray, "sets size"], n_players: int) -> Sets:
    sets = np.zeros((len(columns), n_players), dtype=np.bool_)
    np.put_along_axis(sets, columns, True, axis=1)
    return _small(sets)


def _fresh(known: Sets, sets: Sets) -> Sets:
    """Those of `sets` that are not in `known`, each once, in their order."""
    both = np.packbits(np.concatenate([known, sets]), axis=1)
    first = np.sort(np.unique(both, axis=0, return_index=True)[1])
    return np.asarray(sets[first[first >= len(known)] - len(known)])


def size_weights(n_players: int) -> Float[np.ndarray, " sizes"]:
    """Share of the smaller set's size 1, 2, ... n // 2 in the Shapley kernel 1 / (s (n - s))."""
    sizes = np.arange(1, n_players // 2 + 1)
    weights = 1 / (sizes * (n_players - sizes)) / np.where(2 * sizes == n_players, 2, 1)
    return np.asarray(weights / weights.sum())
