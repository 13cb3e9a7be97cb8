"""Paired prompts: a clean prompt, a corrupted one if there is any, right and wrong next tokens."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, cast

import numpy as np
from jaxtyping import Bool
from scipy.special import logsumexp

from headspex.errors import UsageError, argument
from headspex.tasks.prompts import EncodedQuestion, Prompt, as_prompt, tokens_of, written
from headspex.tasks.questions import Question
from headspex.tasks.task import Task, checked
from headspex.tasks.task_types import Prompting, Scores, TaskType, Values, WorkedExamples

Chosen = Bool[np.ndarray, "rows width"]
Token = str | int  # a text must be a single token after the prompt, such as " Mary"


@dataclass(frozen=True)
class Pair(Question):
    """A prompt whose next token is scored.

    Attributes:
        clean: text or token ids.
        corrupted: as many tokens as `clean`, for resample ablation, or None.
        answers: right next tokens.
        wrong: wrong next tokens, none of them right.
        place: file and line, or the task's name and a number, for errors.
    """

    clean: Prompt = ""
    corrupted: Prompt | None = None
    answers: tuple[Token, ...] = ()
    wrong: tuple[Token, ...] = ()
    place: str = field(default="", compare=False)

    @classmethod
    def of(
        cls,
        clean: str | Sequence[int],
        answers: Sequence[Token],
        wrong: Sequence[Token],
        *,
        corrupted: str | Sequence[int] | None = None,
        place: str = "the pair",
    ) -> Self:
        """A pair, with what it is identified by.

        Raises:
            UsageError: no right or no wrong token, one that is both, or a prompt that is neither
                a text nor token ids.
        """
        for name, tokens in (("answers", answers), ("wrong", wrong)):
            if not tokens:
                raise UsageError(f"{place}: {name} must hold one token or more, but it is empty")
        if both := set(answers) & set(wrong):
            raise UsageError(
                f"{place}: a token is right or wrong, but {min(map(repr, both))} is in answers and "
                "in wrong; remove it from one"
            )
        given, other = as_prompt(clean), None if corrupted is None else as_prompt(corrupted)
        identity = [other, list(answers), list(wrong)]
        return cls(
            "", written(given), (json.dumps(identity),), clean=given, corrupted=other,
            answers=tuple(answers), wrong=tuple(wrong), place=place,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class EncodedPair(EncodedQuestion):
    """A pair as tokens: `n_right` right next tokens as continuations, then the wrong ones."""

    n_right: int


def pairs(name: str, search: Sequence[Pair], heldout: Sequence[Pair] = ()) -> Task:
    """A task of paired prompts.

    Args:
        name: of the task.
        search: pairs to search on; without held-out ones, half of them are held out.
        heldout: pairs on which results are judged.

    Raises:
        UsageError: no pairs.
    """
    return checked(name, (), (), search, heldout=heldout, kind=PAIRS)


def _encode(
    questions: Sequence[Question], tokenizer: Any, how: Prompting, worked: WorkedExamples
) -> list[EncodedQuestion]:
    if how.shots or how.chat:
        raise UsageError(
            f"paired prompts are complete, but {argument('shots')} or {argument('chat_template')} "
            "was given; leave it out"
        )
    return [encode_pair(cast("Pair", question), tokenizer, how.n_ctx) for question in questions]


def encode_pair(pair: Pair, tokenizer: Any, n_ctx: int | None = None) -> EncodedQuestion:
    """A pair as tokens; right tokens are the first continuations, wrong ones follow.

    Raises:
        UsageError: an empty or too long prompt, an answer that is not one token, a token that is
            both right and wrong, or a corrupted prompt with another number of tokens.
    """
    context = tokens_of(pair.clean, tokenizer)
    if not context or (n_ctx is not None and len(context) > n_ctx):
        most = "" if n_ctx is None else f" to {n_ctx}"
        raise UsageError(
            f"{pair.place}: clean must have 1{most} tokens, but has {len(context)}; change it"
        )
    corrupted = None if pair.corrupted is None else tokens_of(pair.corrupted, tokenizer)
    if corrupted is not None and len(corrupted) != len(context):
        raise UsageError(
            f"{pair.place}: corrupted must have as many tokens as clean, but clean has "
            f"{len(context)} and corrupted {len(corrupted)}; change one"
        )
    right, wrong = (
        tuple(next_token(pair, token, tokenizer) for token in some)
        for some in (pair.answers, pair.wrong)
    )
    if both := set(right) & set(wrong):
        raise UsageError(
            f"{pair.place}: a token is right or wrong, but {tokenizer.decode([min(both)])!r} is "
            "both; remove it from one"
        )
    right, wrong = tuple(dict.fromkeys(right)), tuple(dict.fromkeys(wrong))
    continuations = tuple((token,) for token in right + wrong)
    return EncodedPair(context, continuations, corrupted=corrupted, n_right=len(right))


def next_token(pair: Pair, token: Token, tokenizer: Any) -> int:
    """The id of a next token: what its text adds to the clean prompt.

    Raises:
        UsageError: the text adds no token or several, or a text follows token ids.
    """
    if not isinstance(token, str):
        return token
    if not isinstance(pair.clean, str):
        raise UsageError(
            f"{pair.place}: clean is a list of token ids, but {token!r} is a text; give its id"
        )
    before = tokens_of(pair.clean, tokenizer)
    after = tokens_of(pair.clean + token, tokenizer)
    if after[: len(before)] != before or len(after) != len(before) + 1:
        added = len(after) - len(before)
        what = f"adds {added}" if after[: len(before)] == before else "merges with the prompt"
        raise UsageError(
            f"{pair.place}: an answer must add one token to the prompt, but {token!r} {what}; "
            "choose another word, or check the space before it"
        )
    return after[-1]


def logit_diff(values: Values, right: Chosen, wrong: Chosen) -> Scores:
    """Mean logit of the right tokens minus that of the wrong ones.

    Log-probabilities differ from logits by a constant, which cancels.
    """
    found: Scores = _mean(values, right) - _mean(values, wrong)
    return found


def prob_diff(values: Values, right: Chosen, wrong: Chosen) -> Scores:
    """Total probability of the right tokens minus that of the wrong ones."""
    chances = np.exp(values)
    found: Scores = (chances * right).sum(axis=1) - (chances * wrong).sum(axis=1)
    return found


def logprob(values: Values, right: Chosen, wrong: Chosen) -> Scores:
    """Log-probability that the next token is one of the right ones, in nats."""
    found: Scores = logsumexp(np.where(right, values, -np.inf), axis=1)
    return found


def accuracy(values: Values, right: Chosen, wrong: Chosen) -> Scores:
    """1 where the likeliest right token is likelier than the likeliest wrong one, else 0."""
    best = [np.where(some, values, -np.inf).max(axis=1) for some in (right, wrong)]
    scores: Scores = (best[0] > best[1]).astype(np.float64)
    return scores


METRICS: dict[str, Callable[[Values, Chosen, Chosen], Scores]] = {
    "logit-diff": logit_diff,
    "prob-diff": prob_diff,
    "logprob": logprob,
    "accuracy": accuracy,
}


def _mean(values: Values, chosen: Chosen) -> Scores:
    found: Scores = np.where(chosen, values, 0.0).sum(axis=1) / chosen.sum(axis=1)
    return found


def _score(
    metric: str, values: Values, questions: Sequence[Question], encoded: Sequence[EncodedQuestion]
) -> Scores:
    widths = np.array([len(one.continuations) for one in encoded])
    n_right = np.array([cast("EncodedPair", one).n_right for one in encoded])
    column = np.arange(values.shape[1])
    right = column < n_right[:, None]
    return METRICS[metric](values, right, ~right & (column < widths[:, None]))


PAIRS = TaskType(
    metrics=tuple(METRICS), encode=_encode, score=_score, more="pairs", objective="match"
)
