"""A walk's measurements of each player on each question, and their posterior at the current mask.

A player's gain on a question is the predicted gain plus two deviations: the player's own part,
equal on all questions, and its part on this question. Both drift as other players go: each is a
Gaussian process whose correlation falls exponentially with the share of players removed since
(Rasmussen & Williams 2006, section 4.2). On stories260k the parts on a question were correlated by
.94 to .98 after one of 40 heads was removed and by .58 to .83 after eight. So one measurement on
all questions stays useful for long, and repeating an old question adds less than a new one.

Only the latest measurement on a question is used. Earlier ones would add little, as both processes
are Markov.

The unit of variances is that of the noise: the variance of a player's parts on questions, which is
how far questions disagree about players.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from headspex.walk.gate_gradients import centred

# Measured on four samples of stories260k's stories, from 0 to 28 of 40 heads removed: variance of
# players' own parts .07 to .9, half of them below .2; their correlation after 4 heads .5 to .87.
OWN = 0.2  # prior guess of the variance of own parts; that of parts on a question is 1
GUESSED = 4  # weight of the guess, in players
LEAST_OWN, MOST_OWN = 0.01, 100.0  # more extreme variances make no difference
OWN_RANGE = 0.35  # share of players removed after which an own part keeps 1/e of its correlation
QUESTION_RANGE = 0.8  # the same for the part on a question
NEWEST = 0.3  # weight of the latest batch in the running mean of the noise
ROUNDING = 1e-20  # of mean squared deviations: smaller variances count as 0
LEAST = 1e-6  # variances below it are rounding


@dataclass
class Noise:
    """How far questions disagree about players: a running mean of variances.

    Attributes:
        variance: 0 as long as all questions agree.
    """

    variance: float = 0.0

    def update(self, scores: Float[np.ndarray, "players questions"]) -> None:
        """Add one batch; a single player or question carries no information."""
        players, questions = scores.shape
        if min(players, questions) < 2:
            return
        latest = float(np.square(centred(scores)).sum()) / ((players - 1) * (questions - 1))
        if latest <= ROUNDING * float(np.square(scores).mean()):
            latest = 0.0
        old = self.variance or latest
        self.variance = (1 - NEWEST) * old + NEWEST * latest


@dataclass(frozen=True)
class _Own:
    """Posterior of a player's own part at the times of its measurements.

    Attributes:
        prior: variance before any measurement.
        times: shares of players removed, ascending.
        mean, covariance: at these times.
    """

    prior: float
    times: Float[np.ndarray, " times"]
    mean: Float[np.ndarray, " times"]
    covariance: Float[np.ndarray, "times times"]

    @classmethod
    def of(
        cls,
        deviations: Float[np.ndarray, " asked"],
        when: Float[np.ndarray, " asked"],
        prior: float,
    ) -> _Own:
        # The mean of the measurements at one time is sufficient for the own part.
        times, group = np.unique(when, return_inverse=True)
        counts = np.bincount(group)
        before = prior * np.exp(-np.abs(times[:, None] - times) / OWN_RANGE)
        gain = np.linalg.solve(before + np.diag(1 / counts), before).T
        mean = gain @ (np.bincount(group, deviations) / counts)
        return cls(prior, times, mean, before - gain @ before)

    def at(self, now: float) -> tuple[float, float, Float[np.ndarray, " times"]]:
        """Mean and variance now, and the covariance with the part at each time."""
        left = float(np.exp(-(now - self.times[-1]) / OWN_RANGE))
        variance = left**2 * float(self.covariance[-1, -1]) + self.prior * (1 - left**2)
        return left * float(self.mean[-1]), variance, left * self.covariance[-1]


class Memory:
    """Deviations that were measured, and their Gaussian process.

    Args:
        n_players: columns of a mask.
        n_questions: in all.
    """

    def __init__(self, n_players: int, n_questions: int) -> None:
        self._deviations = np.full((n_players, n_questions), np.nan)
        self._when = np.zeros((n_players, n_questions))
        self._owns: dict[int, _Own | None] = {}  # a cache, cleared by new measurements
        self._squares, self._count = GUESSED * OWN, float(GUESSED)
        self._noise = Noise()

    @property
    def variance(self) -> float:
        """Variance of own parts, estimated from first measurements (empirical Bayes).

        While all questions agree there is no noise, and measurements are taken as exact.
        """
        if not self._noise.variance:
            return MOST_OWN
        return float(np.clip(self._squares / self._count, LEAST_OWN, MOST_OWN))

    def update(
        self,
        players: Int[np.ndarray, " players"],
        questions: Int[np.ndarray, " asked"],
        above: Float[np.ndarray, "players asked"],
        *,
        now: float,
    ) -> None:
        """Store a batch of measurements, in place of earlier ones.

        Args:
            players, questions: without repeats.
            above: measured minus predicted gains, up to a constant per question, shared by all
                players. It is estimated as the mean of the unexpected part, weighted by precision.
            now: share of players removed; never falls.
        """
        before = self.variance
        expected = [self.on_questions(player, questions, now=now) for player in players.tolist()]
        means, variances = (np.array(part) for part in zip(*expected, strict=True))
        deviations = above - np.average(above - means, axis=0, weights=1 / variances)
        self._noise.update(above)
        new = np.isnan(self._deviations[players]).all(axis=1)
        freedom = int(new.sum()) - int(new.all())
        if self._noise.variance and freedom:
            squares = float(np.square(deviations[new].mean(axis=1)).sum()) / self._noise.variance
            self._squares += min(squares, MOST_OWN * freedom) - freedom / len(questions)
            self._count += freedom
        if self.variance != before:
            self._owns.clear()
        self._deviations[players[:, None], questions] = deviations
        self._when[players[:, None], questions] = now
        for player in players.tolist():
            self._owns.pop(player, None)

    def own(
        self, players: Int[np.ndarray, " players"], *, now: float
    ) -> tuple[Float[np.ndarray, " players"], Float[np.ndarray, " players"]]:
        """Mean and standard deviation of the players' own parts, in the unit of scores.

        Own parts carry over to questions that were not asked.
        """
        owns = [self._own(player) for player in players.tolist()]
        found = [(0.0, self.variance) if own is None else own.at(now)[:2] for own in owns]
        means, variances = np.array(found).reshape(-1, 2).T
        return means, np.sqrt(np.maximum(0.0, variances) * self._noise.variance)

    def on_questions(
        self, player: int, questions: Int[np.ndarray, " asked"], *, now: float
    ) -> tuple[Float[np.ndarray, " asked"], Float[np.ndarray, " asked"]]:
        """Mean and variance of a player's deviation on single questions."""
        own = self._own(player)
        if own is None:
            return np.zeros(len(questions)), np.full(len(questions), self.variance + 1)
        mean, variance, shared = own.at(now)
        means, variances = np.full(len(questions), mean), np.full(len(questions), variance + 1)
        asked = np.flatnonzero(~np.isnan(self._deviations[player, questions]))
        cells = questions[asked]
        at = np.searchsorted(own.times, self._when[player, cells])
        left = np.exp(-(now - own.times[at]) / QUESTION_RANGE)
        means[asked] += left * (self._deviations[player, cells] - own.mean[at])
        variances[asked] -= left * (2 * shared[at] - left * own.covariance[at, at]) + left**2
        return means, np.maximum(LEAST, variances)

    def information(
        self, players: Int[np.ndarray, " players"], *, now: float
    ) -> Float[np.ndarray, " questions"]:
        """How much each question would add about these players: 1 per player never asked on it."""
        age = (now - self._when[players]) / QUESTION_RANGE
        known = np.where(np.isnan(self._deviations[players]), 0.0, np.exp(-2 * age))
        return np.asarray((1 - known).sum(axis=0))

    def _own(self, player: int) -> _Own | None:
        """A player's posterior; None if it was never measured."""
        if player not in self._owns:
            asked = ~np.isnan(self._deviations[player])
            answers, when = self._deviations[player, asked], self._when[player, asked]
            self._owns[player] = _Own.of(answers, when, self.variance) if asked.any() else None
        return self._owns[player]
