"""Masks of one size made better by exchanging one player that is off for one that is on."""

from __future__ import annotations

from collections.abc import Sequence

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
    columns = padded_terms(spectrum)
    coefficients = spectrum.coefficients[1:]
    least = LEAST * float(np.abs(coefficients).sum())
    for _ in range(rounds):
        off, on = np.setdiff1d(np.flatnonzero(~mask), removed), np.flatnonzero(mask)
        if not len(off) or not len(on):
            break
        gains = _gains(spectrum, mask, columns, coefficients)[np.ix_(off, on)]
        gains[~_allowed(rules, mask, off, on)] = -np.inf
        row, column = np.unravel_index(int(gains.argmax()), gains.shape)
        if not gains[row, column] > least:
            break
        mask[off[row]], mask[on[column]] = True, False
    return mask


def _gains(
    spectrum: Spectrum,
    mask: Bool[np.ndarray, " players"],
    columns: Int[np.ndarray, "terms order"],
    coefficients: Float[np.ndarray, " terms"],
) -> Float[np.ndarray, "players players"]:
    """What flipping both of two players changes; the diagonal means nothing."""
    n, keep = spectrum.n_players, spectrum.keep
    chi_on, chi_off = -np.sqrt((1 - keep) / keep), np.sqrt(keep / (1 - keep))
    chi = np.append(np.where(mask, chi_on, chi_off), 1.0)
    change = np.append(np.where(mask, chi_off / chi_on, chi_on / chi_off) - 1, 0.0)
    current = coefficients * chi[columns].prod(axis=1)
    single = np.zeros(n + 1)
    pairs = np.zeros((n + 1) ** 2)
    for a in range(columns.shape[1]):
        i = columns[:, a]
        np.add.at(single, i, current * change[i])
        for b in range(columns.shape[1]):
            if a != b:
                j = columns[:, b]
                at = i * (n + 1) + j
                pairs += np.bincount(at, current * change[i] * change[j], minlength=len(pairs))
    gains = pairs.reshape(n + 1, n + 1) + single[:, None] + single[None]
    return gains[:n, :n]


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

