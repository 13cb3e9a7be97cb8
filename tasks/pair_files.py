"""`--task FILE` with paired prompts: our JSONL, AutoCircuit's JSON, or MIB's rows."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from headspex.errors import UsageError
from headspex.tasks.json_items import json_items
from headspex.tasks.json_lines import json_lines
from headspex.tasks.jsonl import questions_of
from headspex.tasks.keys import Keys, check_keys
from headspex.tasks.mib_rows import mib_pairs
from headspex.tasks.pair_fields import half_of, next_tokens, prompt_of
from headspex.tasks.pairs import Pair, pairs
from headspex.tasks.row_kinds import MIB, PAIRS, check_kind, kind_of
from headspex.tasks.rows import shown
from headspex.tasks.task import Task
from headspex.tasks.text_file import bare_name, read_utf8

Row = Mapping[str, Any]
Rows = Iterable[tuple[str, Row]]  # each with its place

PAIR = Keys(
    ("clean", "answers", "wrong"),
    ("corrupted", "split"),
    {
        "clean": ("clean_prompt", "clean_prefix", "prefix", "prompt"),
        "corrupted": ("corrupt", "corrupted_prompt", "patch_prefix", "corr_prefix"),
        "answers": ("clean_answer", "correct", "correct_answer", "target"),
        "wrong": ("wrong_answers", "wrong_answer", "patch_answer", "incorrect"),
        "split": ("part",),
    },
)
AUTO_CIRCUIT = Keys(
    ("clean", "corrupt", "answers", "wrong_answers"), (), {"corrupt": ("corrupted",)}
)
# Its other keys label positions of the prompts.
HEAD = re.compile(r'\s*\{\s*"(prompts|seq_labels|word_idxs)"\s*:')
CLEAN = re.compile(r'"clean"\s*:')  # inside of a text, its quotes would have backslashes


def json_file(path: str | os.PathLike[str], subjects: Sequence[str] | None = None) -> Task:
    """A task from a JSON file; its first row tells which of these it is.

    - Multiple choice, one question per line: see `jsonl`.
    - Paired prompts, one pair per line or in a list: `{"clean": prompt, "corrupted": prompt,
      "answers": [tokens], "wrong": [tokens]}`. A prompt is a text or a list of token ids, and
      `corrupted`, for resample ablation, may be left out. A token is a text that is one token after
      the clean prompt, such as " Mary", or its id; a single one needs no list, and is then also
      called `answer`. All rows or none have a `split`, search or heldout.
    - AutoCircuit's file: `{"prompts": [{"clean", "corrupt", "answers", "wrong_answers"}]}`.
    - Rows of MIB, one per line or in a list: see `mib_pairs`.

    Raises:
        UsageError: the file cannot be read, or a row breaks these rules.
    """
    file = Path(path).expanduser()
    text = read_utf8(file)
    first = _first_value(text)
    heldout: list[Pair] = []
    if HEAD.match(text) or (isinstance(first, dict) and "prompts" in first):
        search = _auto_circuit(json_items(text, file, "prompts"))
    else:
        # Where the first value is no JSON, the error is to be about the right kind of file.
        kind = _kind(first) or (PAIRS if first is None and CLEAN.search(text) else None)
        if kind not in (PAIRS, MIB):
            return questions_of(text, file, subjects)
        in_list = text.lstrip().startswith("[")
        rows = list(json_items(text, file) if in_list else json_lines(text, file))
        for place, row in rows:
            check_kind(row.keys(), place, kind)
        search, heldout = (mib_pairs(rows, file), []) if kind == MIB else _own(rows, file)
    refuse_subjects(os.fspath(path), subjects)
    return pairs(bare_name(file), search, heldout)


def refuse_subjects(name: str, subjects: Sequence[str] | None) -> None:
    """Refuse subjects of a task that has none.

    Raises:
        UsageError: there are some.
    """
    if subjects:
        raise UsageError(
            f"task {name} has no subjects, but {subjects[0]!r} was given; leave it out"
        )


def _first_value(text: str) -> Any:
    """The file's first JSON value; None if it has none."""
    try:
        value, _ = json.JSONDecoder().raw_decode(text.lstrip())
    except (ValueError, RecursionError):
        return None
    return value


def _kind(first: Any) -> str | None:
    if isinstance(first, list):
        first = next(iter(first), None)
    return kind_of(first) if isinstance(first, dict) else None


def _own(rows: Rows, file: Path) -> tuple[list[Pair], list[Pair]]:
    """Pairs to search on, and held-out ones."""
    by_half: dict[str | None, list[Pair]] = {}
    for place, row in rows:
        pair, half = _pair(row, place), half_of(row, place)
        if by_half and (half is None) != (None in by_half):
            raise UsageError(
                f"{place}: all rows or none must have a split, but this one has "
                f"{'none' if half is None else shown(half)}, unlike the rows above; add it to all, "
                "or leave it out"
            )
        by_half.setdefault(half, []).append(pair)
    if len(by_half) == 1 and None not in by_half:
        raise UsageError(
            f"{file}: a split must name both halves, but all rows are in {shown(*by_half)}; mark "
            "some rows as the other half, or leave split out"
        )
    return by_half.get(None) or by_half.get("search", []), by_half.get("heldout", [])


def _pair(row: Row, place: str) -> Pair:
    if "answer" in row and "answers" not in row:
        if isinstance(row["answer"], list):
            raise UsageError(
                f"{place}: answer must be one text or token id, but it is a list; call a list "
                "answers"
            )
        row = {"answers" if key == "answer" else key: value for key, value in row.items()}
    check_keys(row.keys(), place, keys=PAIR)
    return _of_fields(row, place, "corrupted", "wrong")


def _auto_circuit(rows: Rows) -> list[Pair]:
    found = []
    for place, row in rows:
        check_keys(row.keys(), place, more=True, keys=AUTO_CIRCUIT)
        found.append(_of_fields(row, place, "corrupt", "wrong_answers"))
    return found


def _of_fields(row: Row, place: str, corrupted: str, wrong: str) -> Pair:
    return Pair.of(
        prompt_of(row["clean"], "clean", place),
        next_tokens(row["answers"], "answers", place),
        next_tokens(row[wrong], wrong, place),
        corrupted=prompt_of(row[corrupted], corrupted, place) if corrupted in row else None,
        place=place,
    )
