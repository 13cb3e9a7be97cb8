"""Learned gates: an order of all players from one run of stochastic gradient steps.

Every player has a hard-concrete gate. Each step asks a few questions, each under gates of its own,
and moves the gates' logits along the gradient of the mean score, less the price of open gates. The
expected number of open gates has a target, which falls from all players to a few; the price rises
while more are open (an augmented Lagrangian, Nocedal & Wright 2006, chapter 17, as Louizos et al.
2018 and Edge Pruning, arXiv 2406.16778, use one for a single size). So players compete at every
size, and redundant ones do so while their backups are open and closed by turns.

The order is read from the steps: of the players that are left, the next to leave is the one whose
gate is open least often in the steps that follow, where a few more players have had to go. Earlier
steps know less, and later ones are about players that matter at other sizes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from headspex.gates.ascent import Ascent, Gradient
from headspex.gates.hard_concrete import drawn, mean_slope, open_probability, open_slope
from headspex.gates.sizes import ROWS

# Adam's rate is this over the number of steps, so that few steps take a gate as far as many. With
# SmolLM2 on indirect objects (seeds 10 and 11) and 40 % of the heads removed, 85 steps of ten
# questions left a KL of .12 to .14 at a rate of .36, and .27 at .14; 256 did best at .14, of .1,
# .14 and .2. In 512 steps of five, .07 was better than .047.
RATE_TIMES_STEPS = 36.0
HIGHEST_RATE = 0.5  # taken by fewer than 72 steps; not tuned
# Logits at first. From 2, gates are cut off at 1 three times in five, and the first steps ask
# models that miss a little of everything; from 4, nine times in ten.
START = 4.0
# The share of players to go rises with this power of the share of steps: who goes first takes more
# steps to tell, as the score changes little.
TARGET_POWER = 1.4
LEFT = 0.07  # share of players that the last step expects to be open
HELD = 0.1  # share of the steps that stay at that
# With x the share of players that are open beyond the target, the penalty is price * x + STIFF x^2,
# in units of the score, and the price rises by RISE * x a step.
STIFF, RISE = 364.0, 2.7
# Logits stay within a bound, or few steps could not close the gates that were open for long. It
# falls with the target's share of players, and is BOUND from a share of BOUND_SHARE on.
BOUND, BOUND_SHARE, BOUND_FALL = 3.0, 0.3, 6.0
# The steps that order players at a size: those whose target is lower by 5 to 25 % of all players.
# On indirect objects with SmolLM2 (seeds 10 and 11, 400 steps of ten questions) KL was .08 to .09
# with 30 % of the heads removed and .32 to .52 with 70 %, by all steps alike .09 to .11 and .52 to
# .68. Windows of 5 to 15 %, -5 to 15 % and 13 to 17 % were worse at some size.
NEXT = (0.05, 0.25)
TIE = 1e-3  # weight of all steps: they decide between gates that are equally shut
LAST = 10  # steps, whose median norm is the most that a row's gradient counts for


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
        steps: of `headspex.gates.sizes.ROWS` questions each.
        unit: a difference of the score that matters, such as a tenth of a nat of KL divergence.
        rng: draws questions and gates.
    """
    rate = min(RATE_TIMES_STEPS / steps, HIGHEST_RATE)
    climb = Ascent(np.full(n_players, START), n_questions, rows=ROWS, rate=rate, unit=unit, rng=rng)
    price, aims = 0.0, targets(n_players, steps)
    open_at = np.empty((steps, n_players))
    norms: deque[Float[np.ndarray, " rows"]] = deque(maxlen=LAST)
    for step, target in enumerate(aims):
        asked = climb.ask()
        # Most gates are cut off at 0 or 1, where their own slopes are 0 and rows would not tell of
        # them: the slopes of their means take their place.
        rows = gradient(drawn(climb.logits, ROWS, rng=rng), asked) * mean_slope(climb.logits)
        norms.append(np.linalg.norm(rows, axis=1))
        up = clipped(rows, float(np.median(norms))).mean(axis=0)
        beyond = (open_probability(climb.logits).sum() - target) / n_players
        price = max(0.0, price + RISE * beyond)
        if beyond > 0:
            up -= unit * (price + 2 * STIFF * beyond) / n_players * open_slope(climb.logits)
        climb.step(up)
        bound = BOUND + BOUND_FALL * max(0.0, target / n_players - BOUND_SHARE)
        np.clip(climb.logits, -bound, bound, out=climb.logits)
        open_at[step] = open_probability(climb.logits)
    return Learned(tuple(order_of(open_at, aims)), steps * ROWS)


def order_of(open_at: Float[np.ndarray, "steps players"], aims: Sequence[float]) -> list[int]:
    """Players, first to go first: each has the least open gate of those left in the next steps.

    Args:
        open_at: each gate's probability to be open after each step.
        aims: the target at each step, as `targets` gives them.
    """
    n_players = open_at.shape[1]
    total = np.vstack([np.zeros(n_players), np.cumsum(open_at, axis=0)])
    falling = -np.asarray(aims)
    left, order = np.ones(n_players, dtype=np.bool_), []
    for kept in range(n_players - 1, -1, -1):
        near, far = (max(kept - share * n_players, aims[-1]) for share in NEXT)
        start = min(int(np.searchsorted(falling, -near)), len(aims) - 1)
        end = max(int(np.searchsorted(falling, -far, side="right")), start + 1)
        often = (total[end] - total[start]) / (end - start) + TIE * total[-1] / len(aims)
        order.append(int(np.where(left, often, np.inf).argmin()))
        left[order[-1]] = False
    return order


def clipped(
    rows: Float[np.ndarray, "rows players"], limit: float
) -> Float[np.ndarray, "rows players"]:
    """Gradients of rows, those longer than a limit shortened to it.

    Where random gates broke the ability, a question's gradient can be ten to forty times the median
    one and would decide the step.
    """
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows * np.divide(limit, norms, out=np.ones_like(norms), where=norms > limit))


def targets(n_players: int, steps: int) -> list[float]:
    """The expected number of open gates at each step."""
    left = LEFT * n_players
    done = np.minimum(1.0, np.arange(1, steps + 1) / ((1 - HELD) * steps)) ** TARGET_POWER
    return [float(one) for one in n_players - (n_players - left) * done]
