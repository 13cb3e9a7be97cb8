"""What a score's slopes say of removing players, question by question.

The tangent of a score at a mask costs a few passes for all players together. What it says of a
player on average is not worth much: a player's gain is curved. How a player's gain differs from
question to question it says well: along greedy schedules of stories260k, of the ten heads that
mattered, it told .76 to .91 of that variance at the mask itself, with a factor of .92 to 1.1. So
what was measured on a few questions less what the tangent says of these, and what it says of all,
are a far better mean over all questions than the few alone (a control variate; Owen 2013, chapter
8).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int

# What removing each player that is on would add to the score of each question, were it linear.
Slopes = Callable[
    [Bool[np.ndarray, " players"], Int[np.ndarray, " questions"]],
    Float[np.ndarray, "players questions"],
]

BELIEVED = 2.0  # looks that the first guess of the factor, 1, counts
OLDER = 0.8  # of what a look counts for the factor, at the next one


class Tangent:
    """Slopes at the last mask where they were taken, and by what factor differences follow them.

    Args:
        slopes: asks the model.
        due: numbers of players on at which slopes are taken, descending.
        n_questions: that there are.

    Attributes:
        mean: float [players], over all questions.
        taken: questions whose slopes were taken, all in all.
    """

    def __init__(self, slopes: Slopes, due: list[int], n_questions: int) -> None:
        self._slopes, self._due = slopes, list(due)
        self._questions = np.arange(n_questions)
        self._products, self._squares = BELIEVED, BELIEVED
        self.taken = 0

    @property
    def factor(self) -> float:
        """Of differences in slopes, that measured ones have; 0 where slopes tell nothing."""
        return max(0.0, self._products / self._squares)

    def renew(self, mask: Bool[np.ndarray, " players"]) -> None:
        """Take slopes at this mask, if they are due."""
        on = int(mask.sum())
        if self._due and on <= self._due[0]:
            self._due = [later for later in self._due if later < on]
            slopes = self._slopes(mask, self._questions)
            self.taken += len(self._questions)
            self.mean = slopes.mean(axis=1)
            self._parts = slopes - self.mean[:, None]

    def parts(
        self, players: Int[np.ndarray, " players"], questions: Int[np.ndarray, " asked"]
    ) -> Float[np.ndarray, "players asked"]:
        """What it says of players on questions, less what it says of them on all."""
        return np.asarray(self.factor * self._parts[players[:, None], questions])

    def learn(
        self,
        players: Int[np.ndarray, " players"],
        questions: Int[np.ndarray, " asked"],
        scores: Float[np.ndarray, "players asked"],
    ) -> None:
        """The factor, from a look at some players: the regression on what differs in both ways."""
        if len(players) < 2 or len(questions) < 2:
            return
        said = centred(self._parts[players[:, None], questions])
        squares = float(np.square(said).sum())
        if squares > 0:
            products = float((said * centred(scores)).sum()) / squares
            self._products = OLDER * self._products + products
            self._squares = OLDER * self._squares + 1


def due(n_players: int, steps: int, times: int) -> list[int]:
    """Numbers of players on at which a walk takes slopes, so that as large a share left each time.

    Args:
        n_players: that a walk begins with.
        steps: of the walk.
        times: that it can afford; two may fall together.
    """
    last = max(1, n_players - steps)
    left = n_players * (last / n_players) ** (np.arange(times) / max(1, times))
    return sorted({int(np.ceil(on)) for on in left.tolist()}, reverse=True)


def centred(values: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "rows columns"]:
    """Without what all of a row, or all of a column, have in common."""
    rows = values.mean(axis=1, keepdims=True)
    return np.asarray(values - rows - values.mean(axis=0) + values.mean())
