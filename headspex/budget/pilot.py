"""A few masks at each keep probability, scored before the search to choose among them.

The scores are stored like all others; those at the chosen keep are part of the search.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from headspex.budget.defaults import ANSWERS
from headspex.budget.plan import Plan
from headspex.engine.sampling import draw_masks
from headspex.scores.judge import Judge
from headspex.scores.spread import assign_questions
from headspex.support.intervals import mean_interval
from headspex.support.seeds import stream

KEEPS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
QUESTIONS = 8  # per mask: about the ratio of variances, within / between, on `mini`
SHARE = 1 / 16  # of the default budget for answers
MOST_SHARE = 1 / 4  # of the budget
FEWEST_MASKS = 32  # at each keep


@dataclass(frozen=True)
class Probe:
    """The pilot's measurements at one keep probability.

    Attributes:
        keep: the probability that a mask keeps a head.
        masks: number of masks scored.
        score: their mean in the task's own metric; `low` is the lower end of its 95 % interval.
        between: variance of the masks' mean scores, corrected for the noise of few questions.
        within: variance of a mask's answers beyond the effects of mask and question.
    """

    keep: float
    masks: int
    score: float
    low: float
    between: float
    within: float

    @property
    def signal(self) -> float:
        """The share of an answer's variance due to its mask: the intraclass correlation."""
        whole = self.between + self.within
        return self.between / whole if whole > 0 else 0.0


@dataclass(frozen=True, eq=False)
class Pilot:
    """Masks of one keep probability, and the search questions of each."""

    masks: Bool[np.ndarray, "masks players"]
    asked: Int[np.ndarray, "masks questions"]


def pilot_size(plan: Plan, n_keeps: int) -> int:
    """Masks at each of `n_keeps` keep probabilities; 0 if the budget is too small for a pilot.

    Sized for the default budget, or else the least. So nearly all budgets have the same pilot, and
    a larger budget can extend the search of a smaller one.
    """
    per_mask = n_keeps * min(QUESTIONS, plan.n_search)
    default = int(SHARE * ANSWERS.search.of(plan.n_players)) // per_mask
    for size in (max(default, FEWEST_MASKS), FEWEST_MASKS):
        if size * per_mask <= MOST_SHARE * plan.search_budget and size <= plan.most_masks // 2:
            return size
    return 0


def smallest_pilot(plan: Plan, n_keeps: int) -> int:
    """The smallest budget with a pilot."""
    return int(FEWEST_MASKS * n_keeps * min(QUESTIONS, plan.n_search) / MOST_SHARE)


def draw_pilot(plan: Plan, n_masks: int, *, keep: float, seed: int) -> Pilot:
    """Draw masks with the same random numbers at every keep, so that keeps compare fairly."""
    if n_masks == 0:
        per_mask = min(QUESTIONS, plan.n_search)
        return Pilot(np.zeros((0, plan.n_players), bool), np.zeros((0, per_mask), np.int64))
    masks = draw_masks(n_masks, plan.n_players, keep=keep, seed=stream(seed, "pilot"))
    asked = assign_questions(
        n_masks, plan.n_search, min(QUESTIONS, plan.n_search), rng=stream(seed, "pilot questions")
    )
    return Pilot(masks, asked)


def probe(
    judge: Judge,
    plan: Plan,
    keeps: Sequence[float],
    n_masks: int,
    *,
    metric: str,
    seed: int,
    own: str = "accuracy",
) -> list[Probe]:
    """Score the pilot's masks at every keep, in the run's metric and the task's own."""
    found = []
    for keep in keeps:
        pilot = draw_pilot(plan, n_masks, keep=keep, seed=seed)
        metrics = list(dict.fromkeys([own, metric]))
        scores: Mapping[str, np.ndarray] = judge.ask(
            pilot.masks, pilot.asked, metrics=metrics, what=f"pilot, keep {keep:g}"
        )
        score = scores[own].mean(axis=1)
        between, within = components(scores[metric], pilot.asked)
        low = mean_interval(score)[0]
        found.append(Probe(keep, n_masks, float(score.mean()), low, between, within))
    return found


def components(
    scores: Float[np.ndarray, "masks questions"], asked: Int[np.ndarray, "masks questions"]
) -> tuple[float, float]:
    """Variance of mask effects, and variance unexplained by mask and question.

    Score = mean + mask + question + rest. Products of two scores are averaged over pairs that share
    the mask, the question, or neither; their expectations differ by the variances (a method of
    moments for crossed random effects, as Henderson's, Biometrics 1953). Both estimates are
    unbiased, so they can be negative.
    """
    per_mask = scores.shape[1]
    centred = scores - scores.mean()
    count = np.bincount(asked.ravel())
    own = np.bincount(asked.ravel(), centred.ravel())
    squares = float((centred**2).sum())
    same_mask = float((centred.sum(axis=1) ** 2).sum()) - squares
    same_question = float((own**2).sum()) - squares
    pairs = centred.size * (centred.size - 1)
    mask_pairs = centred.size * (per_mask - 1)
    question_pairs = int((count * (count - 1)).sum())
    neither = -squares - same_mask - same_question  # the sum of all products is zero
    neither /= pairs - mask_pairs - question_pairs
    by_mask = same_mask / mask_pairs - neither
    by_question = same_question / max(1, question_pairs) - neither if question_pairs else 0.0
    within = squares / centred.size - neither - by_mask - by_question
    return by_mask, within
