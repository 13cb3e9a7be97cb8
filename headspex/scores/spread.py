"""Assign questions to masks, and estimate mask values from the answers.

Many masks with few questions each are worth more than few masks with many: on a real
game of 40 heads,
2,048 forward passes gave R² .08 with 32 questions per mask and .977 with one.

A pass is one question under one mask. Masks may differ in their number of passes.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from headspex.engine.faithfulness import Measured
from headspex.engine.methods.ridge import ridge
from headspex.errors import UsageError, argument

TURNS = 3  # alternations of question effects and ridge


def assign_questions(
    n_masks: int, n_questions: int, per_mask: int, *, rng: np.random.Generator
) -> Int[np.ndarray, "masks per_mask"]:
    """Deal questions to masks: never twice to the same mask, and all about equally often.

    Args:
        n_masks: number of masks.
        n_questions: number of questions, numbered from 0.
        per_mask: questions for each mask, 1..n_questions.
        rng: shuffles the questions.

    Raises:
        UsageError: `per_mask` is out of range.
    """
    if not 1 <= per_mask <= n_questions:
        raise UsageError(
            f"{argument('questions_per_mask')} must lie between 1 and {n_questions}, the number of "
            f"questions, but is {per_mask}"
        )
    served = n_questions // per_mask  # masks for each shuffle of the questions
    shuffles = -(-n_masks // served)
    dealt = [
        rng.permutation(n_questions)[: served * per_mask].reshape(served, per_mask)
        for _ in range(shuffles)
    ]
    empty = np.zeros((0, per_mask), dtype=np.int64)
    return np.sort(np.concatenate([empty, *dealt])[:n_masks], axis=1)


def question_effects(
    scores: Float[np.ndarray, " passes"],
    asked: Int[np.ndarray, " passes"],
    n_questions: int,
) -> Float[np.ndarray, " passes"]:
    """How much easier each pass's question is than average, estimated from its other answers.

    A pass is left out of its own estimate: otherwise every value would lose a share 1 / answers
    of its mask's effect, interactions included. The mean of the other answers is shrunk to the
    common mean by the empirical-Bayes factor tau^2 / (tau^2 + sigma^2 / n), so that few answers
    count for little (Efron & Morris 1975).

    Args:
        scores: one per pass; may be residuals of a fit on masks.
        asked: the question of each pass.
        n_questions: number of questions.
    """
    count = np.bincount(asked, minlength=n_questions)
    total = np.bincount(asked, scores, n_questions)
    mean = total / np.maximum(count, 1)
    n_asked = int((count > 0).sum())
    if len(scores) <= n_asked:  # no question has two answers
        return np.zeros(len(scores))
    within = float(np.square(scores - mean[asked]).sum()) / (len(scores) - n_asked)
    observed = count > 0
    noise = within / count[observed]
    spread = float(np.mean(np.square(mean[observed] - scores.mean()) - noise))
    if spread <= 0:
        return np.zeros(len(scores))
    others = count[asked] - 1
    grand = (scores.sum() - scores) / (len(scores) - 1)
    easier = (total[asked] - scores) / np.maximum(others, 1) - grand
    trust = spread * others / (spread * others + within)
    return np.asarray(easier * trust)


def mask_values(
    scores: Float[np.ndarray, " passes"],
    row: Int[np.ndarray, " passes"],
    asked: Int[np.ndarray, " passes"],
    n_questions: int,
    masks: Bool[np.ndarray, "masks players"],
) -> Float[np.ndarray, " masks"]:
    """The value of each mask: its mean score minus the effects of its questions.

    A question that happened to be asked under bad masks looks hard. So question effects are
    estimated from the residuals of a ridge on single players, alternating between both: on the
    real head game, one question a mask, this reaches R² .95 with a quarter fewer passes.

    Args:
        scores: one per pass.
        row: the mask of each pass, numbered from 0; every mask has a pass.
        asked: the question of each pass; a mask is never asked the same question twice.
        n_questions: number of questions.
        masks: the masks.
    """
    count = np.bincount(row)
    if (count == n_questions).all():  # all masks were asked all questions: nothing to correct
        return np.asarray(np.bincount(row, scores) / count)
    weights = count / count.mean()
    players = (masks - masks.mean(axis=0)).astype(np.float32)
    explained = np.zeros(len(count))
    for _ in range(TURNS):
        effects = question_effects(scores - explained[row], asked, n_questions)
        values = np.bincount(row, scores - effects) / count
        centred = values - np.average(values, weights=weights)
        explained = players @ ridge(players, centred, weights)
    return np.asarray(values)


def sampled_values(
    scores: Float[np.ndarray, "masks per_mask"],
    asked: Int[np.ndarray, "masks per_mask"],
    n_questions: int,
    *,
    expected: Float[np.ndarray, " masks"],
) -> Measured:
    """Each mask's mean score over all questions, estimated from a few, with its error variance.

    The error variance of a mean of k out of n answers is (1 - k/n) times their variance over k, as
    in any sample without replacement. Question effects are subtracted first, which leaves the means
    unbiased and reduces their errors.

    Args:
        scores: of each mask on its own questions.
        asked: those questions, drawn at random without replacement; at least two a mask.
        n_questions: number of questions.
        expected: a prediction of each mask's value; question effects are estimated from the rest.
    """
    per_mask = asked.shape[1]
    if per_mask == n_questions:
        return Measured.exactly(scores.mean(axis=1))
    residual = (scores - expected[:, None]).ravel()
    effects = question_effects(residual, asked.ravel(), n_questions).reshape(scores.shape)
    easy = scores - effects
    noise = (1 - per_mask / n_questions) * easy.var(axis=1, ddof=1) / per_mask
    return Measured(easy.mean(axis=1), noise)
