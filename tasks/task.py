"""Tasks: questions in subjects, how they are split, and how their answers are scored."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from math import ceil
from typing import Any

import numpy as np

from headspex.errors import UsageError, argument
from headspex.tasks.characters import check_whole
from headspex.tasks.choice import CHOICE
from headspex.tasks.prompts import EncodedQuestion
from headspex.tasks.questions import Question
from headspex.tasks.scoring import DISTANCE, KL, SMOOTH, kl_scores
from headspex.tasks.task_types import Prompting, Scores, TaskType, Values

HALF = Fraction(1, 2)
_STEP = 1e-3  # nats; differences are wrong where two log-likelihoods are nearer than this
SPLITS = ("dev", "validation", "test", "search", "heldout")


@dataclass(frozen=True)
class Task:
    """Questions of one benchmark, in file order; `dev` holds the worked examples (shots).

    Results are judged on `heldout`; where it is empty, on a part of the other questions.
    `kind` defines how questions are encoded and scored, by default as multiple choice.

    Raises:
        UsageError: a question holds half of a character.
    """

    name: str
    test: tuple[Question, ...]
    validation: tuple[Question, ...] = ()
    dev: tuple[Question, ...] = ()
    heldout: tuple[Question, ...] = ()
    kind: TaskType = CHOICE

    def __post_init__(self) -> None:
        """Refuse texts that cannot be tokenized, before a model is loaded."""
        for part in ("test", "validation", "dev", "heldout"):
            for number, question in enumerate(getattr(self, part)):
                for text in (question.subject, question.question, *question.choices):
                    check_whole(text, f"{self.name}, {part} question {number}")

    @property
    def subjects(self) -> tuple[str, ...]:
        """Subjects in the order in which they first occur in the pool."""
        return tuple(dict.fromkeys(q.subject for q in self.pool))

    @cached_property
    def pool(self) -> tuple[Question, ...]:
        """Test, validation and held-out questions, without repeated ones and those of `dev`.

        Questions are equal if their texts (without surrounding white space) and choices are, also
        across subjects: a repeated question must not be both searched and held out.
        """
        seen = {_content(q) for q in self.dev}
        pool = []
        for question in (*self.test, *self.validation, *self.heldout):
            if _content(question) not in seen:
                seen.add(_content(question))
                pool.append(question)
        return tuple(pool)

    @property
    def metric(self) -> str:
        """The task's own metric, "accuracy" for multiple choice."""
        return self.kind.metrics[0]

    @property
    def metrics(self) -> tuple[str, ...]:
        """All metrics of the task."""
        return (*self.kind.metrics, KL) if self.kind.closeness == KL else self.kind.metrics

    @property
    def chance(self) -> float | None:
        """Expected score of guessing on the pool, 0.25 for four choices; None without choices."""
        if not self.kind.guessing:
            return None
        return sum(1 / len(q.choices) for q in self.pool) / len(self.pool)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over all questions and answers, in order."""
        rows = [[q.id, q.answer] for part in self._parts for q in part]
        text = json.dumps(rows) + self.kind.fingerprint
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def _parts(self) -> tuple[tuple[Question, ...], ...]:
        parts = self.dev, self.validation, self.test
        return (*parts, self.heldout) if self.heldout else parts

    def encode(
        self,
        questions: Sequence[Question],
        tokenizer: Any,
        prompting: Prompting = Prompting(),  # noqa: B008 - it is frozen
    ) -> list[EncodedQuestion]:
        """Questions of this task as tokens."""
        encoded = self.kind.encode(questions, tokenizer, prompting, self.shots)
        return [replace(one, kl=prompting.kl) for one in encoded] if prompting.kl else list(encoded)

    def scores(
        self,
        metric: str,
        values: Values,
        questions: Sequence[Question],
        encoded: Sequence[EncodedQuestion],
    ) -> Scores:
        """The score of each row; higher is better.

        Args:
            metric: one of `metrics`.
            values: measured, one row per question: log-likelihoods, usually.
            questions, encoded: of each row.
        """
        if metric == KL:
            return kl_scores(values, encoded)
        measured = np.array([one.kl for one in encoded], dtype=bool)
        if measured.any():  # what is left are the answers alone
            values, last = values.copy(), np.array([one.width - 1 for one in encoded])
            values[measured, last[measured]] = -np.inf
        return self.kind.score(metric, values, questions, encoded)

    def derivatives(
        self,
        metric: str,
        values: Values,
        questions: Sequence[Question],
        encoded: Sequence[EncodedQuestion],
    ) -> Values:
        """d score / d value of each row, by differences: scores are linear almost everywhere."""
        found = np.zeros_like(values)
        scores = self.scores(metric, values, questions, encoded)
        for column in range(values.shape[1]):
            moved = values.copy()
            moved[:, column] += _STEP
            found[:, column] = self.scores(metric, moved, questions, encoded) - scores
        return found / _STEP

    def has_gradient(self, metric: str) -> bool:
        """Whether a metric is continuous in the model's log-probabilities or logits.

        What a metric of one's own does with logits shows when its gradient is taken.
        """
        return metric in SMOOTH or self.kind.closeness == DISTANCE

    def check_metric(self, metric: str) -> None:
        """Refuse a metric that the task does not have.

        Raises:
            UsageError: the metric is unknown.
        """
        if metric not in self.metrics:
            raise UsageError(
                f"{argument('metric')} must be one of {', '.join(self.metrics)} for task "
                f"{self.name}, but is {metric!r}"
            )

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
                f"{argument('shots')} {count} needs {count} dev questions in every subject, but "
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

    Within each subject questions are sorted by their id (a hash), and the first `share` of them,
    rounded up, are searched. So the split depends only on the questions.

    Raises:
        UsageError: the task is too small to hold questions out.
    """
    if task.heldout:
        apart = {q.id for q in task.heldout}
        parts = [tuple(q for q in task.pool if (q.id in apart) == late) for late in (False, True)]
        if all(parts):
            return parts[0], parts[1]
    search: set[str] = set()
    for subject in task.subjects:
        ranked = sorted(q.id for q in task.pool if q.subject == subject)
        search.update(ranked[: ceil(len(ranked) * share)])
    heldout = tuple(q for q in task.pool if q.id not in search)
    if not heldout:
        raise UsageError(
            f"task {task.name} has {len(task.pool)} different questions beside the shots, too few "
            "to hold some out; give it at least two in one subject"
        )
    return tuple(q for q in task.pool if q.id in search), heldout


