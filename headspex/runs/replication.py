"""How many of the pairs that a run found should have the same sign in a second run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
from scipy.stats import norm

from headspex.engine.uncertainty import LEVEL
from headspex.runs.interactions_table import Interaction

PAIR = 2


@dataclass(frozen=True)
class Replication:
    """What a second, independent run of as many passes should find.

    Attributes:
        pairs: whose intervals exclude zero.
        kept: share of them, 0..1, that is expected to keep its sign.
    """

    pairs: int
    kept: float

    def said(self, heads: str) -> str:
        """One sentence; `heads` is what a pair is made of, in the plural."""
        if not self.pairs:
            return (
                f"No pair of {heads} has an interval that excludes zero; more passes may show some."
            )
        pairs = "1 pair" if self.pairs == 1 else f"{self.pairs:,} pairs"
        has = "has an interval that excludes" if self.pairs == 1 else "have intervals that exclude"
        return (
            f"{pairs} of {heads} {has} zero; {self.kept:.1%} are expected to keep their sign in a "
            "second run of as many passes."
        )


def replication(table: Sequence[Interaction], n_players: int) -> Replication:
    """The pairs of a table whose intervals exclude zero, and how sure their signs are.

    With an error of s, an estimate that is z s from zero has a true value that is normal around
    it, and a second estimate lies around that: the variances add up, and signs agree with
    probability Phi(z / sqrt(2)) (Killeen 2005, Psychological Science 16, 345). The intervals tell
    s: those of selected pairs are wider by a factor that is known.

    Args:
        table: all of a spectrum's terms, with their intervals.
        n_players: columns of a mask.
    """
    pairs = [row for row in table if len(row.heads) == PAIR]
    found = [row for row in pairs if row.low > 0 or row.high < 0]
    if not found:
        return Replication(0, float("nan"))
    # Of a pair's interval, in errors; see `headspex.engine.uncertainty`.
    errors = norm.isf((1 - LEVEL) * len(found) / comb(n_players, PAIR) / 2)
    effect, half = np.array([(row.effect, (row.high - row.low) / 2) for row in found]).T
    with np.errstate(divide="ignore"):  # an interval of no width is sure of its sign
        sure = norm.cdf(errors * np.abs(effect) / half / np.sqrt(2))
    return Replication(len(found), float(LEVEL * sure.mean() + (1 - LEVEL) / 2))
