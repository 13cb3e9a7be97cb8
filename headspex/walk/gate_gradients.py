"""What slopes of a score say of removing players, where a walk takes them and how far it trusts.

Slopes at a mask cost a few passes for all players together. A walk begins with some at random
masks, each question at its own, which tell of every player what it is worth while others are off,
and what is left when it is off itself. The others are taken on the way.
`headspex.walk.slope_field` makes one picture of all of them.

How a player's gain differs from question to question slopes say best: along greedy schedules of
stories260k, of the ten heads that mattered, those at the mask itself told .76 to .91 of that
variance, with a factor of .92 to 1.1. So what was measured on a few questions less what slopes say
of these, and what they say of all, are a far better mean over all questions than the few alone (a
control variate; Owen 2013, chapter 8).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int

from headspex.walk.slope_field import MOST, SlopeField

# What removing each player that is on would add to the score of question i under mask i, and what
# leaving out one that is off did, were it linear.
Slopes = Callable[
    [Bool[np.ndarray, "rows players"], Int[np.ndarray, " rows"]],
    Float[np.ndarray, "rows players"],
]

SCATTERED = 1 / 3  # of all looks at slopes, how many are at random masks
SCATTERED_KEEP = 0.8  # of these, how many players they keep
LOOK = 128  # questions whose slopes a look takes, at most
BELIEVED = 2.0  # looks that the first guess of the factor, 1, counts
OLDER = 0.8  # of what a look counts for the factor, at the next one


class GateGradients:
    """Slopes that a walk takes, and by what factor differences between questions follow them.

    Args:
        slopes: asks the model.
        n_players, n_questions: that there are.
        steps: of the walk.
        times: how often slopes are taken, at most; beyond `most_looks` they are not.
        rng: draws the masks of the beginning, and the questions where there are too many.

    Attributes:
        taken: questions whose slopes were taken, all in all.
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
        """Of differences in slopes, that measured ones have; 0 where slopes tell nothing."""
        return max(0.0, self._products / self._squares)

    def move_to(self, mask: Bool[np.ndarray, " players"]) -> None:
        """Come to this mask: slopes are taken if they are due."""
        on = int(mask.sum())
        if self._due and on <= self._due[0]:
            self._due = [later for later in self._due if later < on]
            looks = [self._asked() for _ in range(self._scattered + 1)]
            here = np.tile(mask, (len(looks[-1]), 1))
            shape = len(here) * self._scattered, len(mask)
            masks = np.concatenate([self._rng.random(shape) < SCATTERED_KEEP, here])
            questions, self._scattered = np.concatenate(looks), 0
            self._field.update(masks, questions, self._slopes(masks, questions))
            self.taken += len(questions)
        self._parts = self._field.parts(mask)

    def _asked(self) -> Int[np.ndarray, " questions"]:
        """All questions, or some of very many."""
        count = sloped_questions(self._n_questions)
        if count == self._n_questions:
            return np.arange(count)
        return np.sort(self._rng.choice(self._n_questions, count, replace=False))

    def gains(
        self, mask: Bool[np.ndarray, " players"], *, stay: float = 1.0
    ) -> Float[np.ndarray, " players"]:
        """Of removing each player, on average; see `SlopeField.gains`."""
        return self._field.gains(mask, stay=stay)

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


def sloped_questions(n_questions: int) -> int:
    """Of how many questions slopes are taken each time."""
    return min(n_questions, LOOK)


def most_looks(n_questions: int) -> int:
    """How often slopes can be taken so that all of them are remembered."""
    return MOST // sloped_questions(n_questions)


def gradient_steps(n_players: int, steps: int, times: int) -> list[int]:
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
