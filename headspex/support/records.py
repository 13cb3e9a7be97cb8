"""Tables of frozen dataclasses as CSV files, one column per field."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, Generic, TypeVar, get_type_hints

from headspex.errors import UsageError
from headspex.support.files import read_csv, write_csv

Record = TypeVar("Record")


@dataclass(frozen=True)
class Table(Generic[Record]):
    """A CSV file of records.

    Attributes:
        record: a dataclass whose fields are text, int or float.
        again: how to recreate the file, for the error about a damaged one.
    """

    record: type[Record]
    again: str

    @property
    def header(self) -> list[str]:
        """The columns."""
        kind: Any = self.record
        return [field.name for field in fields(kind)]

    def write(self, path: Path, records: Iterable[Record]) -> None:
        """Write the file."""
        rows: Iterable[Any] = records
        write_csv(path, self.header, (astuple(row) for row in rows))

    def read(self, path: Path) -> list[Record]:
        """Read what `write` wrote.

        Raises:
            UsageError: the file is missing, has other columns, or holds an invalid number.
        """
        types = get_type_hints(self.record)
        rows = read_csv(path, self.header)
        try:
            return [self.record(**{name: types[name](row[name]) for name in types}) for row in rows]
        except (TypeError, ValueError) as error:
            raise UsageError(f"{path} is damaged: {error}; {self.again}") from error
