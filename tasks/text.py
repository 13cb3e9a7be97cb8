"""The loss of a text file: its passages are the questions, scored by mean log-probability."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from headspex.errors import UsageError, argument
from headspex.tasks.prompts import EncodedQuestion, encode_texts
from headspex.tasks.questions import Question
from headspex.tasks.task import Task, checked
from headspex.tasks.task_types import Prompting, Scores, TaskType, Values, WorkedExamples
from headspex.tasks.text_file import read_utf8

PASSAGE = 1_000  # characters, about 250 tokens of English


def text(path: str | os.PathLike[str], passage: int = PASSAGE) -> Task:
    """A task from a text file in UTF-8, cut between words into passages.

    A passage's score is the mean log-probability of its tokens in nats, after a BOS token: minus
    the loss. Tokens beyond the model's context are cut off, with a notice.

    Args:
        path: of the file.
        passage: characters of each passage, about; a longer word stays whole.

    Raises:
        UsageError: the file cannot be read, or is blank.
    """
    file = Path(path).expanduser()
    content = read_utf8(file)
    if not content.strip():
        raise UsageError(f"{file} holds no text; name a file with at least two passages")
    found = [Question("", piece) for piece in passages(content, passage)]
    return checked(f"text:{file.stem}", (), (), found, kind=TEXT)


def passages(content: str, most: int = PASSAGE) -> Iterator[str]:
    """Pieces of at most so many characters, except for longer words; joined they are the text."""
    piece = ""
    for word in re.findall(r"\s*\S+|\s+$", content):
        if piece and len(piece) + len(word) > most:
            yield piece
            piece = ""
        piece += word
    yield piece


def _encode(
    questions: Sequence[Question], tokenizer: Any, how: Prompting, worked: WorkedExamples
) -> list[EncodedQuestion]:
    if how.shots or how.chat:
        raise UsageError(
            f"a text is scored as it stands, but {argument('shots')} or "
            f"{argument('chat_template')} was given; leave it out"
        )
    encoded = [encode_texts("", [question.question], tokenizer) for question in questions]
    lengths = [len(one.continuations[0]) for one in encoded]
    most = how.n_ctx or max(lengths)
    if left_out := sum(max(0, length - most) for length in lengths):
        print(
            f"headspex: {left_out:,} of {sum(lengths):,} tokens are cut off: their passages are "
            f"longer than the model's {most} tokens",
            file=sys.stderr,
        )
    # In half precision a rounded sum of hundreds of tokens would be off by whole nats.
    return [
        replace(one, continuations=(one.continuations[0][:most],), rounded=False) for one in encoded
    ]


def _score(
    metric: str, values: Values, questions: Sequence[Question], encoded: Sequence[EncodedQuestion]
) -> Scores:
    lengths = np.array([len(one.continuations[0]) for one in encoded])
    return np.asarray(values[:, 0] / lengths, dtype=np.float64)


TEXT = TaskType(
    metrics=("logprob",),
    encode=_encode,
    score=_score,
    sloped=True,
    more=f"text, of which {PASSAGE:,} characters make a question",
)
