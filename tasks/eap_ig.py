"""CSV files of paired prompts as EAP-IG has them: prompts, and answers as token ids."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from headspex.errors import UsageError
from headspex.support.notice import say_once
from headspex.tasks.csv_rows import csv_rows, delimiter_of
from headspex.tasks.pair_fields import next_tokens, prompt_of
from headspex.tasks.pairs import Pair, pairs
from headspex.tasks.rows import shown
from headspex.tasks.task import Task
from headspex.tasks.text_file import bare_name, read_utf8

ENDINGS = (".csv", ".csv.gz")
PROMPTS = ("clean", "corrupted")
# Right and wrong token ids: of IOI and coloured objects, hypernymy, capitals, and gender bias.
ANSWERS = (
    ("correct_idx", "incorrect_idx"),
    ("answers_idx", "corrupted_answers_idx"),
    ("country_idx", "corrupted_country_idx"),
    ("clean_answer_idx", "corrupted_answer_idx"),
)


def eap_ig(path: str | os.PathLike[str]) -> Task:
    """A task from a CSV file of EAP-IG.

    Its columns are clean, corrupted, and two with token ids of right and wrong answers, such as
    correct_idx and incorrect_idx; a cell holds one id or a list of them. Other columns are ignored.
    The years of greater-than and the verbs of subject-verb agreement are no token ids, and their
    files are refused.

    Raises:
        UsageError: the file cannot be read, lacks these columns, or a row breaks these rules.
    """
    file = Path(path).expanduser()
    text = read_utf8(file, newline="")
    rows = csv_rows(text, file, _fits)
    place, header = next(rows, (f"{file}, line 1", []))
    columns = _columns(header, text, place)
    found = []
    for place, row in rows:
        if len(row) != len(header):
            raise UsageError(
                f"{place}: a row must have {len(header)} fields like the first line, but has "
                f"{len(row)}; quote fields that hold commas"
            )
        found.append(_pair(dict(zip(header, row, strict=True)), columns, place))
    say_once(
        f"{file}: answers are token ids, which are right only for the tokenizer that they were "
        "made with"
    )
    return pairs(bare_name(file), found)


def _fits(header: Sequence[str]) -> bool:
    return {*PROMPTS} <= {*header}


def _columns(header: Sequence[str], text: str, place: str) -> tuple[str, str]:
    """The columns of right and of wrong answers."""
    known = next((both for both in ANSWERS if {*both} <= {*header}), None)
    if _fits(header) and known is not None:
        return known
    if (name := delimiter_of(text, _fits)) is not None:
        raise UsageError(
            f"{place}: fields must be separated by commas, not {name}; save the file with commas"
        )
    listed = ", or ".join(" and ".join(both) for both in ANSWERS)
    found = ", ".join(map(repr, header)) or "none"
    raise UsageError(
        f"{place}: a CSV file must have the columns clean and corrupted, and token ids in "
        f"{listed}, but it has {found}; rename them, or write the rows as one JSON object per line "
        "to a .jsonl file"
    )


def _pair(row: Mapping[str, str], columns: tuple[str, str], place: str) -> Pair:
    clean, corrupted = (prompt_of(row[name], name, place) for name in PROMPTS)
    right, wrong = (next_tokens(_ids(row[name], name, place), name, place) for name in columns)
    return Pair.of(clean, right, wrong, corrupted=corrupted, place=place)


def _ids(cell: str, name: str, place: str) -> list[int]:
    try:
        found = json.loads(cell)
    except (ValueError, RecursionError):
        found = None
    some = found if isinstance(found, list) else [found]
    # A table with a gap in the column holds whole numbers as floats.
    some = [int(one) if isinstance(one, float) and one.is_integer() else one for one in some]
    if not all(isinstance(one, int) and not isinstance(one, bool) and one >= 0 for one in some):
        raise UsageError(
            f"{place}: {name} must be a token id or a list of them, but it is {shown(cell)}; mend "
            "the row, or leave it out"
        )
    return some
