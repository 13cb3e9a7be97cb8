"""HTML tables: sorted by a click on a header, with a search box and arrow keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Cell:
    """A number as displayed, and its value for sorting."""

    text: str
    value: float


@dataclass(frozen=True)
class Row:
    """A row.

    Attributes:
        cells: text sorts as text, numbers as numbers.
        heads: labels of its heads, such as "L3H1 L3H4".
        gone: its position in the schedule, from 1; None for other tables.
    """

    cells: Sequence[str | Cell]
    heads: str = ""
    gone: int | None = None


def table(name: str, caption: str, header: Sequence[str], rows: Iterable[Row]) -> str:
    """A table in a scrolling box.

    Args:
        name: its id, which its search box refers to.
        caption: shown above it, and its label for screen readers.
    """
    lines = list(rows)
    heads = "".join(
        f'<th scope="col"><button type="button">{escape(title)}</button></th>' for title in header
    )
    body = "\n".join(_row(row, first=number == 0) for number, row in enumerate(lines))
    label = escape(caption, quote=True)
    return (
        f'<div class="find"><input type="search" data-of="{name}" placeholder="search" '
        f'aria-label="search: {label}" autocomplete="off" spellcheck="false">'
        f'<span role="status">{len(lines):,} rows</span></div>\n'
        f'<div class="scroll" role="region" aria-label="{label}" tabindex="0">'
        f'<table id="{name}"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>{body}</tbody></table></div>"
    )


def _row(row: Row, *, first: bool) -> str:
    about = "" if not row.heads else f' data-heads="{escape(row.heads, quote=True)}"'
    gone = "" if row.gone is None else f' data-gone="{row.gone}"'
    # The tab key stops once for all rows; arrow keys move between them.
    return f'<tr tabindex="{0 if first else -1}"{about}{gone}>{"".join(map(_cell, row.cells))}</tr>'


def _cell(cell: str | Cell) -> str:
    if isinstance(cell, Cell):
        return f'<td data-v="{cell.value:.6g}">{escape(cell.text)}</td>'
    return f"<td>{escape(cell)}</td>"
