"""A user's own multiple-choice questions: one JSON object per line."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headspex.errors import UsageError
from headspex.tasks.questions import LETTERS, Question, answer_index, near
from headspex.tasks.task import Task, checked

KEYS = {"question", "choices", "answer", "subject", "split"}
PARTS = ("test", "validation", "dev")


def jsonl(path: str | os.PathLike[str], subjects: Sequence[str] | None = None) -> Task:
    """A task from a JSONL file.

    Each line is `{"question": text, "choices": [2 to 26 texts], "answer": 0 or "A"}` with optional
    `"subject"` (text) and `"split"` ("test", the default; "validation"; "dev" for worked examples).

    Raises:
        UsageError: the file cannot be read, a line (named) breaks these rules, or a subject is
            unknown.
    """
    file = Path(path).expanduser()
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}; check the path") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} must be UTF-8 ({error}); save it as UTF-8") from error
    parts: dict[str, list[Question]] = {part: [] for part in PARTS}
    # Not splitlines(): JSON texts may hold U+2028 and other characters that it takes for line ends.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            part, question = _parse(line, f"{file}, line {number}")
            parts[part].append(question)
    known = list(dict.fromkeys(q.subject for part in parts.values() for q in part))
    for subject in subjects or ():
        if subject not in known:
            raise UsageError(
                f"no subject {subject!r} in {file}{near(subject, known)}; "
                "take one that stands in its lines, or leave --subject out"
            )
    chosen = set(subjects or known)
    kept = {part: [q for q in parts[part] if q.subject in chosen] for part in PARTS}
    return checked(file.stem, kept["dev"], kept["validation"], kept["test"])


def _parse(line: str, place: str) -> tuple[str, Question]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise UsageError(f"{place}: no JSON ({error}); write one object per line") from error
    if not isinstance(row, dict):
        raise UsageError(
            f"{place}: each line must be a JSON object, but it is {json.dumps(row)[:40]}"
        )
    if missing := sorted({"question", "choices", "answer"} - row.keys()):
        raise UsageError(f"{place}: {', '.join(missing)} missing; add it")
    if unknown := sorted(row.keys() - KEYS):
        raise UsageError(f"{place}: unknown key {unknown[0]!r}; known: {', '.join(sorted(KEYS))}")
    part, subject = row.get("split", "test"), row.get("subject", "")
    if part not in PARTS:
        raise UsageError(f"{place}: split must be one of {', '.join(PARTS)}, but it is {part!r}")
    if not isinstance(row["question"], str) or not isinstance(subject, str):
        raise UsageError(f"{place}: question and subject must be texts; quote them")
    choices = _choices(row["choices"], place)
    return part, Question(subject, row["question"], choices, _answer(row["answer"], choices, place))


def _choices(value: Any, place: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(choice, str) for choice in value):
        raise UsageError(f"{place}: choices must be a list of texts; quote numbers")
    if not 2 <= len(value) <= len(LETTERS):
        raise UsageError(f"{place}: there must be 2 to 26 choices, but there are {len(value)}")
    return tuple(value)


def _answer(value: Any, choices: tuple[str, ...], place: str) -> int:
    if isinstance(value, str):
        try:
            return answer_index(value, len(choices))
        except UsageError as error:
            raise UsageError(f"{place}: {error}; mend the line") from error
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < len(choices):
        raise UsageError(
            f"{place}: the answer must be a letter or a number from 0 to {len(choices) - 1}, "
            f"but it is {json.dumps(value)}"
        )
    return value
