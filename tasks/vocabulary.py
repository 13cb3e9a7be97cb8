"""Refusal of tokens without an embedding, before anything is scored."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from headspex.errors import UsageError
from headspex.tasks.game import EncodedPrompt
from headspex.tasks.prompts import EncodedQuestion
from headspex.tasks.questions import Question

SHOWN = 60  # characters of a question that an error quotes


def check_questions(
    questions: Sequence[Question],
    encoded: Sequence[EncodedQuestion],
    tokenizer: Any,
    vocabulary: int | None,
) -> None:
    """Refuse questions with a token that the model has no embedding for.

    Such tokens come from a tokenizer that was extended, for chat or padding, without the model.

    Args:
        questions: for errors.
        encoded: the questions as tokens.
        tokenizer: that encoded them.
        vocabulary: rows of the model's embedding; None: unknown.

    Raises:
        UsageError: there is such a token.
    """
    for question, one in zip(questions, encoded, strict=True):
        for tokens in _rows(one):
            what = f"question {question.question[:SHOWN]!r}"
            check_tokens(tokens, tokenizer, vocabulary, what)


def check_tokens(tokens: Iterable[int], tokenizer: Any, vocabulary: int | None, what: str) -> None:
    """Refuse a token that the model has no embedding for; `what` is the text, for the error."""
    tokens = tuple(tokens)
    if vocabulary is None or not tokens or (min(tokens) >= 0 and max(tokens) < vocabulary):
        return
    number = next(token for token in tokens if not 0 <= token < vocabulary)
    raise UsageError(
        f"a prompt must hold tokens that the model knows, 0 to {vocabulary - 1}, but {what} holds "
        f"{_named(number, tokenizer)}{number} and the model's embedding has {vocabulary} tokens; "
        "take the tokenizer that the model was trained with, or leave the token out"
    )


def vocabulary_of(plain: Any) -> int | None:
    """Rows of a model's embedding; None if the model has no `get_input_embeddings`."""
    embedding = getattr(plain, "get_input_embeddings", None)
    return None if embedding is None else int(embedding().weight.shape[0])


def _rows(one: EncodedQuestion) -> Iterator[Iterable[int]]:
    yield one.context
    yield one.corrupted or ()
    if not isinstance(one, EncodedPrompt):  # its answer is only a placeholder
        yield chain.from_iterable(one.continuations)


def _named(number: int, tokenizer: Any) -> str:
    """The token's own text, where the tokenizer has one: "the token '<tool>', "."""
    try:
        token = tokenizer.convert_ids_to_tokens(number) if number >= 0 else None
    except (AttributeError, IndexError, OverflowError, KeyError, TypeError):
        token = None  # not a token, or the tokenizer cannot say
    return "the token " if token is None else f"the token {token!r} with the id "
