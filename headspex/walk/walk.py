"""A schedule refined on the model: a spectrum proposes who goes next, a few questions decide.

Greedy removal on the model itself asks every remaining player about every question at every step.
Here a step asks only about the players that are most promising, about the few questions that would
tell most about them. What was measured of a player on a question is remembered, as it changes
little while others go: `headspex.walk.memory` says what all of it means for the present mask.
Where the score has slopes, `headspex.walk.gate_gradients` makes a few answers stand for all.

Promising is who costs least now and later: predicted gains are means over what may be removed next.
A head with a backup costs nothing while the backup is there; plain greedy removal takes it first,
and pays when the backup is all that is left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from headspex.engine.spectrum import Spectrum
from headspex.players import Masks
from headspex.schedules.schedule import Schedule
from headspex.walk.forecast import Forecast
from headspex.walk.gate_gradients import GateGradients, Slopes
from headspex.walk.memory import Memory

CANDIDATES = 5  # asked about at each step
# A player that is on stays on later, at the first step with this probability, at the last surely.
# Chosen on seeds 0 to 2 of `mini` and stories260k, for a walk that remembered nothing; from .5 to
# .9 schedules were about as good.
STAY = 0.8
BOLD = 1.0  # standard deviations that a player may turn out better than expected

# Scores of masks on the same questions, the higher the better.
Measure = Callable[
    [Bool[np.ndarray, "masks players"], Int[np.ndarray, " questions"]],
    Float[np.ndarray, "masks questions"],
]


@dataclass(frozen=True, eq=False)
class Walk:
    """A schedule, and the masks that were asked about on the way to it.

    Attributes:
        schedule: found.
        masks: that were asked about, each with `scores` on questions `asked`.
        asked, scores: of these masks.
        sloped: of how many questions slopes were taken, all in all.
    """

    schedule: Schedule
    masks: Masks
    asked: Int[np.ndarray, "masks questions"]
    scores: Float[np.ndarray, "masks questions"]
    sloped: int = 0

    def passes(self, slope_passes: int) -> int:
        """How many forward passes it took, where a slope of one question costs so many."""
        return int(self.asked.size) + slope_passes * self.sloped


def walk(
    spectrum: Spectrum,
    measure: Measure,
    n_questions: int,
    *,
    steps: int,
    per_candidate: int,
    candidates: int = CANDIDATES,
    stay: float = STAY,
    slopes: Slopes | None = None,
    n_slopes: int = 0,
    rng: np.random.Generator,
) -> Walk:
    """Remove players one by one, each step decided on the model; see the module.

    Args:
        spectrum: of the same score that `measure` gives.
        measure: asks the model.
        n_questions: questions are numbered 0 to n_questions - 1.
        steps: removals that are decided on the model, at least 1; the spectrum decides the rest.
        per_candidate: questions that each candidate is asked, at least 2; all of a step the same.
        candidates: players asked about at each step, at least 2.
        stay: how far the first step looks ahead; 1 looks at nothing but the present mask.
        slopes: of the score, where it has any; see `headspex.walk.gate_gradients`.
        n_slopes: how often they are taken, at most.
        rng: chooses among questions that would tell equally much.
    """
    mask = np.ones(spectrum.n_players, dtype=np.bool_)
    tangent = None
    if slopes is not None and n_slopes:
        tangent = GateGradients(
            slopes, len(mask), n_questions, steps=steps, times=n_slopes, rng=rng
        )
    forecast, memory = Forecast(spectrum, tangent), Memory(len(mask), n_questions)
    order, seen = list[int](), [_nothing(len(mask), min(per_candidate, n_questions))]
    for step in range(len(mask)):
        possible = np.flatnonzero(mask)
        asks = step < steps and len(possible) > 1
        if asks:
            forecast.move_to(mask)
        on = float(mask.mean())
        ahead = forecast.gains(mask, stay=1 - (1 - stay) * on)[possible]
        if asks:
            means, spread = memory.own(possible, now=1 - on)
            top = possible[np.argsort(-(ahead + means + BOLD * spread), kind="stable")[:candidates]]
            shuffled = rng.permutation(n_questions)
            information = memory.information(top, now=1 - on)[shuffled]
            asked = np.sort(shuffled[np.argsort(-information, kind="stable")[:per_candidate]])
            tried = np.repeat(mask[None], len(top), axis=0)
            tried[np.arange(len(top)), top] = False
            scores = measure(tried, asked)
            seen.append((tried, np.tile(asked, (len(top), 1)), scores))
            memory.update(top, asked, forecast.missed(mask, top, asked, scores), now=1 - on)
        means, _ = memory.own(possible, now=1 - on)
        order.append(int(possible[int((ahead + means).argmax())]))
        mask[order[-1]] = False
    masks, questions, results = (np.concatenate(part) for part in zip(*seen, strict=True))
    return Walk(
        Schedule(tuple(order), len(mask)), masks, questions, results,
        sloped=0 if tangent is None else tangent.taken,
    )  # fmt: skip


def _nothing(n_players: int, per_candidate: int) -> tuple[Masks, np.ndarray, np.ndarray]:
    """Masks, questions and scores of a walk with one player, which has nothing to ask."""
    cells = 0, per_candidate
    return np.zeros((0, n_players), bool), np.zeros(cells, dtype=np.int64), np.zeros(cells)
