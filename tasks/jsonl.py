"""A user's own multiple-choice questions: one JSON object per line."""

import os
from collections.abc import Sequence
from pathlib import Path

from headspex.errors import UsageError, argument
from headspex.tasks.json_lines import json_lines
from headspex.tasks.keys import check_keys
from headspex.tasks.questions import Question, near
from headspex.tasks.row_kinds import QUESTIONS, check_kind
from headspex.tasks.rows import question_of, shown, text_of
from headspex.tasks.task import Task, checked
from headspex.tasks.text_file import bare_name, read_utf8

PARTS = ("test", "validation", "dev")
ENDINGS = (".jsonl", ".json", ".ndjson", ".jsonl.gz", ".json.gz", ".ndjson.gz")


def jsonl(path: str | os.PathLike[str], subjects: Sequence[str] | None = None) -> Task:
    """A task from a JSONL file.

    Each line is `{"question": text, "choices": [2 to 26 texts], "answer": 0 or "A"}` with optional
    `"subject"` (text) and `"split"` ("test", the default; "validation"; "dev" for worked examples).
    The answer may also be the text of one choice.

    Raises:
        UsageError: the file cannot be read, a line breaks these rules, or a subject is unknown.
    """
    file = Path(path).expanduser()
    return questions_of(read_utf8(file), file, subjects)


def questions_of(text: str, file: Path, subjects: Sequence[str] | None = None) -> Task:
    """The same from a file's text."""
    parts: dict[str, list[Question]] = {part: [] for part in PARTS}
    for place, row in json_lines(text, file):
        check_kind(row, place, QUESTIONS)
        check_keys(row.keys(), place)
        part = row.get("split", "test")
        if part not in PARTS:
            raise UsageError(
                f"{place}: split must be one of {', '.join(PARTS)}, but it is {shown(part)}"
            )
        subject = text_of(row.get("subject", ""), "subject", place)
        parts[part].append(question_of(row, place, subject))
    known = list(dict.fromkeys(q.subject for part in parts.values() for q in part))
    for subject in subjects or ():
        if subject not in known:
            raise UsageError(
                f"no subject {subject!r} in {file}{near(subject, known)}; "
                f"take one of the file's subjects, or leave {argument('subjects')} out"
            )
    chosen = set(subjects or known)
    kept = {part: [q for q in parts[part] if q.subject in chosen] for part in PARTS}
    return checked(bare_name(file), kept["dev"], kept["validation"], kept["test"])
