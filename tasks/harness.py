"""Tasks of lm-eval, with its prompts and metrics, under headspex's masks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from headspex.errors import UsageError, argument
from headspex.support.notice import first_line
from headspex.tasks.chat import in_chat
from headspex.tasks.harness_loading import documents, loaded
from headspex.tasks.prompts import EncodedQuestion, encode_pairs
from headspex.tasks.questions import Question, near
from headspex.tasks.task import Task, checked
from headspex.tasks.task_types import Prompting, Scores, TaskType, Values, WorkedExamples

SEED = 1234  # lm-eval's own, for drawing worked examples
TYPES = ("multiple_choice", "loglikelihood")


def lm_eval_task(
    name: str,
    subjects: Sequence[str] | None = None,
    *,
    include: str | os.PathLike[str] | None = None,
) -> Task:
    """A task, group or tag of lm-eval, `arc_easy` or `mmlu`; its subjects are lm-eval's tasks.

    A number of shots above 0 replaces the task's own.

    Args:
        name: one name, as in lm-eval's `--tasks`.
        subjects: some of the tasks of a group; all when None.
        include: a folder with more of lm-eval's YAML files.

    Raises:
        UsageError: lm-eval is not installed or has no such task, the task's data are missing, or
            the task does not compare likelihoods.
    """
    tasks = loaded(name, include)
    for subject in subjects or ():
        if subject not in tasks:
            raise UsageError(f"lm-eval's {name} has no task {subject!r}{near(subject, tasks)}")
    tasks = {key: task for key, task in tasks.items() if not subjects or key in subjects}
    for key, task in tasks.items():
        if task.OUTPUT_TYPE not in TYPES:
            raise UsageError(
                f"headspex takes tasks of lm-eval that compare likelihoods ({', '.join(TYPES)}), "
                f"but {key} is of the type {task.OUTPUT_TYPE}; take another task, or score it with "
                "`headspex lm-eval --model headspex`"
            )
    return _Harness(tasks).task(f"lm-eval:{name}")


class _Harness:
    """The lm-eval tasks of one headspex task, and the document of each question."""

    def __init__(self, tasks: Mapping[str, Any]) -> None:
        self._tasks = tasks
        self._docs = {key: documents(key, task) for key, task in tasks.items()}
        self._questions = [
            _question(key, tasks[key], number, doc)
            for key, docs in self._docs.items()
            for number, doc in enumerate(docs)
        ]
        numbers = [n for docs in self._docs.values() for n in range(len(docs))]
        # By identity: lm-eval draws different shots for a document that occurs twice.
        self._number = {id(q): n for q, n in zip(self._questions, numbers, strict=True)}
        self._requests: dict[tuple[str, Prompting], dict[int, list[tuple[str, str]]]] = {}

    def task(self, name: str) -> Task:
        """The task of all questions."""
        by_task = {key: list(task.aggregation()) for key, task in self._tasks.items()}
        first, *others = by_task.values()
        metrics = [metric for metric in first if all(metric in other for other in others)]
        if not metrics:
            listed = "; ".join(f"{key} has {', '.join(own)}" for key, own in by_task.items())
            raise UsageError(
                f"the tasks of {name} must share a metric, but {listed}; take some with "
                f"{argument('subjects')}"
            )
        metrics.sort(key=lambda metric: metric != "acc")  # the first is the task's own metric
        choices = all(task.OUTPUT_TYPE == "multiple_choice" for task in self._tasks.values())
        kind = TaskType(
            metrics=tuple(metrics),
            encode=self._encode,
            score=self._score,
            guessing=choices,
            summary=self._summary,
        )
        return checked(name, (), (), self._questions, kind=kind)

    def _encode(
        self, questions: Sequence[Question], tokenizer: Any, how: Prompting, worked: WorkedExamples
    ) -> list[EncodedQuestion]:
        found = []
        for question in questions:
            pairs = self._of_subject(question.subject, tokenizer, how)[self._number[id(question)]]
            encoded = encode_pairs(pairs, tokenizer)
            if self._needs_greedy(question.subject):
                encoded = EncodedQuestion(
                    encoded.context, encoded.continuations, encoded.scored, greedy=True
                )
            found.append(encoded)
        return found

    def _of_subject(
        self, subject: str, tokenizer: Any, how: Prompting
    ) -> dict[int, list[tuple[str, str]]]:
        """Document -> pairs of context and continuation."""
        key = (subject, how)
        if key not in self._requests:
            self._requests[key] = _requests(self._tasks[subject], tokenizer, how)
        return self._requests[key]

    def _needs_greedy(self, subject: str) -> bool:
        task = self._tasks[subject]
        return (
            task.OUTPUT_TYPE == "loglikelihood"
            or "exact_match" in task.aggregation()
            or callable(task.config.process_results)
        )

    def _results(self, question: Question, values: np.ndarray) -> dict[str, Any]:
        """lm-eval's metrics of one document, from its log-likelihoods."""
        task = self._tasks[question.subject]
        found = values[~np.isneginf(values)].tolist()
        if self._needs_greedy(question.subject):
            half = len(found) // 2
            results = [
                (one, missed == 0) for one, missed in zip(found[:half], found[half:], strict=True)
            ]
        else:
            results = [(one, False) for one in found]
        if task.OUTPUT_TYPE == "loglikelihood":
            results = results[:1]
        doc = self._docs[question.subject][self._number[id(question)]]
        return dict(task.process_results(doc, results))

    def _score(
        self,
        metric: str,
        values: Values,
        questions: Sequence[Question],
        encoded: Sequence[EncodedQuestion],
    ) -> Scores:
        scores = np.zeros(len(questions))
        for row, question in enumerate(questions):
            score = self._results(question, values[row])[metric]
            if not isinstance(score, int | float | np.number):
                raise UsageError(
                    f"lm-eval's {metric} gives no number for a single question of "
                    f"{question.subject}; take another {argument('metric')}"
                )
            scores[row] = score
        return scores

    def _summary(self, questions: Sequence[Question], values: Values) -> dict[str, Any]:
        """lm-eval's task -> metric -> aggregate."""
        found: dict[str, dict[str, list[Any]]] = {}
        for question, row in zip(questions, values, strict=True):
            own = found.setdefault(question.subject, {})
            for metric, value in self._results(question, row).items():
                own.setdefault(metric, []).append(value)
        return {
            subject: {
                metric: float(self._tasks[subject].aggregation()[metric](own))
                for metric, own in metrics.items()
            }
            for subject, metrics in found.items()
        }


