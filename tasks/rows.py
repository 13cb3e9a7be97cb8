"""Check a row of any file of questions: the question, its choices and the answer."""

import json
from collections.abc import Mapping
from typing import Any

from headspex.errors import UsageError
from headspex.tasks.characters import check_whole
from headspex.tasks.questions import LETTERS, Question

SHOWN = 40  # characters of a value that an error quotes


def question_of(row: Mapping[str, Any], place: str, subject: str) -> Question:
    """A question from a row with `question`, `choices` and `answer`.

    Args:
        row: the answer may be the number of the right choice from 0, its letter, or its text.
        place: file and line, or row, for errors.
        subject: of the question.

    Raises:
        UsageError: null, NaN or a number instead of a text, fewer than 2 or more than 26 choices,
            or an answer that is not exactly one of them.
    """
    question = text_of(row["question"], "question", place)
    choices = _choices(row["choices"], place)
    return Question(subject, question, choices, answer_of(row["answer"], choices, place))


def text_of(value: Any, name: str, place: str) -> str:
    """The value, if it is a text with whole characters."""
    if not isinstance(value, str):
        raise UsageError(
            f"{place}: {name} must be a text, but it is {shown(value)}; write it in quotes, or "
            "leave the row out"
        )
    return check_whole(value, f"{place}: {name}")


def _choices(value: Any, place: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise UsageError(f"{place}: choices must be a list of texts, but it is {shown(value)}")
    if not 2 <= len(value) <= len(LETTERS):
        raise UsageError(f"{place}: there must be 2 to 26 choices, but there are {len(value)}")
    for number, choice in enumerate(value):
        if not isinstance(choice, str):
            raise UsageError(
                f"{place}: choices must be a list of texts, but choice {number} is "
                f"{shown(choice)}; quote numbers and words, or leave the row out"
            )
        check_whole(choice, f"{place}: choice {number}")
    return tuple(value)


def answer_of(value: Any, choices: tuple[str, ...], place: str) -> int:
    """The position of the right choice, from its number, its letter or its text.

    Raises:
        UsageError: not a choice, or a letter and a text that name different choices.
    """
    if isinstance(value, str):
        return _named(value, choices, place)
    # A table with a gap in the column holds whole numbers as floats.
    number = int(value) if isinstance(value, float) and value.is_integer() else value
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < len(choices):
        raise UsageError(
            f"{place}: the answer must be a letter, a number from 0 to {len(choices) - 1}, or the "
            f"text of one choice in quotes, but it is {shown(value)}"
        )
    return number


def _named(answer: str, choices: tuple[str, ...], place: str) -> int:
    letters = LETTERS[: len(choices)]
    named = {letters.index(answer)} if len(answer) == 1 and answer in letters else set()
    text = answer.strip()
    equal = {number for number, choice in enumerate(choices) if text and choice.strip() == text}
    # A letter stays a letter if several choices consist of it.
    named |= equal if not named or len(equal) == 1 else set()
    if not named:
        raise UsageError(
            f"{place}: the answer must be one of {', '.join(letters)}, a number from 0 to "
            f"{len(choices) - 1}, or the text of one choice, but it is {shown(answer)}"
        )
    if len(named) > 1:
        numbers = " and ".join(map(str, sorted(named)))
        raise UsageError(
            f"{place}: the answer must name one choice, but {shown(answer)} names {numbers}; write "
            "its number, counted from 0"
        )
    return named.pop()


def shown(value: Any) -> str:
    """A value for errors: short JSON, or "a list", "an object"."""
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, str):
        return _short(repr(value))
    if value is None or isinstance(value, bool | int | float):
        return _short(json.dumps(value))
    return _short(repr(value))


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
