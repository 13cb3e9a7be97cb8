"""A folder of tables for each subject, as the Hub keeps MMLU, or the tables of one alone."""

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

ALL = "all"  # the Hub's folder that holds every subject once more
Rows = Sequence[tuple[str, Mapping[str, Any]]]  # each with its place


def holds(folder: Path) -> bool:
    """Whether there are tables in folders of a folder."""
    return any(map(tables_of, _inside(folder)))


def holds_alone(place: Path) -> bool:
    """Whether there are tables in a folder itself, or it is a file of them."""
    return bool(tables_of(place))


def find(folder: Path) -> Found:
    """The subjects in folders of tables; `all` beside others is left out.

    Raises:
        UsageError: a table cannot be read, or a subject stands in two folders.
    """
    places = {place.name: place for place in _inside(folder) if tables_of(place)}
    everything = places.pop(ALL, None) if len(places) > 1 else None
    found: Found = {}
    home: dict[str, Path] = {}
    for place in places.values():
        for subject, parts in find_alone(place).items():
            if subject in home:
                raise UsageError(
                    f"a subject must stand in one folder, but {subject} is in {home[subject]} and "
                    f"in {place}; take one of them away, or name one as {argument('data_dir')}"
                )
            found[subject], home[subject] = parts, place
    if everything is not None:
        _say_what_is_left_out(everything, found)
    return found


def find_alone(place: Path) -> Found:
    """The subjects in one folder of tables, or in one file: rows name them, or the folder does.

    Raises:
        UsageError: a table cannot be read, or rows of `all` name no subject.
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
    """Questions of a table in memory; `place` names it in errors."""
    return _questions([(f"{place}, row {n}", row) for n, row in enumerate(rows)], subject)


def _inside(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(one for one in folder.iterdir() if one.is_dir() and one.name[0] != ".")


def _questions(rows: Rows, subject: str) -> list[Question]:
    questions = []
    for place, row in rows:
        check_keys(row.keys(), place, more=True)
        questions.append(question_of(row, place, subject))
    return questions


def _subject(row: Mapping[str, Any], place: str) -> str:
    """The subject that a row names, written as elsewhere; empty where it names none."""
    value = row.get("subject")
    return text_of("" if value is None else value, "subject", place).strip().replace(" ", "_")


def _say_what_is_left_out(folder: Path, beside: Found) -> None:
    rows = (one for table in tables_of(folder) for one in table.rows())
    named = {_subject(row, place) for place, row in rows} - {""}
    if more := sorted(named - set(beside)):
        others = f" and {len(more) - 3} more" if len(more) > 3 else ""
        print(
            f"headspex: {folder} is left out, as subjects have folders beside it; it also holds "
            f"{', '.join(more[:3])}{others}: name it as {argument('data_dir')} to take all that "
            "it holds",
            file=sys.stderr,
        )
