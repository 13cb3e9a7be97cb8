"""A few masks at each keep probability, scored before the search: where is there most to learn?

The scores are kept like all others, and those at the keep that is chosen are part of the search.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from headspex.budget.plan import SEARCH_PASSES_PER_PLAYER, Plan
from headspex.engine.sampling import draw_masks
from headspex.scores.judge import Judge
from headspex.scores.spread import assign_questions
from headspex.support.intervals import mean_interval
from headspex.support.seeds import stream

KEEPS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
QUESTIONS = 8  # asked of each mask: about the ratio of both variances on `mini`
SHARE = 1 / 16  # of the default budget
MOST_SHARE = 1 / 4  # of the budget
MASKS = (32, 256)  # at each keep, at least and at most


@dataclass(frozen=True)
class Probe:
    """What the pilot saw at one keep probability.

    Attributes:
        keep: the probability that a mask keeps a head.
        masks: how many were scored.
        score: of the masks in the task's own metric; `low` is the lower end of its 95 % interval.
        between: variance of the masks' mean scores, the noise of few questions removed.
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
        """The share of an answer's variance that is its mask's: the intraclass correlation."""
        whole = self.between + self.within
        return self.between / whole if whole > 0 else 0.0


@dataclass(frozen=True, eq=False)
class Pilot:
    """Masks of one keep probability, and the search questions that each is asked."""

    masks: Bool[np.ndarray, "masks players"]
    asked: Int[np.ndarray, "masks questions"]


def pilot_size(plan: Plan, n_keeps: int) -> int:
    """Masks at each of so many keep probabilities; 0 where the budget is too small for a pilot.

    As the default budget would have it, or else the least: so nearly all budgets have the same
    pilot, and a larger one goes on with the search of a smaller one.
    """
    per_mask = n_keeps * min(QUESTIONS, plan.n_search)
    least, most = MASKS
    default = SHARE * SEARCH_PASSES_PER_PLAYER * plan.n_players // per_mask
    for size in (int(np.clip(default, least, most)), least):
        if size * per_mask <= MOST_SHARE * plan.search_budget and size <= plan.most_masks // 2:
            return size
    return 0


def smallest_pilot(plan: Plan, n_keeps: int) -> int:
    """The budget from which there is a pilot."""
    return int(MASKS[0] * n_keeps * min(QUESTIONS, plan.n_search) / MOST_SHARE)


def draw_pilot(plan: Plan, n_masks: int, *, keep: float, seed: int) -> Pilot:
    """The same random numbers at every keep: what differs is not the luck of the draw."""
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
    """Score the pilot's masks at every keep, in the run's metric and in the task's own."""
    found = []
    for keep in keeps:
        pilot = draw_pilot(plan, n_masks, keep=keep, seed=seed)
        scores: Mapping[str, np.ndarray] = judge.ask(
            pilot.masks, pilot.asked, metrics=list(dict.fromkeys([own, metric])),
            what=f"pilot, keep {keep:g}",
        )  # fmt: skip
        score = scores[own].mean(axis=1)
        between, within = components(scores[metric], pilot.asked)
        low = mean_interval(score)[0]
        found.append(Probe(keep, n_masks, float(score.mean()), low, between, within))
    return found


def components(
    scores: Float[np.ndarray, "masks questions"], asked: Int[np.ndarray, "masks questions"]
) -> tuple[float, float]:
    """Variance of mask effects, and of what neither mask nor question explains.

    Score = mean + mask + question + rest. Products of two scores are averaged over pairs that share
    the mask, the question, or neither; their expectations differ by the variances (a method of
    moments for crossed random effects, as Henderson's, Biometrics 1953). Both estimates are
    unbiased, so that they can be negative.
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
