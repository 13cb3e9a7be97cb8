"""Steps of a score's gradient by logits of gates, on a few questions at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from headspex.gates.hard_concrete import Levels, Logits

# (gates in 255ths, the question of each row) -> d score / d gate
Gradient = Callable[[Levels, Int[np.ndarray, " rows"]], Float[np.ndarray, "rows players"]]

FIRST, SECOND = 0.9, 0.999  # decay of Adam's moments


class Ascent:
    """Logits that climb, by Adam (Kingma & Ba 2015, arXiv 1412.6980), and the questions to ask.

    Args:
        logits: to start from.
        n_questions: every question is asked before one is asked again.
        rows: questions of a step.
        rate: of Adam.
        unit: a difference of the score that matters; gradients far below it move nothing.
        rng: draws the questions.

    Attributes:
        logits: float [players].
    """

    def __init__(
        self, logits: Logits, n_questions: int, *, rows: int, rate: float, unit: float,
        rng: np.random.Generator,
    ) -> None:  # fmt: skip
        self.logits = np.array(logits, dtype=np.float64)
        self._rate, self._tiny, self._steps = rate, 1e-8 * unit, 0
        self._mean, self._square = np.zeros_like(self.logits), np.zeros_like(self.logits)
        self._rng, self._n_questions, self._rows = rng, n_questions, rows
        self._deck: list[int] = []

    def ask(self) -> Int[np.ndarray, " rows"]:
        """The questions of the next step."""
        while len(self._deck) < self._rows:
            self._deck += self._rng.permutation(self._n_questions).tolist()
        asked, self._deck = self._deck[: self._rows], self._deck[self._rows :]
        return np.array(asked)

    def step(self, gradient: Logits) -> None:
        """Move the logits along the gradient of what should rise."""
        self._steps += 1
        self._mean += (1 - FIRST) * (gradient - self._mean)
        self._square += (1 - SECOND) * (gradient**2 - self._square)
        mean = self._mean / (1 - FIRST**self._steps)
        size = np.sqrt(self._square / (1 - SECOND**self._steps))
        self.logits += self._rate * mean / (size + self._tiny)
