"""Rows of a CSV text, each with its place, and why a text is not one."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from headspex.errors import UsageError

OTHER_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "bars"}

Fits = Callable[[Sequence[str]], bool]  # whether a first row is one of the layout


def csv_rows(text: str, file: Path, fits: Fits) -> Iterator[tuple[str, list[str]]]:
    """The rows with fields, each with its place: "file, line 3", where it begins.

    Args:
        text: read with `newline=""`.
        file: for errors.
        fits: tells files with another delimiter.

    Raises:
        UsageError: a quote is not closed, or a field is too long.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for row in reader:
            if row:
                yield f"{file}, line {line}", row
            line = reader.line_num + 1
    except csv.Error as error:
        raise UsageError(f"{file}, line {line}: {_why_no_row(text, error, fits)}") from error


def delimiter_of(text: str, fits: Fits) -> str | None:
    """The delimiter other than a comma with which the first row fits; None if none does."""
    for delimiter, name in OTHER_DELIMITERS.items():
        try:
            first = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
        except csv.Error:
            continue
        if fits(first):
            return name
    return None


def _why_no_row(text: str, error: csv.Error, fits: Fits) -> str:
    if (name := delimiter_of(text, fits)) is not None:
        return f"fields must be separated by commas, not {name}; save the file with commas"
    if "field limit" in str(error):
        return (
            f"a field must have at most {csv.field_size_limit():,} characters, but one that begins "
            "here has more; close its quote, or shorten it"
        )
    return f"this is not a row of a CSV file ({error}); close or double its quotes"
