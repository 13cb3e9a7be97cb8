from typing import Any

import pytest

from headspex.errors import UsageError
from headspex.tasks import Question, Task, encode_task, encode_texts, prompt

ASKED = Question("us_history", "  Who?\n", ("me ", " you", "None", ""), 2)
SHOT = Question("us_history", "Where? ", ("here", "there", "up", "down"), 1)


def test_prompt_is_the_one_of_lm_eval_to_the_letter() -> None:
    assert prompt(ASKED, [SHOT]) == (
        "The following are multiple choice questions (with answers) about us history.\n\n"
        "Where?\nA. here\nB. there\nC. up\nD. down\nAnswer: B\n\n"
        "Who?\nA. me \nB.  you\nC. None\nD. \nAnswer:"
    )


def test_prompt_without_subject_names_none() -> None:
    text = prompt(Question("", "Q", ("x", "y"), 0))
    assert text == (
        "The following are multiple choice questions (with answers).\n\nQ\nA. x\nB. y\nAnswer:"
    )


class Characters:
    """One token per character behind a BOS of 1, but ": A" is a single token, 2."""

    def __call__(self, texts: list[str], **options: Any) -> dict[str, list[list[int]]]:
        return {"input_ids": [[1, *(ord(c) for c in text)] for text in texts]}


class Merging(Characters):
    def __call__(self, texts: list[str], **options: Any) -> dict[str, list[list[int]]]:
        return {"input_ids": [[1, *(ord(c) for c in text.replace(": A", ":"))] for text in texts]}


def test_continuation_is_what_the_answer_adds_to_the_prompt() -> None:
    encoded = encode_texts("Q:", [" A", " B"], Characters())
    assert encoded.context == (1, ord("Q"), ord(":"))
    assert encoded.continuations == ((32, 65), (32, 66))


def test_an_answer_that_adds_no_token_is_refused() -> None:
    with pytest.raises(UsageError, match=r"merges the answer ' A'"):
        encode_texts("Q:", [" A", " B"], Merging())


def test_each_question_follows_the_first_shots_of_its_subject() -> None:
    other = Question("law", "Why?", ("a", "b"), 0)
    task = Task("t", test=(ASKED, other), dev=(SHOT, Question("law", "How?", ("c", "d"), 1)))
    encoded = encode_task(task, task.test, Characters(), shots=1)
    text = "".join(map(chr, encoded[1].context[1:]))
    assert "about law." in text
    assert "How?\nA. c\nB. d\nAnswer: B\n\nWhy?" in text
    assert len(encoded[1].continuations) == 2
