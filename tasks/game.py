"""Custom tasks: a user's metric of the logits on the user's prompts."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from headspex.errors import UsageError, argument
from headspex.tasks.prompts import EncodedQuestion, Prompt, as_prompt, tokens_of, written
from headspex.tasks.questions import Question
from headspex.tasks.scoring import DISTANCE
from headspex.tasks.task import Task, checked
from headspex.tasks.task_types import Prompting, Scores, TaskType, Values, WorkedExamples

POSITIONS = ("all", "last")
Metric = Callable[[Any, "Batch"], Any]  # (logits [batch, pos, vocab], batch) -> floats [batch]


@dataclass(frozen=True, eq=False)
class Batch:
    """The prompts whose logits a metric gets; all have the same length.

    Attributes:
        index: int [batch], positions in the list of prompts.
        tokens: int [batch, pos]; there is no padding, so `logits[:, -1]` follows the last token.
        corrupted: int [batch, pos], tokens of the corrupted prompts, or None.
        tokenizer: the model's.
    """

    index: Any
    tokens: Any
    corrupted: Any
    tokenizer: Any


@dataclass(frozen=True, kw_only=True)
class EncodedPrompt(EncodedQuestion):
    """A prompt as tokens, with its metric.

    Where only its length matters, it is a question with one answer of one token. `last_only`: the
    metric gets the logits of the last position only.
    """

    index: int
    # Not in the repr, which would hold addresses.
    metric: Metric = field(repr=False)
    called: str
    tokenizer: Any = field(repr=False)
    last_only: bool = False


def are_prompts(encoded: Sequence[EncodedQuestion]) -> bool:
    """Whether questions are prompts with a metric of their own."""
    return bool(encoded) and isinstance(encoded[0], EncodedPrompt)


def game(
    metric: Metric,
    prompts: Sequence[str | Sequence[int]],
    *,
    corrupted: Sequence[str | Sequence[int]] | None = None,
    positions: str = "all",
    name: str | None = None,
    source: str | None = None,
) -> Task:
    """A custom task.

        def logit_difference(logits, batch):  # [batch, pos, vocab] -> [batch]
            last, rows = logits[:, -1], range(len(batch.index))
            return last[rows, right[batch.index]] - last[rows, wrong[batch.index]]

        headspex.Study(bridge, logit_difference, prompts=prompts)

    Args:
        metric: `metric(logits, batch) -> [batch]`, higher is better; `batch` is a `Batch`. It must
            depend on nothing but its arguments.
        prompts: texts or token ids, such as the rows of a tensor.
        corrupted: one prompt per clean prompt, with the same number of tokens: resample ablation
            takes the outputs of ablated heads from it.
        positions: "all", or "last": the logits are [batch, 1, vocab], of the last position, which
            is faster to compute.
        name: of the task; by default the metric's.
        source: identifies the metric beside its name; by default its source code.

    Raises:
        UsageError: no prompts, another number of corrupted ones, or other positions.
    """
    if positions not in POSITIONS:
        raise UsageError(
            f"positions must be {' or '.join(map(repr, POSITIONS))}, but is {positions!r}"
        )
    if not callable(metric):
        raise UsageError(
            f"a metric is a function (logits, batch) -> [batch], but got {type(metric).__name__}"
        )
    called = str(name or getattr(metric, "__name__", type(metric).__name__))
    clean = [as_prompt(one) for one in prompts]
    other: list[Prompt | None] = [None] * len(clean)
    if corrupted is not None:
        other = [as_prompt(one) for one in corrupted]
    if not clean:
        raise UsageError(f"{called} has no prompts; give it at least 20")
    if len(other) != len(clean):
        raise UsageError(
            f"every prompt needs its corrupted one, but {called} has {len(clean)} prompts and "
            f"{len(other)} corrupted ones"
        )
    pairs = list(zip(clean, other, strict=True))
    questions = [
        Question("", written(one), () if two is None else (written(two),)) for one, two in pairs
    ]
    number = {id(question): index for index, question in enumerate(questions)}

    def encode(
        asked: Sequence[Question], tokenizer: Any, how: Prompting, worked: WorkedExamples
    ) -> list[EncodedQuestion]:
        if how.shots or how.chat:
            raise UsageError(
                f"{called} has complete prompts, but {argument('shots')} or "
                f"{argument('chat_template')} was given; leave it out"
            )
        return [
            _encoded(number[id(question)], *pairs[number[id(question)]], tokenizer, how.n_ctx)
            for question in asked
        ]

    def _encoded(
        index: int, one: Prompt, two: Prompt | None, tokenizer: Any, n_ctx: int | None
    ) -> EncodedPrompt:
        tokens = tokens_of(one, tokenizer)
        against = None if two is None else tokens_of(two, tokenizer)
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
            tokens,
            ((0,),),
            index=index,
            metric=metric,
            called=called,
            tokenizer=tokenizer,
            corrupted=against,
            last_only=positions == "last",
        )

    digest = hashlib.sha256(json.dumps([called, source or _source(metric)]).encode()).hexdigest()
    kind = TaskType(
        metrics=("value",),
        encode=encode,
        score=_score,
        fingerprint=digest,
        more="prompts",
        closeness=DISTANCE,
    )
    return checked(called, (), (), questions, kind=kind)


def _score(
    metric: str, values: Values, questions: Sequence[Question], encoded: Sequence[EncodedQuestion]
) -> Scores:
    return np.asarray(values[:, 0], dtype=np.float64)


def _source(metric: Metric) -> str:
    try:
        return inspect.getsource(metric)
    except (OSError, TypeError):
        # An object, or a function typed at a prompt: only its name is known.
        return getattr(metric, "__qualname__", type(metric).__qualname__)
