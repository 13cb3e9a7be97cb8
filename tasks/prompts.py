"""From a question to token ids, exactly as lm-eval 0.4.13 does for its `mmlu` tasks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from headspex.errors import UsageError
from headspex.tasks.questions import LETTERS, Question, Task


@dataclass(frozen=True)
class EncodedQuestion:
    """Token ids of a prompt and of each answer's continuation (" A", " B", ...).

    `context` begins with whatever the tokenizer puts first (a BOS token, usually).
    """

    context: tuple[int, ...]
    continuations: tuple[tuple[int, ...], ...]


def header(subject: str) -> str:
    """The line above all questions, followed by an empty one."""
    about = f" about {subject.replace('_', ' ')}" if subject else ""
    return f"The following are multiple choice questions (with answers){about}.\n\n"


def body(question: Question) -> str:
    """The question, its lettered choices and "Answer:"; only the question is stripped of blanks."""
    lines = [f"{LETTERS[i]}. {choice}" for i, choice in enumerate(question.choices)]
    return "\n".join([question.question.strip(), *lines, "Answer:"])


def prompt(question: Question, shots: Sequence[Question] = ()) -> str:
    """Header, worked examples joined by empty lines, and the question up to "Answer:"."""
    worked = "".join(f"{body(shot)} {LETTERS[shot.answer]}\n\n" for shot in shots)
    return header(question.subject) + worked + body(question)


def encode(question: Question, tokenizer: Any, shots: Sequence[Question] = ()) -> EncodedQuestion:
    """Tokenize one question: see `encode_texts` for the continuation rule."""
    return encode_texts(
        prompt(question, shots), [f" {letter}" for letter in LETTERS[: len(question.choices)]],
        tokenizer,
    )  # fmt: skip


def encode_task(
    task: Task, questions: Sequence[Question], tokenizer: Any, *, shots: int = 0
) -> list[EncodedQuestion]:
    """Tokenize questions of a task, each behind the first `shots` dev questions of its subject."""
    worked = {s: task.shots(s, shots) for s in dict.fromkeys(q.subject for q in questions)}
    return [encode(q, tokenizer, worked[q.subject]) for q in questions]


def encode_texts(context: str, continuations: Sequence[str], tokenizer: Any) -> EncodedQuestion:
    """Token ids by lm-eval's rule: a continuation is what `context + continuation` adds.

    The rule counts tokens, `tok(context + continuation)[len(tok(context)):]`; where a continuation
    takes several tokens, all of them are scored.

    Raises:
        UsageError: a continuation adds no token, so there is nothing to score.
    """
    # verbose=False: longer than the model's context is expected here, it is cut from the left.
    ids = tokenizer([context, *(context + c for c in continuations)], verbose=False)["input_ids"]
    start = len(ids[0])
    encoded = tuple(tuple(whole[start:]) for whole in ids[1:])
    if not all(encoded):
        empty = continuations[[bool(c) for c in encoded].index(False)]
        raise UsageError(
            f"the tokenizer merges the answer {empty!r} into the prompt, so it cannot be scored; "
            "use the model's own tokenizer"
        )
    return EncodedQuestion(tuple(ids[0]), encoded)
