"""MMLU's original layout: dev/, val/ and test/ with one headerless CSV file per subject."""

import csv
from collections.abc import Sequence
from pathlib import Path

from headspex.errors import UsageError
from headspex.tasks.questions import Question, answer_index, near
from headspex.tasks.task import Task, checked

FOLDERS = {"dev": "dev", "validation": "val", "test": "test"}  # split -> folder and file suffix
CHOICES = 4


def subjects_in(folder: Path) -> list[str]:
    """Subjects that have a file test/<subject>_test.csv, sorted."""
    return sorted(path.name.removesuffix("_test.csv") for path in folder.glob("test/*_test.csv"))


def read_layout(name: str, folder: Path, subjects: Sequence[str] | None) -> Task:
    """A task from a folder in the original layout; dev and val files may be absent."""
    known = subjects_in(folder)
    for subject in subjects or ():
        if subject not in known:
            raise UsageError(
                f"no subject {subject!r} in {folder}{near(subject, known)}; "
                f"it holds {len(known)} subjects, as test/<subject>_test.csv"
            )
    parts: dict[str, list[Question]] = {part: [] for part in FOLDERS}
    for subject in dict.fromkeys(subjects or known):
        for part, short in FOLDERS.items():
            path = folder / short / f"{subject}_{short}.csv"
            if part == "test" or path.exists():
                parts[part] += read_csv(path, subject)
    return checked(name, parts["dev"], parts["validation"], parts["test"])


def read_csv(path: Path, subject: str) -> list[Question]:
    """Questions of one file: question, four choices, the answer's letter; all fields are text.

    Raises:
        UsageError: the file is absent, empty or no UTF-8, or a row (named by file and line) has
            another number of fields or an answer that is none of A-D.
    """
    questions: list[Question] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            line = 1
            for row in reader:
                if row:
                    questions.append(_question(row, subject, f"{path}, line {line}"))
                line = reader.line_num + 1
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; check the folder") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} is no CSV file in UTF-8 ({error}); check the file") from error
    if not questions:
        raise UsageError(f"{path} is empty; every subject needs at least one question")
    return questions


def _question(row: list[str], subject: str, place: str) -> Question:
    if len(row) != CHOICES + 2:
        raise UsageError(
            f"{place}: a row has six fields (question, four choices, the answer's letter), "
            f"but this one has {len(row)}; quote fields that hold commas"
        )
    try:
        answer = answer_index(row[-1], CHOICES)
    except UsageError as error:
        raise UsageError(f"{place}: {error}; mend the row") from error
    return Question(subject, row[0], tuple(row[1:-1]), answer)
