"""What tells one kind of task from another: how its questions are put, and how they are scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from headspex.tasks.prompts import EncodedQuestion
from headspex.tasks.questions import Question

Values = Float[np.ndarray, "rows width"]
Scores = Float[np.ndarray, " rows"]
# (subject, count) -> so many worked examples of the subject.
WorkedExamples = Callable[[str, int], Sequence[Question]]


@dataclass(frozen=True)
class Prompting:
    """How questions are put to a model.

    Attributes:
        shots: worked examples before each question.
        style: of multiple choice; see `headspex.tasks.prompts.STYLES`.
        chat: whether the tokenizer's chat template goes around the prompt.
        n_ctx: longest input in tokens, for what must fit; None: no limit.
    """

    shots: int = 0
    style: str = "lm-eval"
    chat: bool = False
    n_ctx: int | None = None


@dataclass(frozen=True)
class TaskType:
    """A kind of task.

    Attributes:
        metrics: names; the first is the task's own, in which it is told.
        encode: (questions, tokenizer, prompting, worked examples) -> what the model is asked.
        score: (metric, values, questions, encoded) -> score of each row, more is better; values are
            what the model gave, one row per question.
        guessing: whether guessing among the choices has a score.
        sloped: whether a score is the mean of so many log-probabilities that its slopes tell how
            questions differ.
        fingerprint: sha256 of what decides scores beside questions and answers, such as a file.
        more: what gives a task of this kind more questions.
        summary: (questions, values) -> the results as the field reports them, for `eval`; None: the
            mean score is all there is.
    """

    metrics: tuple[str, ...]
    encode: Callable[
        [Sequence[Question], Any, Prompting, WorkedExamples], Sequence[EncodedQuestion]
    ]
    score: Callable[[str, Values, Sequence[Question], Sequence[EncodedQuestion]], Scores]
    guessing: bool = False
    sloped: bool = False
    fingerprint: str = ""
    more: str = "questions or subjects"
    summary: Callable[[Sequence[Question], Values], dict[str, Any]] | None = None
