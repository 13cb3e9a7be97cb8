"""Interaction indices of two players, as weights of the sizes of sets.

Each is a mean of f(S + ij) - f(S + i) - f(S + j) + f(S) over sets S of the other players, where S
has each of them with a probability that is itself drawn from a beta distribution:

    sii      beta(1, 1), so that all sizes of S are alike (Grabisch & Roubens 1999)
    stii     beta(1, 2), of order two (Sundararajan, Dhamdhere & Agarwal 2020)
    fsii     beta(2, 2), of order two (Tsai, Yeh & Ravikumar 2023)
    banzhaf  always 1/2
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import beta, betabinom, binom

PAIR_INDICES: dict[str, tuple[int, int] | None] = {
    "sii": (1, 1), "stii": (1, 2), "fsii": (2, 2), "banzhaf": None,
}  # fmt: skip
NODES = 48  # of the rule; exact up to 96 players, and up to rounding above


@dataclass(frozen=True, eq=False)
class SizeWeights:
    """An index as a sum over pairs of opposite sets S, not S, by the size of S.

    With t = 0, 1, 2 the number of two players in S, their index is the

        sum over sizes of share * mean over pairs of (even_t * even part + odd_t * odd part)

    where the parts are (f(S) + f(not S)) / 2 and (f(S) - f(not S)) / 2.

    Attributes:
        share: [n // 2 + 1] weight of the size 0, 1, ... of S; they add up to 1.
        even, odd: [n // 2 + 1, 3] by size and t; odd is 0 if sets and opposites weigh the same.
        chance: [n // 2 + 1, 3] of t.
    """

    share: Float[np.ndarray, " sizes"]
    even: Float[np.ndarray, "sizes 3"]
    odd: Float[np.ndarray, "sizes 3"]
    chance: Float[np.ndarray, "sizes 3"]

    @property
    def spread(self) -> Float[np.ndarray, " sizes"]:
        """Share of each size among masks for the least variance, up to a factor.

        That is if what is left to estimate is equally large at all sizes.
        """
        squares = np.square(self.even) + np.square(self.odd)
        return np.asarray(self.share * np.sqrt((self.chance * squares).sum(axis=1)))


def size_weights_of(index: str, n_players: int) -> SizeWeights:
    """The weights of an index of `PAIR_INDICES`; at least two players."""
    n, k = n_players, np.arange(n_players - 1)
    shape = PAIR_INDICES[index]
    chance_of_size = binom.pmf(k, n - 2, 0.5) if shape is None else betabinom.pmf(k, n - 2, *shape)
    # By size s = 0..n of a set and t: a derivative's S has s - t players.
    s, t = np.arange(n + 1)[:, None], np.arange(3)
    of_derivative = np.pad(chance_of_size, 2)[s - t + 2]
    together = np.array([1, 2, 1]) * of_derivative  # twice as many sets have one of the two
    pairs = np.stack([(n - s) * (n - s - 1), 2 * s * (n - s), s * (s - 1)], axis=-1)[:, 0]
    chance = pairs / (n * (n - 1))
    effect = np.array([1, -1, 1]) * together / np.where(chance > 0, chance, 1.0)
    sizes = np.arange(n // 2 + 1)
    once = np.where(2 * sizes == n, 0.5, 1.0)  # a half and its opposite are one pair
    share = once * (together[sizes] + together[n - sizes]).sum(axis=1) / 4
    small, large = effect[sizes], effect[n - sizes, ::-1]
    scale = (once / share)[:, None]
    return SizeWeights(share, scale * (small + large), scale * (small - large), chance[sizes])


def quadrature(
    index: str, n_players: int, parity: int
) -> tuple[Float[np.ndarray, " nodes"], Float[np.ndarray, " nodes"]]:
    """Values of u, where players are on with the probability (1 + u) / 2, and their weights.

    Args:
        index: a name in `PAIR_INDICES`.
        n_players: the polynomial in u has degree n - 2.
        parity: 1 for the even part of a function of u, -1 for the odd one.
    """
    shape = PAIR_INDICES[index]
    if shape is None:
        return np.zeros(1), np.array([1.0 if parity == 1 else 0.0])
    nodes, widths = np.polynomial.legendre.leggauss(min(NODES, n_players // 2 + 1))
    density = beta.pdf((1 + nodes) / 2, *shape) / 2
    return nodes, np.asarray(widths * (density + parity * density[::-1]) / 2)
