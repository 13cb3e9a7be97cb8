"""The researcher's own game: a metric of the logits on prompts of one's own."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from headspex.errors import UsageError, argument
from headspex.tasks.prompts import EncodedQuestion
from headspex.tasks.questions import Question
from headspex.tasks.task import Task, checked
from headspex.tasks.task_types import Prompting, Scores, TaskType, Values, WorkedExamples

Metric = Callable[[Any, "Batch"], Any]  # (logits [batch, pos, vocab], batch) -> floats [batch]


@dataclass(frozen=True, eq=False)
class Batch:
    """What a metric is told of the prompts whose logits it gets; all of them are equally long.

    Attributes:
        index: int [batch], positions in the prompts as they were given.
        tokens: int [batch, pos]; there is no padding, so `logits[:, -1]` follows the last token.
        corrupted: int [batch, pos], tokens of the corrupted prompts; None where there are none.
        tokenizer: the model's.
    """

    index: Any
    tokens: Any
    corrupted: Any
    tokenizer: Any


@dataclass(frozen=True, kw_only=True)
class EncodedPrompt(EncodedQuestion):
    """A prompt as tokens, with the metric that reads its logits.

    It counts as a question with one answer of one token wherever only its length matters.
    """

    index: int
    # Their addresses differ from process to process.
    metric: Metric = field(repr=False)
    called: str
    tokenizer: Any = field(repr=False)
    corrupted: tuple[int, ...] | None = None


def game(
    metric: Metric,
    prompts: Sequence[str | Sequence[int]],
    *,
    corrupted: Sequence[str | Sequence[int]] | None = None,
    name: str | None = None,
    source: str | None = None,
) -> Task:
    """A task of one's own.

        def logit_difference(logits, batch):  # [batch, pos, vocab] -> [batch]
            last, rows = logits[:, -1], range(len(batch.index))
            return last[rows, right[batch.index]] - last[rows, wrong[batch.index]]

        headspex.Study(bridge, logit_difference, prompts=prompts)

    Args:
        metric: `metric(logits, batch) -> [batch]`, more is better; `batch` is a `Batch`. It must be
            a function of its arguments alone.
        prompts: texts, or token ids (a tensor's rows, say).
        corrupted: as many prompts, each with as many tokens as its clean one: where the outputs of
            ablated heads come from under resample ablation.
        name: of the task; the metric's, unless it is given.
        source: what identifies the metric beside its name; its source code, unless it is given.

    Raises:
        UsageError: no prompts, or not as many corrupted ones.
    """
    if not callable(metric):
        raise UsageError(
            f"a metric is a function (logits, batch) -> [batch], but got {type(metric).__name__}"
        )
    called = str(name or getattr(metric, "__name__", type(metric).__name__))
    clean = [_prompt(one) for one in prompts]
    other: list[Prompt | None] = [None] * len(clean)
    if corrupted is not None:
        other = [_prompt(one) for one in corrupted]
    if not clean:
        raise UsageError(f"{called} has no prompts; give it at least 20")
    if len(other) != len(clean):
        raise UsageError(
            f"every prompt needs its corrupted one, but {called} has {len(clean)} prompts and "
            f"{len(other)} corrupted ones"
        )
    pairs = list(zip(clean, other, strict=True))
    questions = [
        Question("", _shown(one), () if two is None else (_shown(two),)) for one, two in pairs
    ]
    number = {id(question): index for index, question in enumerate(questions)}

    def encode(
        asked: Sequence[Question], tokenizer: Any, how: Prompting, worked: WorkedExamples
    ) -> list[EncodedQuestion]:
        if how.shots or how.chat:
            raise UsageError(
                f"{called} brings its prompts, but {argument('shots')} or "
                f"{argument('chat_template')} was given; leave it out"
            )
        return [
            _encoded(number[id(question)], *pairs[number[id(question)]], tokenizer, how.n_ctx)
            for question in asked
        ]

    def _encoded(
        index: int, one: Prompt, two: Prompt | None, tokenizer: Any, n_ctx: int | None
    ) -> EncodedPrompt:
        tokens = _tokens(one, tokenizer)
        against = None if two is None else _tokens(two, tokenizer)
        if not tokens or (n_ctx is not None and len(tokens) > n_ctx):
            raise UsageError(
                f"a prompt must have 1 to {n_ctx} tokens, but prompt {index} of {called} has "
                f"{len(tokens)}; change it"
            )
        if against is not None and len(against) != len(tokens):
            raise UsageError(
                f"a corrupted prompt must have as many tokens as its clean one, but prompt {index} "
                f"of {called} has {len(tokens)} and its corrupted one {len(against)}; change one"
            )
        return EncodedPrompt(
            tokens, ((0,),), index=index, metric=metric, called=called, tokenizer=tokenizer,
            corrupted=against,
        )  # fmt: skip

    told = hashlib.sha256(json.dumps([called, source or _source(metric)]).encode()).hexdigest()
    kind = TaskType(
        metrics=("value",), encode=encode, score=_score, fingerprint=told, more="prompts"
    )
    return checked(called, (), (), questions, kind=kind)


Prompt = str | tuple[int, ...]


def _prompt(given: Any) -> Prompt:
    if isinstance(given, str):
        return given
    ids = given.tolist() if hasattr(given, "tolist") else given
    if not isinstance(ids, list | tuple) or not all(isinstance(token, int) for token in ids):
        raise UsageError(f"a prompt is a text or a list of token ids, but got {str(given)[:40]!r}")
    return tuple(ids)


def _shown(one: Prompt) -> str:
    return one if isinstance(one, str) else json.dumps(one)


def _tokens(one: Prompt, tokenizer: Any) -> tuple[int, ...]:
    if not isinstance(one, str):
        return one
    return tuple(cast("list[int]", tokenizer(one, verbose=False)["input_ids"]))


def _score(
    metric: str, values: Values, questions: Sequence[Question], encoded: Sequence[EncodedQuestion]
) -> Scores:
    return np.asarray(values[:, 0], dtype=np.float64)


def _source(metric: Metric) -> str:
    try:
        return inspect.getsource(metric)
    except (OSError, TypeError):
        # Typed at a prompt, or an object: its name is all that is known.
        return getattr(metric, "__qualname__", type(metric).__qualname__)
