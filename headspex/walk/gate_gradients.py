"""Gradients of the score by the players' gates: when a walk takes them, and how far it trusts them.

The gradients at a mask cost a few passes for all players together. A walk starts with some at
random masks, a different one for each question. They show each player's value while others are
off, and the gradient when the player itself is off. The rest are taken along the way.
`headspex.walk.slope_field` combines them all.

Gradients predict well how a player's gain differs between questions: along greedy schedules of
stories260k, for the ten heads that mattered, gradients at the current mask explained .76 to .91 of
that variance, with a factor of .92 to 1.1. So they serve as a control variate (Owen 2013, chapter
8): the measured gain on a few questions, minus the gradients' mean on these, plus their mean on
all, estimates the mean over all questions far better than the few questions alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int

from headspex.walk.slope_field import MOST, SlopeField

# Linear estimate, for question i under mask i, of what removing each player adds to the score; for
# a player that is already off, of what its removal added.
Slopes = Callable[
    [Bool[np.ndarray, "rows players"], Int[np.ndarray, " rows"]],
    Float[np.ndarray, "rows players"],
]

SCATTERED = 1 / 3  # share of gradient batches taken at random masks
SCATTERED_KEEP = 0.8  # share of players that those masks keep
LOOK = 128  # questions per gradient batch, at most
BELIEVED = 2.0  # weight, in batches, of the prior guess that the factor is 1
OLDER = 0.8  # decay of a batch's weight for the factor, per later batch


class GateGradients:
    """The gradients of a walk, and the factor by which measured differences follow them.

    Args:
        slopes: computes gradients on the model.
        n_players, n_questions: columns of a mask, and questions in all.
        steps: of the walk.
        times: gradient batches, at most; `most_looks` caps it.
        rng: draws the first masks, and the questions if there are more than `LOOK`.

    Attributes:
        taken: total number of questions in all gradient batches.
    """

    def __init__(
        self,
        slopes: Slopes,
        n_players: int,
        n_questions: int,
        *,
        steps: int,
        times: int,
        rng: np.random.Generator,
    ) -> None:
        self._slopes, self._rng = slopes, rng
        times = min(times, most_looks(n_questions))
        self._scattered = int(SCATTERED * times)
        self._due = gradient_steps(n_players, steps, times - self._scattered)
        self._n_questions = n_questions
        self._field = SlopeField(n_players, n_questions)
        self._parts = np.zeros((n_players, n_questions))
        self._products, self._squares = BELIEVED, BELIEVED
        self.taken = 0

    @property
    def factor(self) -> float:
        """Regression coefficient of measured differences on gradients; at least 0."""
        return max(0.0, self._products / self._squares)

    def move_to(self, mask: Bool[np.ndarray, " players"]) -> None:
        """Make this the current mask, and compute gradients if they are due."""
        on = int(mask.sum())
        if self._due and on <= self._due[0]:
            self._due = [later for later in self._due if later < on]
            looks = [self._asked() for _ in range(self._scattered + 1)]
            current = np.tile(mask, (len(looks[-1]), 1))
            shape = len(current) * self._scattered, len(mask)
            masks = np.concatenate([self._rng.random(shape) < SCATTERED_KEEP, current])
            questions, self._scattered = np.concatenate(looks), 0
            self._field.update(masks, questions, self._slopes(masks, questions))
            self.taken += len(questions)
        self._parts = self._field.parts(mask)

    def _asked(self) -> Int[np.ndarray, " questions"]:
        """All questions, or a random `LOOK` of them."""
        count = sloped_questions(self._n_questions)
        if count == self._n_questions:
            return np.arange(count)
        return np.sort(self._rng.choice(self._n_questions, count, replace=False))

    def gains(
        self, mask: Bool[np.ndarray, " players"], *, stay: float = 1.0
    ) -> Float[np.ndarray, " players"]:
        """Mean gain of removing each player; see `SlopeField.gains`."""
        return self._field.gains(mask, stay=stay)

    def parts(
        self, players: Int[np.ndarray, " players"], questions: Int[np.ndarray, " asked"]
    ) -> Float[np.ndarray, "players asked"]:
        """Predicted gains on these questions, minus each player's mean over all questions."""
        return np.asarray(self.factor * self._parts[players[:, None], questions])

    def learn(
        self,
        players: Int[np.ndarray, " players"],
        questions: Int[np.ndarray, " asked"],
        scores: Float[np.ndarray, "players asked"],
    ) -> None:
        """Update the factor: regress measured on predicted gains, both doubly centred."""
        if len(players) < 2 or len(questions) < 2:
            return
        predicted = centred(self._parts[players[:, None], questions])
        squares = float(np.square(predicted).sum())
        if squares > 0:
            products = float((predicted * centred(scores)).sum()) / squares
            self._products = OLDER * self._products + products
            self._squares = OLDER * self._squares + 1


def sloped_questions(n_questions: int) -> int:
    """Questions in each gradient batch."""
    return min(n_questions, LOOK)


def most_looks(n_questions: int) -> int:
    """The most gradient batches that can all be remembered."""
    return MOST // sloped_questions(n_questions)


def gradient_steps(n_players: int, steps: int, times: int) -> list[int]:
    """Numbers of remaining players at which a walk takes gradients, in geometric progression.

    Args:
        n_players: at the start of the walk.
        steps: of the walk.
        times: that it can afford; two may coincide.
    """
    last = max(1, n_players - steps)
    left = n_players * (last / n_players) ** (np.arange(times) / max(1, times))
    return sorted({int(np.ceil(on)) for on in left.tolist()}, reverse=True)


def centred(values: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "rows columns"]:
    """Values without their row and column means (double centring)."""
    rows = values.mean(axis=1, keepdims=True)
    return np.asarray(values - rows - values.mean(axis=0) + values.mean())
