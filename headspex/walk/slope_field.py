"""A Gaussian process over gradients: from some masks and questions to all of them.

The gradient of the score by a player's gate is modelled as

    b + c [the player is off] + u(mask) + v(mask, question)

where b and c, the curvature, are numbers per player, and u and v are Gaussian processes: u is
shared by all questions, v is separate for each (Rasmussen & Williams 2006, sections 2.2 and 2.7: b
has a flat prior, c a wide one). Between two masks both are correlated by exp(-share of players that
differ / RANGE). Switching the player off integrates the gradient from on to off, and c counts for
half of the way, so the gain is b + c / 2 + u + v.

The constants maximise the likelihood on a grid, one constant after the other, for 64 of
stories260k's stories, with gradients at the whole model and at random masks that kept .95, .9 and
.8 of 40 heads. With u linear in the mask and v the same at all masks the likelihood was lower by
thousands of nats; without a curvature, or without v, that model lost thousands more.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

# Variances, relative to that of v.
CURVATURE = 5.0
ALIKE = 0.5  # u
ROUNDING = 1e-3  # noise that the process does not explain
RANGE = 0.5  # share of players that differ between two masks at a correlation of 1/e
MOST = 2_048  # gradients per walk, at most: matrices have as many rows and columns


class SlopeField:
    """The gradients taken so far, and their Gaussian process.

    Args:
        n_players: columns of a mask.
        n_questions: in all.
    """

    def __init__(self, n_players: int, n_questions: int) -> None:
        self._n_questions = n_questions
        self._masks = np.zeros((0, n_players), dtype=np.bool_)
        self._questions = np.zeros(0, dtype=np.int64)
        self._slopes = np.zeros((0, n_players))
        self._constant = np.zeros(n_players)  # b + c / 2
        self._weights = np.zeros((0, n_players))  # inverse covariance times the residual of b, c

    def update(
        self,
        masks: Bool[np.ndarray, "rows players"],
        questions: Int[np.ndarray, " rows"],
        slopes: Float[np.ndarray, "rows players"],
    ) -> None:
        """Add gradients: the linear estimate of the gain of switching each player off."""
        self._masks = np.concatenate([self._masks, masks])
        self._questions = np.concatenate([self._questions, questions])
        self._slopes = np.concatenate([self._slopes, slopes])
        off, ones = (~self._masks).astype(float), np.ones((len(self._masks), 1))
        alike = self._questions[:, None] == self._questions
        correlation = np.exp(-(off @ (1 - off).T + (1 - off) @ off.T) / (RANGE * off.shape[1]))
        covariance = correlation * (ALIKE + alike) + ROUNDING * np.eye(len(off))
        known = np.linalg.solve(covariance, np.concatenate([ones, off, self._slopes], axis=1))
        by_one, by_off, by_slope = np.split(known, [1, 1 + off.shape[1]], axis=1)
        # Generalized least squares of each player, for b and c.
        one_one, one_off, one_slope = by_one.sum(), by_off.sum(axis=0), by_slope.sum(axis=0)
        off_off = (off * by_off).sum(axis=0) + 1 / CURVATURE
        off_slope = (off * by_slope).sum(axis=0)
        determinant = one_one * off_off - one_off**2
        level = (off_off * one_slope - one_off * off_slope) / determinant
        curvature = (one_one * off_slope - one_off * one_slope) / determinant
        self._constant = level + curvature / 2
        self._weights = by_slope - by_one * level - by_off * curvature

    def gains(
        self, mask: Bool[np.ndarray, " players"], *, stay: float = 1.0
    ) -> Float[np.ndarray, " players"]:
        """Expected gain of switching each player off, on a new question.

        Args:
            mask: True = the player is on.
            stay: probability that each player that is on stays on.
        """
        return np.asarray(self._constant + ALIKE * self._near(mask, stay) @ self._weights)

    def parts(self, mask: Bool[np.ndarray, " players"]) -> Float[np.ndarray, "players questions"]:
        """How gains differ from question to question: 0 on average over all of them."""
        found = np.zeros((self._n_questions, len(mask)))
        np.add.at(found, self._questions, self._near(mask, 1.0)[:, None] * self._weights)
        return np.asarray((found - found.mean(axis=0)).T)

    def _near(self, mask: Bool[np.ndarray, " players"], stay: float) -> Float[np.ndarray, " rows"]:
        """Correlation with each gradient's mask; its expectation if players may go later."""
        apart = float(np.exp(-1 / (RANGE * len(mask))))  # factor per player that differs
        kept = np.log([stay + (1 - stay) * apart, stay * apart + 1 - stay, apart])
        cases = [self._masks & mask, ~self._masks & mask, self._masks & ~mask]
        return np.asarray(
            np.exp(sum(case.sum(axis=1) * log for case, log in zip(cases, kept, strict=True)))
        )
