"""Local search among masks of one size: exchange one player that is off for one that is on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np
from jaxtyping import Bool, Float, Int

from headspex.engine.spectrum import Spectrum
from headspex.schedules.constraints import Constraints
from headspex.schedules.schedule import padded_terms

LEAST = 1e-9  # share of the terms' total magnitude below which gains are rounding


def exchanged(
    spectrum: Spectrum,
    mask: Bool[np.ndarray, " players"],
    constraints: Constraints,
    *,
    removed: Sequence[int] = (),
    rounds: int = 10_000,
) -> Bool[np.ndarray, " players"]:
    """The mask after repeated best exchanges, until none helps; its size does not change.

    Args:
        spectrum: predicts the value of a mask, the higher the better.
        mask: the start; it must satisfy the constraints.
        constraints: satisfied by every mask on the way.
        removed: columns that stay off.
        rounds: of exchanges, at most.

    The gain of an exchange is exact: both flips, plus the terms with both players. Ties go to the
    lower columns.
    """
    mask = mask.copy()
    flips = Flips(spectrum)
    least = LEAST * float(np.abs(spectrum.coefficients).sum())
    for _ in range(rounds):
        off, on = np.setdiff1d(np.flatnonzero(~mask), removed), np.flatnonzero(mask)
        if not len(off) or not len(on):
            break
        gains = flips.pair_gains(mask)[np.ix_(off, on)]
        gains[~_allowed(constraints, mask, off, on)] = -np.inf
        row, column = np.unravel_index(int(gains.argmax()), gains.shape)
        if not gains[row, column] > least:
            break
        mask[off[row]], mask[on[column]] = True, False
    return mask


class Flips:
    """Changes in a spectrum's prediction when players are switched."""

    def __init__(self, spectrum: Spectrum) -> None:
        self._columns = padded_terms(spectrum)
        self._coefficients = spectrum.coefficients[1:]
        self._keep = spectrum.keep

    def gains(
        self, mask: Bool[np.ndarray, " players"], *, stay: float = 1.0
    ) -> Float[np.ndarray, " players"]:
        """The gain of flipping each player alone.

        Args:
            mask: True = the player is on.
            stay: probability that a player that is on stays on later. Below 1, gains are averaged
                over later removals, of each player with probability 1 - `stay`.
        """
        now, change = self._factors(mask, stay)
        gains = np.zeros(len(mask) + 1)
        for a in range(self._columns.shape[1]):
            others = now[np.delete(self._columns, a, axis=1)].prod(axis=1)
            flipped = self._columns[:, a]
            weights = self._coefficients * others * change[flipped]
            gains += np.bincount(flipped, weights, len(gains))
        return np.asarray(gains[:-1])

    def pair_gains(
        self, mask: Bool[np.ndarray, " players"]
    ) -> Float[np.ndarray, "players players"]:
        """The gain of flipping two players at once; the diagonal is meaningless."""
        now, change = self._factors(mask, 1.0)
        size = len(now)
        both = np.zeros(size**2)
        for pair in permutations(range(self._columns.shape[1]), 2):
            others = now[np.delete(self._columns, pair, axis=1)].prod(axis=1)
            i, j = self._columns[:, pair].T
            weights = self._coefficients * others * change[i] * change[j]
            both += np.bincount(i * size + j, weights, size**2)
        alone = self.gains(mask)
        return np.asarray(both.reshape(size, size)[:-1, :-1] + alone[:, None] + alone[None])

    def _factors(
        self, mask: Bool[np.ndarray, " players"], stay: float
    ) -> tuple[Float[np.ndarray, " columns"], Float[np.ndarray, " columns"]]:
        """Each player's factor in its terms, and its change; 1 and 0 for the padding column."""
        scale = np.sqrt(self._keep * (1 - self._keep))
        off = self._keep / scale
        now = np.where(mask, off - stay / scale, off)  # averaged over later removals
        change = np.where(mask, 1.0, -1.0) / scale  # of the player that is flipped now
        return np.append(now, 1.0), np.append(change, 0.0)


def _allowed(
    constraints: Constraints,
    mask: Bool[np.ndarray, " players"],
    off: Int[np.ndarray, " off"],
    on: Int[np.ndarray, " on"],
) -> Bool[np.ndarray, "off on"]:
    members, room = constraints.members, constraints.room
    full = (members & ~mask).sum(axis=1) >= room
    allowed = np.ones((len(off), len(on)), dtype=np.bool_)
    for row in members[full]:
        # An exhausted limit may lose another of its columns only if one of them comes back.
        allowed &= row[off][:, None] | ~row[on][None]
    return allowed
