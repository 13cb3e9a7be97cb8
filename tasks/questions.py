"""A question of a task, answer letters, and near matches of names."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from headspex.errors import UsageError

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Question:
    """One question of a task.

    `subject` is written with underscores ("high_school_us_history") and may be empty. `answer` is
    the position of the right choice; kinds of task other than multiple choice have no choices.
    `id` does not depend on where the question was read from.
    """

    subject: str
    question: str
    choices: tuple[str, ...] = ()
    answer: int = 0

    @cached_property
    def id(self) -> str:
        """The first 16 hex digits of a sha256 over subject, question and choices."""
        text = json.dumps([self.subject, self.question, list(self.choices)], ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def answer_index(letter: str, n_choices: int) -> int:
    """The position of an answer letter.

    Raises:
        UsageError: not one of the first `n_choices` capital letters.
    """
    allowed = LETTERS[:n_choices]
    if len(letter) != 1 or letter not in allowed:
        raise UsageError(f"the answer must be one of {', '.join(allowed)}, but it is {letter!r}")
    return allowed.index(letter)


def near(name: str, known: Iterable[str]) -> str:
    """' (did you mean a or b?)', or nothing where no known name is close."""
    import difflib

    close = difflib.get_close_matches(name.lower(), list(known), n=3, cutoff=0.5)
    return f" (did you mean {' or '.join(close)}?)" if close else ""
