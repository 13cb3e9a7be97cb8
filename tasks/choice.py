"""Multiple choice: lettered choices, scored by the log-likelihood of their letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from headspex.tasks.prompts import EncodedQuestion, encode
from headspex.tasks.questions import Question
from headspex.tasks.scoring import METRICS
from headspex.tasks.task_types import Prompting, Scores, TaskType, Values, WorkedExamples


def _encode(
    questions: Sequence[Question], tokenizer: Any, how: Prompting, worked: WorkedExamples
) -> list[EncodedQuestion]:
    """Each question after the first dev questions of its subject."""
    subjects = dict.fromkeys(question.subject for question in questions)
    shots = {subject: tuple(worked(subject, how.shots)) for subject in subjects}
    return [
        encode(
            question,
            tokenizer,
            shots[question.subject],
            style=how.style,
            chat=how.chat,
            n_ctx=how.n_ctx,
        )
        for question in questions
    ]


def _score(
    metric: str, values: Values, questions: Sequence[Question], encoded: Sequence[EncodedQuestion]
) -> Scores:
    return METRICS[metric](values, np.array([question.answer for question in questions]))


CHOICE = TaskType(metrics=tuple(METRICS), encode=_encode, score=_score, guessing=True)
