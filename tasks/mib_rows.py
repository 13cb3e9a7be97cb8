"""Rows of MIB's data sets (mib-bench on the Hub) as paired prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headspex.errors import UsageError
from headspex.support.notice import say_once
from headspex.tasks.pair_fields import prompt_of
from headspex.tasks.pairs import Pair
from headspex.tasks.row_kinds import COUNTERFACTUAL
from headspex.tasks.rows import shown, text_of

Row = Mapping[str, Any]


def mib_pairs(rows: Sequence[tuple[str, Row]], file: Path) -> list[Pair]:
    """Pairs of a row's prompt and answer with those of one of its counterfactuals.

    A row has a `prompt`, several objects named `..._counterfactual` with prompts of their own, and
    each of these an answer: `answer`, `label`, or the one of its `choices` that `answerKey` tells;
    of choices with labels it is the label. The counterfactual is the same in all rows: the first
    one of the first row that every row gives with a prompt and another answer than the row's own.
    Its answer is the wrong token.

    An answer follows its prompt after a blank, as " A": where neither the answer begins with white
    space nor the clean prompt ends in it, the blank is added. (MIB itself adds it to names, but not
    to letters.) Both are said on standard error.

    Args:
        rows: each with its place.
        file: for notices.

    Raises:
        UsageError: a row has no prompt or answer, or no counterfactual is in every row.
    """
    own = [_answer(row, place) for place, row in rows]
    for (place, _), answer in zip(rows, own, strict=True):
        if answer is None:
            raise UsageError(
                f"{place}: a row of MIB must have answer, label, or choices with answerKey, but "
                "has none; add one, or leave the row out"
            )
    name = _counterfactual(rows, own)
    say_once(f"{file}: corrupted prompts and wrong answers are those of {name}")
    found, added = [], []
    for (place, row), answer in zip(rows, own, strict=True):
        clean = text_of(row.get("prompt"), "prompt", place)
        other = row[name]
        tokens = [str(answer), str(_answer(other, f"{place}: {name}"))]
        spaced = [_after(clean, token) for token in tokens]
        added += [after for after, token in zip(spaced, tokens, strict=True) if after != token]
        corrupted = prompt_of(other["prompt"], f"{name}'s prompt", place)
        found.append(Pair.of(clean, spaced[:1], spaced[1:], corrupted=corrupted, place=place))
    if added:
        say_once(f"{file}: a blank is put before answers, as in {added[0]!r}")
    return found


def _after(clean: str, answer: str) -> str:
    apart = answer[:1].isspace() or clean[-1:].isspace()
    return answer if apart else f" {answer}"


def _counterfactual(rows: Sequence[tuple[str, Row]], own: Sequence[str | None]) -> str:
    """The first counterfactual that can be used in every row."""
    names = [key for key in rows[0][1] if key.endswith(COUNTERFACTUAL)]
    if not names:
        raise UsageError(
            f"{rows[0][0]}: a row of MIB needs a counterfactual, but this one has none; add one"
        )
    first: str | None = None  # why the first one cannot be used
    for name in names:
        why = next(
            (
                f"{place}: {name} {lack}"
                for (place, row), answer in zip(rows, own, strict=True)
                if (lack := _lack(row, name, answer, place))
            ),
            None,
        )
        if why is None:
            return name
        first = first or why
    raise UsageError(
        f"{first}, but every row must give one and the same counterfactual with a prompt and "
        "another answer than its own; leave such rows out"
    )


def _lack(row: Row, name: str, own: str | None, place: str) -> str | None:
    """Why a row's counterfactual cannot be used; None if it can."""
    other = row.get(name)
    if not isinstance(other, Mapping):
        return f"is {'missing' if other is None else shown(other)}"
    if other.get("prompt") in (None, ""):
        return "has no prompt"
    answer = _answer(other, f"{place}: {name}")
    if answer is None:
        return "has no answer"
    return f"has the row's own answer {answer!r}" if answer == own else None


def _answer(row: Row, place: str) -> str | None:
    """The answer of a row or of a counterfactual; None if it has none."""
    for key in ("answer", "label"):
        if row.get(key) is not None:
            return _text(row[key], key, place)
    choices, number = row.get("choices"), row.get("answerKey")
    if choices is None or number is None:
        return None
    names = choices.get("label") if isinstance(choices, Mapping) else choices
    if not isinstance(names, list) or not names:
        raise UsageError(
            f"{place}: choices must be a list, or an object with a list of labels, but it is "
            f"{shown(choices)}; mend the row, or leave it out"
        )
    texts = [_text(name, "choices", place) for name in names]
    return texts[_position(number, texts, place)]


def _position(number: Any, texts: Sequence[str], place: str) -> int:
    if isinstance(number, str) and number in texts:
        return texts.index(number)
    if isinstance(number, str) and number.isdecimal():
        number = int(number)
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < len(texts):
        raise UsageError(
            f"{place}: answerKey must be a number from 0 to {len(texts) - 1} or a choice, not "
            f"{shown(number)}; mend the row, or leave it out"
        )
    return number


def _text(value: Any, name: str, place: str) -> str:
    """A text, or a whole number as text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    found = text_of(value, name, place)
    if not found.strip():
        raise UsageError(f"{place}: {name} must not be empty; mend the row, or leave it out")
    return found
