"""A schedule refined on the model: a spectrum proposes who goes next, a few questions decide.

Greedy removal on the model itself asks every remaining player about every question at every step.
Here a step asks only about the players that the spectrum finds most promising, about a few
questions, and believes the answers as far as they can be believed: what is measured and what was
predicted are averaged by the inverse of their variances, both estimated on the way (empirical
Bayes). What a measurement adds to a player's prediction stays with it at later steps, so that a
player once found to matter is not asked about again and again.

Promising is who costs least now and later: gains are means over what may be removed next. A head
with a backup costs nothing while the backup is there; plain greedy removal takes it first, and pays
when the backup is all that is left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int

from headspex.engine.spectrum import Spectrum
from headspex.players import Masks
from headspex.schedules.local_search import Flips
from headspex.schedules.rules import Rules
from headspex.schedules.schedule import Schedule

CANDIDATES = 5  # asked about at each step; on stories260k 2 to 5 did equally well at equal passes
# A player that is on stays on later, at the first step with this probability, at the last surely.
# Chosen on seeds 0 to 2 of `mini` and stories260k; from .5 to .9 schedules were about as good.
STAY = 0.8
PRIOR_STEPS = 4  # that the first guess, equal trust in both, counts

# Scores of masks on the same questions, the higher the better.
Measure = Callable[
    [Bool[np.ndarray, "masks players"], Int[np.ndarray, " questions"]],
    Float[np.ndarray, "masks questions"],
]


@dataclass(frozen=True, eq=False)
class Walk:
    """A schedule, and the masks that were asked about on the way to it."""

    schedule: Schedule
    masks: Masks
    asked: Int[np.ndarray, "masks questions"]
    scores: Float[np.ndarray, "masks questions"]

    @property
    def passes(self) -> int:
        """How many forward passes it took."""
        return int(self.asked.size)


@dataclass
class Trust:
    """How far measurements are to be believed, by what was seen so far.

    Attributes:
        error: summed squares of what predictions of a step missed, noise included.
        noise: summed squared standard errors of the measurements.
    """

    error: list[float] = field(default_factory=list)
    noise: list[float] = field(default_factory=list)

    def share(self) -> float:
        """Weight of a measurement against a prediction, 0 to 1."""
        if not self.noise:
            return 0.5
        noise, error = float(np.mean(self.noise)), float(np.mean(self.error))
        own = max(0.0, error - noise)  # of the predictions alone
        if own + noise == 0:
            return 0.5
        seen = len(self.noise)
        return (seen * own / (own + noise) + PRIOR_STEPS * 0.5) / (seen + PRIOR_STEPS)

    def see(
        self,
        scores: Float[np.ndarray, "players questions"],
        predicted: Float[np.ndarray, " players"],
    ) -> None:
        """Learn from one step; both are compared within the step only."""
        players, questions = scores.shape
        means = scores.mean(axis=1)
        residual = scores - means[:, None] - scores.mean(axis=0) + scores.mean()
        freedom = (players - 1) * (questions - 1)
        self.noise.append(float(np.square(residual).sum()) / freedom / questions)
        missed = (means - means.mean()) - (predicted - predicted.mean())
        self.error.append(float(np.square(missed).sum()) / (players - 1))


def walk(
    spectrum: Spectrum,
    measure: Measure,
    n_questions: int,
    *,
    steps: int,
    per_candidate: int,
    candidates: int = CANDIDATES,
    stay: float = STAY,
    rules: Rules | None = None,
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
        rules: what every mask keeps to.
        rng: deals the questions, each as often as any other.
    """
    rules = rules or Rules(spectrum.n_players)
    flips = Flips(spectrum)
    mask = np.ones(spectrum.n_players, dtype=np.bool_)
    learnt = np.zeros(spectrum.n_players)
    trust, order = Trust(), list[int]()
    deck = np.zeros(0, dtype=np.int64)
    seen: list[tuple[Masks, np.ndarray, np.ndarray]] = []
    for step in range(spectrum.n_players):
        possible = np.flatnonzero(mask & rules.free(mask))
        if not len(possible):
            break
        later = 1 - (1 - stay) * float(mask.mean())
        hopes = flips.gains(mask, stay=later)[possible] + learnt[possible]
        top = np.argsort(-hopes, kind="stable")[:candidates]
        chosen = int(possible[top[0]])
        if step < steps and len(top) > 1:
            if len(deck) < per_candidate:
                fresh = rng.permutation(n_questions)
                deck = np.concatenate([deck, fresh[~np.isin(fresh, deck)]])
            asked, deck = np.sort(deck[:per_candidate]), deck[per_candidate:]
            tried = np.repeat(mask[None], len(top), axis=0)
            tried[np.arange(len(top)), possible[top]] = False
            scores = measure(tried, asked)
            seen.append((tried, np.tile(asked, (len(top), 1)), scores))
            # Scores are of the present masks, and so must be what they are compared with.
            present = flips.gains(mask)[possible[top]] + learnt[possible[top]]
            missed = scores.mean(axis=1) - scores.mean() - present + present.mean()
            correction = trust.share() * missed
            trust.see(scores, present)
            learnt[possible[top]] += correction
            chosen = int(possible[top[int((hopes[top] + correction).argmax())]])
        mask[chosen] = False
        order.append(chosen)
    schedule = Schedule(tuple(order), spectrum.n_players)
    masks, questions, results = (np.concatenate(part) for part in zip(*seen, strict=True))
    return Walk(schedule, masks, questions, results)