def in_proportion(
    questions: tuple[Question, ...], count: int, *, rng: np.random.Generator
) -> list[Question]:
    """`count` random questions in the given order, in proportion to the sizes of subjects.

    Fractions are rounded by largest remainders.
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


def encode_task(
    task: Task,
    questions: Sequence[Question],
    tokenizer: Any,
    *,
    shots: int = 0,
    style: str = "lm-eval",
    chat: bool = False,
    n_ctx: int | None = None,
    kl: bool = False,
) -> list[EncodedQuestion]:
    """Questions of a task as tokens; see `Prompting` for the options."""
    return task.encode(questions, tokenizer, Prompting(shots, style, chat, n_ctx, kl))


def checked(
    name: str,
    dev: Sequence[Question],
    validation: Sequence[Question],
    test: Sequence[Question],
    *,
    heldout: Sequence[Question] = (),
    kind: TaskType = CHOICE,
) -> Task:
    """A task, refused if its pool is empty."""
    task = Task(name, tuple(test), tuple(validation), tuple(dev), tuple(heldout), kind)
    if not task.pool:
        raise UsageError(f"task {name} has no questions beside the shots; give it test questions")
    return task


def _content(question: Question) -> tuple[str, tuple[str, ...]]:
    return question.question.strip(), question.choices
