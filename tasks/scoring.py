"""Scores of questions from log-likelihoods of choices, and intervals of mean scores."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int

from headspex.errors import UsageError
from headspex.support.intervals import mean_interval, share_interval
from headspex.tasks.prompts import EncodedQuestion

LogLikelihoods = Float[np.ndarray, "rows choices"]  # -inf for choices that a question lacks
Answers = Int[np.ndarray, " rows"]
Scores = Float[np.ndarray, " rows"]


def accuracy(log_likelihoods: LogLikelihoods, answers: Answers) -> Scores:
    """1 where the right choice has the highest log-likelihood, else 0; the first one wins ties."""
    scores: Scores = (_checked(log_likelihoods).argmax(axis=1) == answers).astype(np.float64)
    return scores


def margin(log_likelihoods: LogLikelihoods, answers: Answers) -> Scores:
    """The right choice's log-likelihood minus the best wrong one's, in nats.

    For single-token continuations it equals their logit difference.
    """
    values = _checked(log_likelihoods).copy()
    rows = np.arange(len(values))
    right = values[rows, answers].copy()
    values[rows, answers] = -np.inf
    scores: Scores = right - values.max(axis=1)
    return scores


def logprob(log_likelihoods: LogLikelihoods, answers: Answers) -> Scores:
    """The right choice's log-likelihood, in nats."""
    scores: Scores = _checked(log_likelihoods)[np.arange(len(answers)), answers]
    return scores


KL = "kl"  # closeness to the whole model's next tokens
DISTANCE = "distance"  # closeness to the whole model's score


def kl_scores(values: LogLikelihoods, encoded: Sequence[EncodedQuestion]) -> Scores:
    """Minus the KL divergence from the whole model's next tokens, in nats.

    It is the last number measured of each question; the mean over the positions that are scored.

    Raises:
        UsageError: it was not measured.
    """
    if not all(one.kl for one in encoded):
        raise UsageError(
            "the KL divergence is measured where a run aims at it; ask for objective match or "
            "metric kl"
        )
    last = np.array([one.width - 1 for one in encoded])
    return np.asarray(-values[np.arange(len(values)), last], dtype=np.float64)


METRICS: dict[str, Callable[[LogLikelihoods, Answers], Scores]] = {
    "accuracy": accuracy,
    "margin": margin,
    "logprob": logprob,
}


SHARES = ("accuracy", "acc", "acc_norm", "acc_bytes", "exact_match")  # 0 or 1 per question
SMOOTH = ("margin", "logprob", "logit-diff", "prob-diff", KL)  # continuous in what is measured
FREE = 0.01  # one percentage point of a share; of other scores, this part of the whole model's
FREE_NATS = 0.1  # of KL divergence
MATTERS = 0.2  # of a score
FREE_ERROR = 0.1  # root mean square difference from the whole model's score, as a part of it


DISTANCES = (KL, DISTANCE)  # from the whole model
# As they stand in tables and figures, where higher is better.
_TITLES = {KL: "minus KL divergence (nats)", DISTANCE: "minus squared distance"}


def title_of(metric: str) -> str:
    """A metric's name for people."""
    return _TITLES.get(metric, metric)


def interval(metric: str, values: Scores) -> tuple[float, float]:
    """95 % interval of the mean score: Wilson for shares of questions, t for the others."""
    return share_interval(values) if metric in SHARES else mean_interval(values)


def free_loss(wanted: float | None, metric: str, whole: float) -> float:
    """The loss of score that counts as no loss.

    Args:
        wanted: by the user, as `may_cost`; None: one percentage point of a share of questions, a
            tenth of a nat of KL divergence, the square of a tenth of the whole model's score of
            the squared distance to it, or a hundredth of another score.
        metric: of the score.
        whole: the score of the whole model; for a distance the score that it is measured in.
    """
    if wanted is not None:
        return wanted
    if metric == KL:
        return FREE_NATS
    if metric == DISTANCE:
        return (FREE_ERROR * whole) ** 2
    return FREE if metric in SHARES else FREE * abs(whole)


def unit_of(metric: str, size: float) -> float:
    """A difference of a score that matters: more than what is free, less than the whole score.

    Args:
        metric: of the score.
        size: typical of the score, such as the whole model's; for a distance, of what it is
            measured in.
    """
    if metric == KL:
        return FREE_NATS
    return (FREE_ERROR * size) ** 2 if metric == DISTANCE else MATTERS * abs(size)


def _checked(log_likelihoods: LogLikelihoods) -> LogLikelihoods:
    values = np.asarray(log_likelihoods, dtype=np.float64)
    if np.isnan(values).any():
        raise UsageError(
            "the model's log-likelihoods contain NaN, which cannot be scored; "
            "load it with dtype float32"
        )
    return values
