"""A folder of tables for each subject, as the Hub keeps MMLU, or the tables of one alone."""

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from headspex.tasks.keys import check_keys
from headspex.tasks.layouts import Found, Layout
from headspex.tasks.questions import Question
from headspex.tasks.rows import question_of, text_of
from headspex.tasks.tables import Table, tables_of

ALL = "all"  # the Hub's folder that holds every subject once more
Rows = Sequence[tuple[str, Mapping[str, Any]]]  # each with its place


def holds(folder: Path) -> bool:
    """Whether there are tables in folders of a folder."""
    return any(map(tables_of, _inside(folder)))


def holds_alone(place: Path) -> bool:
    """Whether there are tables in a folder itself, or it is a file of them."""
    return bool(tables_of(place))


def find(folder: Path) -> Found:
    """Subjects that have a folder of tables; `all` beside them is none."""
    tables = {one.name: found for one in _inside(folder) if (found := tables_of(one))}
    if list(tables) == [ALL]:
        return find_alone(folder / ALL)
    if ALL in tables:
        _say_what_is_left_out(folder / ALL, tables.pop(ALL), tables)
    return {
        subject: {part: partial(_read, own, subject) for part, own in _by_part(found).items()}
        for subject, found in tables.items()
    }


def find_alone(place: Path) -> Found:
    """The subjects in one folder of tables, or in one file: rows name them, or the folder does."""
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


FOLDERS = Layout("<subject>/test.parquet or its shards, or <subject>/ by save_to_disk", holds, find)
ALONE = Layout("test.parquet, or what save_to_disk wrote", holds_alone, find_alone)


def questions_of(rows: Sequence[Mapping[str, Any]], subject: str, place: str) -> list[Question]:
    """Questions of a table in memory; `place` names it in errors."""
    return _questions([(f"{place}, row {n}", row) for n, row in enumerate(rows)], subject)


def _inside(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(one for one in folder.iterdir() if one.is_dir() and one.name[0] != ".")


def _read(tables: Sequence[Table], subject: str) -> list[Question]:
    return [one for table in tables for one in _questions(table.rows(), subject)]


def _questions(rows: Rows, subject: str) -> list[Question]:
    questions = []
    for place, row in rows:
        check_keys(row.keys(), place, more=True)
        questions.append(question_of(row, place, subject))
    return questions


def _by_part(tables: Sequence[Table]) -> dict[str, list[Table]]:
    return {part: [one for one in tables if one.part == part] for part in {t.part for t in tables}}


def _subject(row: Mapping[str, Any], place: str) -> str:
    """The subject that a row names, written as elsewhere; empty where it names none."""
    value = row.get("subject")
    return text_of("" if value is None else value, "subject", place).strip().replace(" ", "_")


def _say_what_is_left_out(folder: Path, tables: Sequence[Table], beside: Mapping[str, Any]) -> None:
    named = {_subject(row, place) for table in tables for place, row in table.rows()} - {""}
    if more := sorted(named - set(beside)):
        others = f" and {len(more) - 3} more" if len(more) > 3 else ""
        print(
            f"headspex: {folder} is left out, as subjects have folders beside it; it also holds "
            f"{', '.join(more[:3])}{others}: name it as --data-dir to take all that it holds",
            file=sys.stderr,
        )
