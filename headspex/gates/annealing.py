"""Learned gates: an order of all players from one run of stochastic gradient steps.

Every player has a hard-concrete gate. Each step asks a few questions, each under gates of its own,
and moves the gates' logits along the gradient of the mean score (Adam, Kingma & Ba 2015), less the
price of open gates. The expected number of open gates has a target, which falls from all players to
a few; the price rises while more are open (an augmented Lagrangian, Nocedal & Wright 2006, chapter
17, as Louizos et al. 2018 and Edge Pruning, arXiv 2406.16778, use one for a single size). So
players compete at every size, and redundant ones do so while their backups are open and closed by
turns.

Players leave in the order in which their gates are open for the last time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from headspex.gates.hard_concrete import Levels, drawn, expected_open, open_slope

# (gates in 255ths, the question of each row) -> d score / d gate
Gradient = Callable[[Levels, Int[np.ndarray, " rows"]], Float[np.ndarray, "rows players"]]

ROWS = 10  # questions of a step
RATE = 0.1  # of Adam
FIRST, SECOND = 0.9, 0.999  # decay of Adam's moments
START = 2.0  # logits: most gates are open to begin with
LEFT = 0.07  # share of players that the last step expects to be open
HELD = 0.1  # share of the steps that stay at that
# With x the share of players that are open beyond the target, the penalty is price * x + STIFF x^2,
# in units of the score, and the price rises by RISE * x a step.
STIFF, RISE = 364.0, 5.4


@dataclass(frozen=True, eq=False)
class Learned:
    """An order of all players, first to go first, and the rows it was learned from."""

    order: tuple[int, ...]
    rows: int


def learned_order(
    gradient: Gradient,
    n_players: int,
    n_questions: int,
    *,
    steps: int,
    unit: float,
    rng: np.random.Generator,
) -> Learned:
    """Anneal gates from all open to few.

    Args:
        gradient: of the score, the higher the better.
        n_players, n_questions: columns of gates, and questions to ask.
        steps: of `ROWS` questions each.
        unit: a difference of the score that matters, such as a tenth of a nat of KL divergence.
        rng: draws questions and gates.
    """
    logits, price = np.full(n_players, START), 0.0
    mean, square = np.zeros(n_players), np.zeros(n_players)
    last_open = np.full(n_players, -1)
    deck: list[int] = []
    for step, target in enumerate(targets(n_players, steps)):
        while len(deck) < ROWS:
            deck += rng.permutation(n_questions).tolist()
        asked, deck = np.array(deck[:ROWS]), deck[ROWS:]
        levels, slopes = drawn(logits, ROWS, rng=rng)
        up = (gradient(levels, asked) * slopes).mean(axis=0)
        beyond = (expected_open(logits) - target) / n_players
        price = max(0.0, price + RISE * beyond)
        if beyond > 0:
            up -= unit * (price + 2 * STIFF * beyond) / n_players * open_slope(logits)
        mean = FIRST * mean + (1 - FIRST) * up
        square = SECOND * square + (1 - SECOND) * up**2
        rise = mean / (1 - FIRST ** (step + 1))
        size = np.sqrt(square / (1 - SECOND ** (step + 1)))
        logits = logits + RATE * rise / (size + 1e-8 * unit)
        last_open[logits >= 0] = step
    order = np.lexsort((logits, last_open))
    return Learned(tuple(order.tolist()), steps * ROWS)


def targets(n_players: int, steps: int) -> list[float]:
    """The expected number of open gates at each step."""
    left = LEFT * n_players
    done = np.minimum(1.0, np.arange(1, steps + 1) / ((1 - HELD) * steps))
    return [float(one) for one in n_players - (n_players - left) * done]
