"""Multiple choice, scored by the log-likelihood of the choices' letters or texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from headspex.tasks.prompts import EncodedCloze, EncodedQuestion, encode
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
    answers = np.array([question.answer for question in questions])
    return METRICS[metric](_per_character(values, encoded), answers)


def _per_character(values: Values, encoded: Sequence[EncodedQuestion]) -> Values:
    """Values of texts divided by their characters; those of letters as they are.

    So all metrics of texts are per character: accuracy is lm-eval's `acc_norm` (the first of equal
    texts wins), margin is above 0 where it is 1, and logprob is in nats per character. Undivided,
    the shortest texts would win.
    """
    if not any(isinstance(one, EncodedCloze) for one in encoded):
        return values
    lengths = np.ones_like(values)
    for row, one in enumerate(encoded):
        if isinstance(one, EncodedCloze):
            lengths[row, : len(one.lengths)] = one.lengths
    divided: Values = values / lengths
    return divided


CHOICE = TaskType(metrics=tuple(METRICS), encode=_encode, score=_score, guessing=True, styled=True)
