"""MMLU's original layout: dev/, val/ and test/ with one headerless CSV file per subject."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from headspex.errors import UsageError
from headspex.tasks.csv_rows import csv_rows, delimiter_of
from headspex.tasks.layouts import Found, Layout
from headspex.tasks.questions import Question, answer_index
from headspex.tasks.text_file import read_utf8

FOLDERS = {"dev": "dev", "validation": "val", "test": "test"}  # split -> folder and file suffix
CHOICES = 4
FIELDS = CHOICES + 2
TESTS = "test/*_test.csv"


def holds(folder: Path) -> bool:
    """Whether a folder has this layout."""
    return any(folder.glob(TESTS))


def find(folder: Path) -> Found:
    """Subjects with a file test/<subject>_test.csv; dev and val files are optional."""
    known = sorted(path.name.removesuffix("_test.csv") for path in folder.glob(TESTS))
    found: Found = {}
    for subject in known:
        files = {part: folder / name / f"{subject}_{name}.csv" for part, name in FOLDERS.items()}
        found[subject] = {
            part: partial(read_csv, path, subject)
            for part, path in files.items()
            if part == "test" or path.exists()
        }
    return found


CSV = Layout("test/<subject>_test.csv", holds, find)


def read_csv(path: Path, subject: str) -> list[Question]:
    """Questions of one file: question, four choices, the answer's letter; all fields are text.

    Raises:
        UsageError: the file is absent, empty or not UTF-8, or a row does not have six fields or
            has an answer outside A-D.
    """
    text = read_utf8(path, newline="")
    questions = [_question(row, subject, text, place) for place, row in csv_rows(text, path, _fits)]
    if not questions:
        raise UsageError(f"{path} is empty; every subject needs at least one question")
    return questions


def _question(row: list[str], subject: str, text: str, place: str) -> Question:
    if len(row) != FIELDS:
        raise UsageError(
            f"{place}: a row has six fields (question, four choices, the answer's letter), "
            f"but this one has {len(row)}; {_way_to_six(row, text)}"
        )
    try:
        answer = answer_index(row[-1], CHOICES)
    except UsageError as error:
        way = "mend the row"
        if place.endswith("line 1"):
            way = "mend the row, or, if it is a header, delete it: MMLU's files have no header"
        raise UsageError(f"{place}: {error}; {way}") from error
    return Question(subject, row[0], tuple(row[1:-1]), answer)


def _way_to_six(row: list[str], text: str) -> str:
    if (name := delimiter_of(text, _fits)) is not None:
        return f"fields are separated by {name} here; save the file with commas"
    if len(row) == FIELDS + 1 and (not row[0].strip() or row[0].strip().isdecimal()):
        return "leave out the row numbers (pandas: to_csv(index=False, header=False))"
    return "quote fields that hold commas"


def _fits(row: Sequence[str]) -> bool:
    return len(row) == FIELDS
