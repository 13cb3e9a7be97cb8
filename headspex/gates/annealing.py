"""Learned gates: an order of all players from one run of stochastic gradient steps.

Every player has a hard-concrete gate. Each step asks a few questions, each under gates of its own,
and moves the gates' logits along the gradient of the mean score (Adam). All logits are then shifted
by one constant, so that the expected number of open gates is exactly what the step's target says.
The target falls from all players to a few. So players compete at every size for the gates that are
left open, and redundant ones do so while their backups are open or closed by turns.

Players leave in the order in which their gates are open for the last time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from headspex.gates.hard_concrete import Gates, Levels, drawn, shifted

# (gates in 255ths, the question of each row) -> d score / d gate
Gradient = Callable[[Levels, Int[np.ndarray, " rows"]], Gates]

ROWS = 10  # questions of a step
RATE = 0.1  # of Adam
FIRST, SECOND = 0.9, 0.98  # decay of Adam's moments
MOST = 8.0  # logits are cut off here: a gate is then open or closed for good
LEFT = 0.05  # share of players that the last step expects to be open
POWER = 1.3  # of the fall: the more, the faster at first and the slower at last


@dataclass(frozen=True, eq=False)
class Learned:
    """An order of all players, first to go first, and the rows it was learned from."""

    order: tuple[int, ...]
    rows: int


def learned_order(
    gradient: Gradient, n_players: int, n_questions: int, *, steps: int, rng: np.random.Generator
) -> Learned:
    """Anneal gates from all open to few.

    Args:
        gradient: of the score, the higher the better.
        n_players, n_questions: columns of gates, and questions to ask.
        steps: of `ROWS` questions each.
        rng: draws questions and gates.
    """
    falling = targets(n_players, steps)
    logits = shifted(np.zeros(n_players), falling[0])
    means, squares = np.zeros(n_players), np.zeros(n_players)
    last_open = np.full(n_players, -1)
    deck: list[int] = []
    for step, target in enumerate(falling):
        while len(deck) < ROWS:
            deck += rng.permutation(n_questions).tolist()
        asked, deck = np.array(deck[:ROWS]), deck[ROWS:]
        levels, slopes = drawn(logits, ROWS, rng=rng)
        up = (gradient(levels, asked) * slopes).mean(axis=0)
        up -= up.mean()  # the shift undoes what is common to all
        means = FIRST * means + (1 - FIRST) * up
        squares = SECOND * squares + (1 - SECOND) * up**2
        rise = means / (1 - FIRST ** (step + 1))
        size = np.sqrt(squares / (1 - SECOND ** (step + 1)))
        logits = shifted(logits + RATE * rise / (size + 1e-8), target)
        logits = np.clip(logits, -MOST, MOST)
        last_open[logits >= 0] = step
    order = np.lexsort((logits, last_open))
    return Learned(tuple(order.tolist()), steps * ROWS)


def targets(n_players: int, steps: int) -> list[float]:
    """The expected number of open gates at each step."""
    left = LEFT * n_players
    over = (1 - np.arange(1, steps + 1) / steps) ** POWER
    return [float(one) for one in left + (n_players - left) * over]
