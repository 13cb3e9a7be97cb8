"""What a task is: multiple-choice questions in subjects, and how they are split."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import ceil

import numpy as np

from headspex.errors import UsageError

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
HALF = Fraction(1, 2)
SPLITS = ("dev", "validation", "test", "search", "heldout")


@dataclass(frozen=True)
class Question:
    """One multiple-choice question.

    `subject` is written with underscores ("high_school_us_history") and may be empty; `answer` is
    the position of the right choice. `id` is the same wherever the question is read from.
    """

    subject: str
    question: str
    choices: tuple[str, ...]
    answer: int

    @cached_property
    def id(self) -> str:
        """The first 16 hex digits of a sha256 over subject, question and choices."""
        text = json.dumps([self.subject, self.question, list(self.choices)], ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True)
class Task:
    """Questions of one benchmark, in file order; `dev` holds the worked examples (shots)."""

    name: str
    test: tuple[Question, ...]
    validation: tuple[Question, ...] = ()
    dev: tuple[Question, ...] = ()

    @property
    def subjects(self) -> tuple[str, ...]:
        """Subjects in the order in which they first occur in the pool."""
        return tuple(dict.fromkeys(q.subject for q in self.pool))

    @cached_property
    def pool(self) -> tuple[Question, ...]:
        """Test, then validation questions, without repetitions and without the shots' questions.

        Two questions are the same when text (blanks at its ends aside) and choices agree, in
        whatever subject they stand: a repeated question must not be searched and held out.
        """
        seen = {_content(q) for q in self.dev}
        pool = []
        for question in (*self.test, *self.validation):
            if _content(question) not in seen:
                seen.add(_content(question))
                pool.append(question)
        return tuple(pool)

    @property
    def chance(self) -> float:
        """Expected accuracy of guessing on the pool, 0.25 for four choices."""
        return sum(1 / len(q.choices) for q in self.pool) / len(self.pool)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over all questions and answers, in order."""
        rows = [[q.id, q.answer] for part in (self.dev, self.validation, self.test) for q in part]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()

    def shots(self, subject: str, count: int) -> tuple[Question, ...]:
        """The first `count` worked examples of a subject.

        Raises:
            UsageError: the subject has fewer than `count`.
        """
        if count < 0:
            raise UsageError(f"the number of shots must be 0 or more, but got {count}")
        shots = tuple(q for q in self.dev if q.subject == subject) if count else ()
        if len(shots) < count:
            raise UsageError(
                f"--shots {count} needs as many dev questions in every subject, but "
                f"{self.name} has {len(shots)} for {subject!r}; ask for fewer shots"
            )
        return shots[:count]

    def questions(self, part: str) -> tuple[Question, ...]:
        """The questions of one split: dev, validation, test, search or heldout."""
        if part not in SPLITS:
            raise UsageError(f"no split {part!r}; known: {', '.join(SPLITS)}")
        if part in ("search", "heldout"):
            return split(self)[part == "heldout"]
        chosen: tuple[Question, ...] = getattr(self, part)
        if not chosen:
            raise UsageError(f"task {self.name} has no {part} questions; take another split")
        return chosen


def split(task: Task, share: Fraction = HALF) -> tuple[tuple[Question, ...], tuple[Question, ...]]:
    """Cut the pool into `(search, heldout)`, each in file order.

    Within each subject the questions are ranked by their id (a hash): the first ones, a `share`
    of them rounded up, are searched. So it depends on nothing but the questions.

    Raises:
        UsageError: the task is too small to hold questions out.
    """
    search: set[str] = set()
    for subject in task.subjects:
        ranked = sorted(q.id for q in task.pool if q.subject == subject)
        search.update(ranked[: ceil(len(ranked) * share)])
    heldout = tuple(q for q in task.pool if q.id not in search)
    if not heldout:
        raise UsageError(
            f"task {task.name} has {len(task.pool)} different questions that are no shots, too few "
            "to hold some out; give it at least two in one subject"
        )
    return tuple(q for q in task.pool if q.id in search), heldout


def in_proportion(
    questions: tuple[Question, ...], count: int, *, rng: np.random.Generator
) -> list[Question]:
    """`count` of the questions in the given order, each subject by its share.

    Largest remainders decide where a share is not a whole number.
    """
    if count >= len(questions):
        return list(questions)
    subjects = list(dict.fromkeys(question.subject for question in questions))
    own = {s: [i for i, q in enumerate(questions) if q.subject == s] for s in subjects}
    share = np.array([len(own[s]) * count / len(questions) for s in subjects])
    quota = np.floor(share).astype(int)
    quota[np.argsort(quota - share, kind="stable")[: count - quota.sum()]] += 1
    chosen = {
        own[s][i]
        for s, n in zip(subjects, quota, strict=True)
        for i in rng.permutation(len(own[s]))[:n]
    }
    return [question for i, question in enumerate(questions) if i in chosen]


def answer_index(letter: str, n_choices: int) -> int:
    """The position that an answer letter names.

    Raises:
        UsageError: not one of the first `n_choices` capital letters.
    """
    allowed = LETTERS[:n_choices]
    if len(letter) != 1 or letter not in allowed:
        raise UsageError(f"the answer must be one of {', '.join(allowed)}, but it is {letter!r}")
    return allowed.index(letter)


def checked(name: str, dev: Sequence[Question], validation: Sequence[Question],
            test: Sequence[Question]) -> Task:  # fmt: skip
    """A task that has at least one question to ask."""
    task = Task(name, test=tuple(test), validation=tuple(validation), dev=tuple(dev))
    if not task.pool:
        raise UsageError(
            f"task {name} holds no question that is not a shot; give it test questions"
        )
    return task


def near(name: str, known: Iterable[str]) -> str:
    """' (did you mean a or b?)', or nothing where no known name is close."""
    import difflib

    close = difflib.get_close_matches(name.lower(), list(known), n=3, cutoff=0.5)
    return f" (did you mean {' or '.join(close)}?)" if close else ""


def _content(question: Question) -> tuple[str, tuple[str, ...]]:
    return question.question.strip(), question.choices
