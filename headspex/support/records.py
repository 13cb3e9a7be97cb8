"""Rows of a frozen dataclass as a CSV file, one column per field."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from headspex.errors import UsageError
from headspex.support.files import read_csv, write_csv

Record = TypeVar("Record")


def write_records(path: Path, kind: type[Record], records: Iterable[Record]) -> None:
    """Write records of a dataclass whose fields are text, int or float."""
    rows: Iterable[Any] = records
    write_csv(path, _header(kind), (astuple(row) for row in rows))


def read_records(path: Path, kind: type[Record], *, again: str) -> list[Record]:
    """Read what `write_records` wrote.

    Raises:
        UsageError: the file is missing, has other columns, or holds what is no number; `again`
            says how to make it anew.
    """
    types = get_type_hints(kind)
    rows = read_csv(path, _header(kind))
    try:
        return [kind(**{name: types[name](row[name]) for name in types}) for row in rows]
    except (TypeError, ValueError) as error:
        raise UsageError(f"{path} is damaged: {error}; {again}") from error


def _header(kind: Any) -> list[str]:
    return [field.name for field in fields(kind)]
