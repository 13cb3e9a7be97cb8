"""The notebook display of a value: one line and a small table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

TOP = 10  # rows that are shown


def html_table(
    line: str,
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    left_out: int = 0,
    noun: str = "rows",
) -> str:
    """The HTML of a line and a table under it.

    Args:
        line: set in code type.
        header: names of the columns.
        rows: cells as text.
        left_out: rows that are not shown, counted in a last line.
        noun: for the rows, in that line.
    """
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    more = f"<p>and {left_out:,} more {noun}</p>" if left_out > 0 else ""
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if body else ""
    return f"<div><p><code>{escape(line)}</code></p>{table}{more}</div>"
