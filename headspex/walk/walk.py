"""A schedule refined on the model: a spectrum proposes whom to remove, a few questions decide.

Greedy removal on the model itself scores every remaining player on every question at every step.
Here a step scores only the most promising players, on the few questions that are most informative
about them. Measurements are kept, as they change little while others go: `headspex.walk.memory`
gives their posterior at the current mask. If the score has a gradient,
`headspex.walk.gate_gradients` extends a few measurements to all questions.

Candidates are the players whose removal is predicted to cost least, now and averaged over likely
later removals. A head with a backup costs nothing while the backup is there; plain greedy removal
takes it first, and pays when only the backup is left.
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

CANDIDATES = 5  # scored at each step
# Probability at the first step that a player that is on stays on later; it rises to 1 at the last.
# Chosen on seeds 0 to 2 of `mini` and stories260k, for a walk without memory; from .5 to .9
# schedules were about as good.
STAY = 0.8
BOLD = 1.0  # standard deviations added to a player's expected gain when candidates are chosen

# Scores of masks on the same questions, the higher the better.
Measure = Callable[
    [Bool[np.ndarray, "masks players"], Int[np.ndarray, " questions"]],
    Float[np.ndarray, "masks questions"],
]


@dataclass(frozen=True, eq=False)
class Walk:
    """A schedule, and the masks scored on the way to it.

    Attributes:
        schedule: the result.
        masks: that were scored.
        asked, scores: the questions of each mask, and its scores on them.
        sloped: total number of questions in all gradient batches.
    """

    schedule: Schedule
    masks: Masks
    asked: Int[np.ndarray, "masks questions"]
    scores: Float[np.ndarray, "masks questions"]
    sloped: int = 0

    def passes(self, slope_passes: int) -> int:
        """Forward passes in all, if one question's gradient costs `slope_passes`."""
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
        measure: scores masks on the model.
        n_questions: questions are numbered 0 to n_questions - 1.
        steps: removals decided on the model, at least 1; the spectrum decides the rest.
        per_candidate: questions per candidate, at least 2; the same for all candidates of a step.
        candidates: players scored at each step, at least 2.
        stay: how far the first step looks ahead; with 1 only the current mask counts.
        slopes: gradients of the score, if it has any; see `headspex.walk.gate_gradients`.
        n_slopes: gradient batches, at most.
        rng: breaks ties between equally informative questions.
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
    sloped = 0 if tangent is None else tangent.taken
    return Walk(Schedule(tuple(order), len(mask)), masks, questions, results, sloped=sloped)


def _nothing(n_players: int, per_candidate: int) -> tuple[Masks, np.ndarray, np.ndarray]:
    """No masks, questions and scores: all that a walk with one player needs."""
    cells = 0, per_candidate
    return np.zeros((0, n_players), bool), np.zeros(cells, dtype=np.int64), np.zeros(cells)
