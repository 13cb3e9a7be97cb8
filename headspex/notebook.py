"""What a notebook shows of a spectrum, a schedule and a study: a line and a small table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from headspex.engine.indices import effects

if TYPE_CHECKING:
    from headspex.engine.spectrum import Spectrum
    from headspex.schedules.schedule import Schedule
    from headspex.study import Study

TOP = 10  # rows that are shown


def spectrum_html(spectrum: Spectrum) -> str:
    """Its line, and the terms of most energy with their effects."""
    ranked = np.argsort(-np.abs(spectrum.coefficients[1:]), kind="stable")[:TOP] + 1
    found, shares = effects(spectrum), spectrum.shares
    rows = [
        (" ".join(map(str, spectrum.terms[i])), f"{found[i]:+.4g}", f"{shares[i]:.1%}")
        for i in ranked.tolist()
    ]
    left_out = len(spectrum.terms) - 1 - len(rows)
    return _html(repr(spectrum), ("players", "effect", "energy"), rows, left_out, "terms")


def schedule_html(schedule: Schedule) -> str:
    """Its line, and who goes first."""
    values = schedule.values
    rows = [
        (str(size), str(column), "" if values is None else f"{values[size]:.4g}")
        for size, column in enumerate(schedule.order[:TOP], start=1)
    ]
    left_out = len(schedule.order) - len(rows)
    return _html(repr(schedule), ("goes as", "player", "predicted then"), rows, left_out, "players")


def study_html(study: Study) -> str:
    """Its line, and the settings that are not the default."""
    settings = study.settings
    default = type(settings)()
    rows = [
        (name, str(value))
        for name, value in settings.to_dict().items()
        if value != getattr(default, name) and value != []
    ]
    return _html(repr(study), ("setting", "value"), rows, 0, "settings")


def _html(
    line: str, header: Sequence[str], rows: Iterable[Sequence[str]], left_out: int, of: str
) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    more = f"<p>and {left_out:,} more {of}</p>" if left_out > 0 else ""
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if body else ""
    return f"<div><p><code>{escape(line)}</code></p>{table}{more}</div>"
