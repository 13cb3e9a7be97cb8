"""Multiple choice: lettered choices, scored by the log-likelihood of their letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from headspex.tasks.kinds import Kind, Prompting, Scores, Values
from headspex.tasks.prompts import EncodedQuestion, encode
from headspex.tasks.questions import Question
from headspex.tasks.scoring import METRICS

if TYPE_CHECKING:
    from headspex.tasks.task import Task


def _encode(
    task: Task, questions: Sequence[Question], tokenizer: Any, how: Prompting
) -> list[EncodedQuestion]:
    """Each question behind the first dev questions of its subject."""
    subjects = dict.fromkeys(question.subject for question in questions)
    worked = {subject: task.shots(subject, how.shots) for subject in subjects}
    return [
        encode(
            question, tokenizer, worked[question.subject],
            style=how.style, chat=how.chat, n_ctx=how.n_ctx,
        )
        for question in questions
    ]  # fmt: skip


def _score(
    metric: str, values: Values, questions: Sequence[Question], encoded: Sequence[EncodedQuestion]
) -> Scores:
    return METRICS[metric](values, np.array([question.answer for question in questions]))


CHOICE = Kind(metrics=tuple(METRICS), encode=_encode, score=_score, guessing=True)
