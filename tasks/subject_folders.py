"""Layouts with a folder of tables per subject, as MMLU on the Hub, or with one such folder."""

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from headspex.errors import UsageError, argument
from headspex.tasks.keys import check_keys
from headspex.tasks.layouts import Found, Layout
from headspex.tasks.questions import Question
from headspex.tasks.rows import question_of, text_of
from headspex.tasks.tables import tables_of

ALL = "all"  # the Hub's folder that repeats every subject
Rows = Sequence[tuple[str, Mapping[str, Any]]]  # each with its place


def holds(folder: Path) -> bool:
    """Whether a folder has subfolders of tables."""
    return any(map(tables_of, _inside(folder)))


def holds_alone(place: Path) -> bool:
    """Whether the place is a table, or a folder that holds tables."""
    return bool(tables_of(place))


def find(folder: Path) -> Found:
    """The subjects in subfolders of tables; `all` is ignored beside others.

    Raises:
        UsageError: a table cannot be read, or a subject is in two folders.
    """
    places = {place.name: place for place in _inside(folder) if tables_of(place)}
    everything = places.pop(ALL, None) if len(places) > 1 else None
    found: Found = {}
    home: dict[str, Path] = {}
    for place in places.values():
        for subject, parts in find_alone(place).items():
            if subject in home:
                raise UsageError(
                    f"a subject must be in one folder, but {subject} is in {home[subject]} and in "
                    f"{place}; remove one of them, or name one as {argument('data_dir')}"
                )
            found[subject], home[subject] = parts, place
    if everything is not None:
        _report_ignored(everything, found)
    return found


def find_alone(place: Path) -> Found:
    """The subjects in one folder of tables or one file, named by its rows or by the folder.

    Raises:
        UsageError: a table cannot be read, or a row of `all` has no subject.
    """
    folder = place.resolve() if place.is_dir() else place.resolve().parent
    named = "" if folder.name == ALL else folder.name
    found: dict[str, dict[str, list[tuple[str, Mapping[str, Any]]]]] = {}
    for table in tables_of(place):
        for where, row in table.rows():
            subject = _subject(row, where) or named or text_of(None, "subject", where)
            found.setdefault(subject, {}).setdefault(table.part, []).append((where, row))
    return {
        subject: {part: partial(_questions, rows, subject) for part, rows in parts.items()}
        for subject, parts in found.items()
    }


FOLDERS = Layout("<subject>/test*.parquet or <subject>/ of save_to_disk", holds, find)
ALONE = Layout("test*.parquet or files of save_to_disk", holds_alone, find_alone)


def questions_of(rows: Sequence[Mapping[str, Any]], subject: str, place: str) -> list[Question]:
    """Questions of a table in memory; `place` is for errors."""
    return _questions([(f"{place}, row {n}", row) for n, row in enumerate(rows)], subject)


def _inside(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")


def _questions(rows: Rows, subject: str) -> list[Question]:
    questions = []
    for place, row in rows:
        check_keys(row.keys(), place, more=True)
        questions.append(question_of(row, place, subject))
    return questions


def _subject(row: Mapping[str, Any], place: str) -> str:
    """A row's subject, with underscores; empty if the row has none."""
    value = row.get("subject")
    return text_of("" if value is None else value, "subject", place).strip().replace(" ", "_")


def _report_ignored(folder: Path, beside: Found) -> None:
    rows = (row for table in tables_of(folder) for row in table.rows())
    named = {_subject(row, place) for place, row in rows} - {""}
    if more := sorted(named - set(beside)):
        others = f" and {len(more) - 3} more" if len(more) > 3 else ""
        print(
            f"headspex: {folder} is ignored, as subjects have their own folders beside it; it also "
            f"holds {', '.join(more[:3])}{others}: name it as {argument('data_dir')} to use all of "
            "its subjects",
            file=sys.stderr,
        )
