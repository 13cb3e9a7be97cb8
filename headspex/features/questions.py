"""A multiple-choice question whose text is cut into players."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from headspex.errors import UsageError
from headspex.features.scorers import AnswerScorer
from headspex.features.text import Prompt, cut
from headspex.support.seeds import stream
from headspex.tasks.prompts import body, header
from headspex.tasks.questions import LETTERS, Question

if TYPE_CHECKING:
    from headspex.hooks import LoadedModel

SWAPS = 16  # questions to take pieces from; with 8, one of 20 two-hop questions was misread


def explained_question(
    model: LoadedModel, question: Question, unit: str = "sentence"
) -> tuple[Prompt, AnswerScorer]:
    """The prompt without shots, and the log-odds of the right letter.

    Args:
        model: from `headspex.hooks.load_model`.
        question: with its choices.
        unit: of the players, see `question_prompt`.

    Raises:
        UsageError: an unknown unit, or a question without words.
    """
    letters = [f" {letter}" for letter in LETTERS[: len(question.choices)]]
    return question_prompt(question, unit), AnswerScorer(model, letters, question.answer)


def question_prompt(question: Question, unit: str = "sentence") -> Prompt:
    """A question's pieces as players.

    Header, choices and "Answer:" always stay. So does the last sentence, the question proper, if
    the text has several.

    Raises:
        UsageError: an unknown unit, or a question without words.
    """
    text = question.question.strip()
    tail = body(question)[len(text) :]
    sentences = cut(text, "sentence").pieces
    passage = "".join(sentences[:-1]) if len(sentences) > 1 else text
    return cut(passage, unit, before=header(question.subject), after=text[len(passage) :] + tail)


def swaps(
    question: Question,
    others: Sequence[Question],
    unit: str = "sentence",
    *,
    count: int = SWAPS,
    seed: int = 0,
) -> list[list[str]]:
    """Fills for `TextValue`: the pieces of other questions, place by place.

    The prompt keeps its form, and a replaced piece loses its content. Pieces come from questions of
    the same subject that have the same number of pieces and name none of the choices.

    Args:
        question: whose pieces are replaced.
        others: where the pieces come from; the question itself may be among them.
        unit: of the players, see `question_prompt`.
        count: number of questions to take pieces from, at most.
        seed: chooses them.

    Raises:
        UsageError: no question qualifies.
    """
    own = question_prompt(question, unit).pieces
    lent = [
        question_prompt(other, unit).pieces
        for other in others
        if other.subject == question.subject
        and not any(choice in other.question for choice in question.choices)
    ]
    lent = [pieces for pieces in lent if len(pieces) == len(own)]
    if not lent:
        raise UsageError(
            f"a swap needs another question of {question.subject} with {len(own)} pieces that "
            "names none of the choices, but the task has no such question; drop or replace the "
            "pieces"
        )
    chosen = stream(seed, "swaps").permutation(len(lent))[:count]
    return [
        [piece.rstrip() + blanks(mine) for piece, mine in zip(lent[i], own, strict=True)]
        for i in chosen.tolist()
    ]


def blanks(piece: str) -> str:
    """The white space behind a piece's last word."""
    return piece[len(piece.rstrip()) :]
