"""Training rows: questions of one subject under its header, each followed by its letter.

A row has the format of evaluated prompts, so its first question is zero-shot and the later ones
follow shots. A batch also holds the positions that the scaffold needs.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from jaxtyping import Int

from headspex.tiny.questions import HEADER, LETTERS, SUBJECTS, Question, questions
from headspex.tiny.tokenizer import SILENT, vocabulary

NOWHERE = -1
_WORD = re.compile(r"[^\W_]+")
_IDS = {word: index for index, word in enumerate(vocabulary())}

# A question ends in: last word, A, w, B, x, C, y, D, z, Answer, letter. Counted from the letter:
LAST_WORD, FIRST_CHOICE, ANSWER = -10, -8, -1


@dataclass(frozen=True)
class Batch:
    """Rows of tokens, padded with 0 on the right, and one entry per question in them."""

    tokens: Int[np.ndarray, "rows length"]
    row: Int[np.ndarray, " questions"]
    letter_at: Int[np.ndarray, " questions"]  # position of the answer's letter
    answer: Int[np.ndarray, " questions"]  # 0..3
    subject: Int[np.ndarray, " questions"]  # position in SUBJECTS
    first_hop: Int[np.ndarray, " questions"]  # position of the fact to look up, or NOWHERE
    second_hop: Int[np.ndarray, " questions"]  # likewise, for two-hop questions


def words_of(text: str) -> list[str]:
    """The words of a text that become tokens."""
    return [word for word in _WORD.findall(text) if word not in SILENT]


def header_ids(subject: str) -> list[int]:
    """Tokens of the line above the questions."""
    return [_IDS[HEADER], *(_IDS[word] for word in subject.split("_"))]


def question_ids(question: Question) -> list[int]:
    """Tokens of a question, its four lettered choices, "Answer" and the right letter."""
    ids = [_IDS[word] for word in words_of(question.text)]
    for letter, choice in zip(LETTERS, question.choices, strict=True):
        ids += (_IDS[letter], _IDS[choice])
    return [*ids, _IDS["Answer"], _IDS[question.letter]]


def hops(question: Question) -> tuple[int, int]:
    """Positions in the question's words of the first and second fact to look up.

    A statement is two adjacent words, so its position is that of the second word, where both are
    known.
    """
    words = words_of(question.text)
    if question.subject == "stored_facts":
        return NOWHERE, NOWHERE
    found = words.index(question.right)
    if question.subject == "two_hop_reasoning":
        return words.index(words[-1]) + 1, found  # the asked person's leader; the leader's city
    # The fact is an age, one word after the name.
    return (found + 1 if question.subject == "number_comparison" else found), NOWHERE


class Stream:
    """An endless stream of batches of questions from the training side.

    Args:
        weights: relative frequency of each subject, in the order of `SUBJECTS`.
        seed: of all draws.
    """

    def __init__(self, *, weights: Sequence[float], seed: int) -> None:
        self._rng = Random(seed)
        self._weights = list(weights)
        self._questions: dict[str, Iterator[Question]] = {
            subject: questions(subject, self._rng, test_side=False) for subject in SUBJECTS
        }

    def batch(self, rows: int, length: int) -> Batch:
        """Draw `rows` rows; each holds as many whole questions as fit in `length` tokens."""
        tokens = np.zeros((rows, length), np.int64)
        entries: list[tuple[int, ...]] = []
        subjects = list(SUBJECTS)
        for row in range(rows):
            number = self._rng.choices(range(len(subjects)), self._weights)[0]
            ids = header_ids(subjects[number])
            while True:
                question = next(self._questions[subjects[number]])
                block = question_ids(question)
                if len(ids) + len(block) > length:
                    break
                at = [p if p == NOWHERE else p + len(ids) for p in hops(question)]
                ids += block
                entries.append((row, len(ids) - 1, question.answer, number, *at))
            tokens[row, : len(ids)] = ids
        return Batch(tokens, *np.array(entries).T)
