"""Masks of one size made better by exchanging one player that is off for one that is on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np
from jaxtyping import Bool, Float, Int

from headspex.rules import Rules
from headspex.schedule import padded_terms
from headspex.spectrum import Spectrum

LEAST = 1e-9  # of all terms' magnitude: gains below it are rounding


def exchanged(
    spectrum: Spectrum,
    mask: Bool[np.ndarray, " players"],
    rules: Rules,
    *,
    removed: Sequence[int] = (),
    rounds: int = 10_000,
) -> Bool[np.ndarray, " players"]:
    """The mask after the best exchanges, until none helps; as many players stay on.

    Args:
        spectrum: predicts the value of a mask, the higher the better.
        mask: where to begin; it keeps to the rules.
        rules: every mask on the way keeps to them.
        removed: columns that stay off.
        rounds: of exchanges, at most.

    The gain of an exchange is exact: that of either flip, and what terms with both players add.
    Ties go to the lower columns.
    """
    mask = mask.copy()
    flips = Flips(spectrum)
    least = LEAST * float(np.abs(spectrum.coefficients).sum())
    for _ in range(rounds):
        off, on = np.setdiff1d(np.flatnonzero(~mask), removed), np.flatnonzero(mask)
        if not len(off) or not len(on):
            break
        gains = flips.pair_gains(mask)[np.ix_(off, on)]
        gains[~_allowed(rules, mask, off, on)] = -np.inf
        row, column = np.unravel_index(int(gains.argmax()), gains.shape)
        if not gains[row, column] > least:
            break
        mask[off[row]], mask[on[column]] = True, False
    return mask


class Flips:
    """What switching players changes in the value that a spectrum predicts.

    Flipping player i multiplies every term with i by the ratio of its two characters.
    """

    def __init__(self, spectrum: Spectrum) -> None:
        self._columns = padded_terms(spectrum)
        self._coefficients = spectrum.coefficients[1:]
        keep = spectrum.keep
        self._on, self._off = -np.sqrt((1 - keep) / keep), np.sqrt(keep / (1 - keep))

    def gains(self, mask: Bool[np.ndarray, " players"]) -> Float[np.ndarray, " players"]:
        """Of flipping each player alone."""
        change, current = self._at(mask)
        weights = current[:, None] * change[self._columns]
        summed = np.bincount(self._columns.ravel(), weights.ravel(), len(mask) + 1)
        return np.asarray(summed[:-1])

    def pair_gains(
        self, mask: Bool[np.ndarray, " players"]
    ) -> Float[np.ndarray, "players players"]:
        """Of flipping two players at once; the diagonal means nothing."""
        change, current = self._at(mask)
        size = len(mask) + 1
        both = np.zeros(size**2)
        for a, b in permutations(range(self._columns.shape[1]), 2):
            i, j = self._columns[:, a], self._columns[:, b]
            both += np.bincount(i * size + j, current * change[i] * change[j], size**2)
        alone = self.gains(mask)
        return np.asarray(both.reshape(size, size)[:-1, :-1] + alone[:, None] + alone[None])

    def _at(
        self, mask: Bool[np.ndarray, " players"]
    ) -> tuple[Float[np.ndarray, " columns"], Float[np.ndarray, " terms"]]:
        """Ratio less 1 of each player, 0 for the filling of short terms; the terms as they are."""
        now, other = np.where(mask, (self._on, self._off), (self._off, self._on))
        change = np.append(other / now - 1, 0.0)
        return change, self._coefficients * np.append(now, 1.0)[self._columns].prod(axis=1)


def _allowed(
    rules: Rules,
    mask: Bool[np.ndarray, " players"],
    off: Int[np.ndarray, " off"],
    on: Int[np.ndarray, " on"],
) -> Bool[np.ndarray, "off on"]:
    members, room = rules.members, rules.room
    full = (members & ~mask).sum(axis=1) >= room
    allowed = np.ones((len(off), len(on)), dtype=np.bool_)
    for row in members[full]:
        # A full limit may lose another of its columns only where one of them comes back.
        allowed &= row[off][:, None] | ~row[on][None]
    return allowed
