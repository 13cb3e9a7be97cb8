"""Kinds of tasks: how their questions are encoded and scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from headspex.tasks.prompts import EncodedQuestion
from headspex.tasks.questions import Question
from headspex.tasks.scoring import KL

Values = Float[np.ndarray, "rows width"]
Scores = Float[np.ndarray, " rows"]
# (subject, count) -> `count` worked examples of the subject.
WorkedExamples = Callable[[str, int], Sequence[Question]]


@dataclass(frozen=True)
class Prompting:
    """How questions become prompts.

    Attributes:
        shots: worked examples before each question.
        style: of multiple choice; see `headspex.tasks.prompts.STYLES`.
        chat: whether to put the tokenizer's chat template around the prompt.
        n_ctx: longest input in tokens; None: no limit.
        kl: whether the KL divergence from the whole model is measured, too.
    """

    shots: int = 0
    style: str = "lm-eval"
    chat: bool = False
    n_ctx: int | None = None
    kl: bool = False


@dataclass(frozen=True)
class TaskType:
    """A kind of task.

    Attributes:
        metrics: names; the first is the task's own metric.
        encode: (questions, tokenizer, prompting, worked examples) -> encoded questions.
        score: (metric, values, questions, encoded) -> score of each row, higher is better; values
            are measured, one row per question.
        closeness: how the distance of a masked model to the whole one is measured: by the KL
            divergence of next tokens, or by the difference of the score.
        objective: the default, "best" or "match"; see `headspex.tasks.objective`.
        guessing: whether there are choices to guess among.
        styled: whether prompts are written in the style of `Prompting`.
        sloped: whether a score averages enough log-probabilities that its gradient shows how
            questions differ.
        fingerprint: sha256 of anything else that scores depend on, such as a file.
        more: what adds questions to a task of this kind, for errors.
        summary: (questions, values) -> lm-eval's results, for `eval`; None: only the mean score.
    """

    metrics: tuple[str, ...]
    encode: Callable[
        [Sequence[Question], Any, Prompting, WorkedExamples], Sequence[EncodedQuestion]
    ]
    score: Callable[[str, Values, Sequence[Question], Sequence[EncodedQuestion]], Scores]
    closeness: str = KL
    objective: str = "best"
    guessing: bool = False
    styled: bool = False
    sloped: bool = False
    fingerprint: str = ""
    more: str = "questions or subjects"
    summary: Callable[[Sequence[Question], Values], dict[str, Any]] | None = None

    @property
    def paired(self) -> bool:
        """Whether its questions are pairs of prompts."""
        return self.objective == "match"
