"""From log-likelihoods of the choices to a score per question, and intervals for averages."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from headspex.errors import UsageError

LogLikelihoods = Float[np.ndarray, "rows choices"]  # absent choices of shorter questions: -inf
Answers = Int[np.ndarray, " rows"]
Scores = Float[np.ndarray, " rows"]

Z95 = 1.959963984540054  # 97.5 % quantile of the normal distribution


def accuracy(log_likelihoods: LogLikelihoods, answers: Answers) -> Scores:
    """1 where the right choice has the highest log-likelihood, else 0; the first one wins ties."""
    scores: Scores = (_checked(log_likelihoods).argmax(axis=1) == answers).astype(np.float64)
    return scores


def margin(log_likelihoods: LogLikelihoods, answers: Answers) -> Scores:
    """The right choice's log-likelihood less the best wrong one's, in nats.

    For continuations of one token it equals the difference of their logits.
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


METRICS: dict[str, Callable[[LogLikelihoods, Answers], Scores]] = {
    "accuracy": accuracy,
    "margin": margin,
    "logprob": logprob,
}


SHARES = ("accuracy", "acc", "acc_norm", "acc_bytes", "exact_match")  # 0 or 1 per question


SMOOTH = ("margin", "logprob")  # that change a little where log-likelihoods do


FREE = 0.01  # a point of a share; of other scores, this part of the whole model's


def wilson(correct: float, total: float) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927); it never leaves 0..1."""
    if total < 1 or not 0 <= correct <= total:
        raise UsageError(
            f"a proportion needs 0 <= correct <= total and total >= 1, "
            f"but got correct={correct} and total={total}; count the questions again"
        )
    share, spread = correct / total, Z95**2 / total
    centre = (share + spread / 2) / (1 + spread)
    half = Z95 / (1 + spread) * np.sqrt(share * (1 - share) / total + spread / (4 * total))
    # At 0 and at `total` the bounds are exactly 0 and 1; rounding must not push the mean outside.
    return (
        0.0 if correct == 0 else float(centre - half),
        1.0 if correct == total else float(centre + half),
    )


def mean_interval(values: Scores) -> tuple[float, float]:
    """95 % t interval of a mean of independent values; infinite for a single one."""
    from scipy.stats import t

    if len(values) == 0:
        raise UsageError("the mean of no values has no interval; score at least one question")
    if len(values) == 1:
        return -np.inf, np.inf
    half = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


def share_interval(values: Scores) -> tuple[float, float]:
    """95 % interval of the mean of values within 0..1, such as each question's mean of schedules.

    Wilson's, for as many right-or-wrong answers as would have a mean of the same variance (an
    effective sample size; Korn & Graubard 1998): it stays within 0..1, and values that are all
    equal are not taken for certainty. Values of 0 and 1 give Wilson's interval itself.
    """
    if len(values) == 0:
        raise UsageError("the mean of no values has no interval; score at least one question")
    mean = float(values.mean())
    variance = float(values.var(ddof=1)) if len(values) > 1 else 0.0
    equal_to = max(1.0, mean * (1 - mean) / variance) if variance > 0 else 1.0
    return wilson(float(values.sum()) * equal_to, len(values) * equal_to)


def interval(metric: str, values: Scores) -> tuple[float, float]:
    """95 % interval of the average score: Wilson for shares of questions, t for the others."""
    return share_interval(values) if metric in SHARES else mean_interval(values)


def free_loss(wanted: float | None, metric: str, whole: float) -> float:
    """The loss that counts as none.

    Args:
        wanted: by the user (`--may-cost`); None: a point of a share of questions, or a hundredth
            of another score.
        metric: of the score.
        whole: the score of the whole model.
    """
    if wanted is not None:
        return wanted
    return FREE if metric in SHARES else FREE * abs(whole)


def _checked(log_likelihoods: LogLikelihoods) -> LogLikelihoods:
    values = np.asarray(log_likelihoods, dtype=np.float64)
    if np.isnan(values).any():
        raise UsageError(
            "the model's log-likelihoods hold NaN, which cannot be scored; "
            "load it with dtype float32"
        )
    return values