def _question(subject: str, task: Any, number: int, doc: Any) -> Question:
    place = f"lm-eval's {subject}, document {number}"
    try:
        asked, target = task.doc_to_text(doc), task.doc_to_target(doc)
        of_choice = task.OUTPUT_TYPE == "multiple_choice"
        choices = tuple(map(str, task.doc_to_choice(doc))) if of_choice else (str(target),)
    except Exception as error:  # the task's templates and code may raise anything
        raise UsageError(
            f"{place} gives no prompt ({first_line(error)}); mend the task's file or its data"
        ) from error
    if not of_choice:
        _check_answers(choices, place)
        return Question(subject, str(asked), choices)
    # With several contexts and one continuation, doc_to_text gives the number of the right choice.
    text, right = (target, asked) if task.multiple_input else (asked, target)
    _check_answers((str(text),) if task.multiple_input else choices, place)
    own = callable(task.config.process_results)  # may need no right choice
    if len(choices) < 2 or (isinstance(right, int) and not own and not 0 <= right < len(choices)):
        raise UsageError(
            f"{place} must have two choices or more, one of them right, but has {len(choices)} "
            f"and number {right} is right; mend or leave out the document, or take another task"
        )
    return Question(subject, str(text), choices, right if isinstance(right, int) else 0)


def _check_answers(answers: Sequence[str], place: str) -> None:
    """Refuse empty and blank answers, which have no likelihood."""
    for number, answer in enumerate(answers):
        if not answer.strip():
            raise UsageError(
                f"{place}: choice {number} is {answer!r}, but an empty or blank choice cannot be "
                "scored; mend or leave out the document, or take another task"
            )


def _requests(task: Any, tokenizer: Any, how: Prompting) -> dict[int, list[tuple[str, str]]]:
    if how.shots and task.get_config("num_fewshot") != 0:
        task.set_config(key="num_fewshot", value=how.shots)
    elif task.get_config("num_fewshot") is None:
        task.set_config(key="num_fewshot", value=0)
    task.set_fewshot_seed(seed=SEED)
    task.build_all_requests(
        apply_chat_template=how.chat,
        chat_template=partial(in_chat, tokenizer=tokenizer) if how.chat else None,
    )
    found: dict[int, list[tuple[str, str]]] = {}
    for instance in task.instances:
        found.setdefault(instance.doc_id, []).append(instance.args)
    return found
