"""A multiple-choice question whose text is cut into players."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headspex.features.scorers import AnswerScorer
from headspex.features.text import Prompt, cut
from headspex.tasks.prompts import body, header
from headspex.tasks.questions import LETTERS, Question

if TYPE_CHECKING:
    from headspex.hooks import LoadedModel


def explained_question(
    model: LoadedModel, question: Question, unit: str = "sentence"
) -> tuple[Prompt, AnswerScorer]:
    """The prompt without shots, and the log-odds of the right letter.

    The question's pieces are players; header, choices and "Answer:" always stay, and so does the
    last sentence, the question proper, where the text has several.

    Raises:
        UsageError: an unknown unit, or a question without words.
    """
    text = question.question.strip()
    tail = body(question)[len(text) :]
    sentences = cut(text, "sentence").pieces
    passage = "".join(sentences[:-1]) if len(sentences) > 1 else text
    prompt = cut(passage, unit, before=header(question.subject), after=text[len(passage) :] + tail)
    letters = [f" {letter}" for letter in LETTERS[: len(question.choices)]]
    return prompt, AnswerScorer(model, letters, question.answer)
