"""Check the fields of paired prompts in files: prompts, next tokens, the split."""

from collections.abc import Mapping
from typing import Any, TypeGuard

from headspex.errors import UsageError
from headspex.tasks.characters import check_whole
from headspex.tasks.pairs import Token
from headspex.tasks.prompts import Prompt
from headspex.tasks.rows import shown

HALVES = ("search", "heldout")


def prompt_of(value: Any, name: str, place: str) -> Prompt:
    """A text, or a list of token ids.

    Raises:
        UsageError: neither of them, or empty, or a text with half a character.
    """
    if isinstance(value, str) and value:
        return check_whole(value, f"{place}: {name}")
    if isinstance(value, list) and value and all(map(_is_id, value)):
        return tuple(value)
    raise UsageError(
        f"{place}: {name} must be a text or a list of token ids, but {_said(value)}; write "
        "a text in quotes, or leave the row out"
    )


def next_tokens(value: Any, name: str, place: str) -> tuple[Token, ...]:
    """Texts or token ids from a list, or from a single one.

    Raises:
        UsageError: the list is empty, or holds anything else or an empty text.
    """
    some = value if isinstance(value, list) else [value]
    if not some:
        raise UsageError(
            f"{place}: {name} must hold one text or token id or more, but it is empty; add one, or "
            "leave the row out"
        )
    return tuple(_next_token(one, name, place) for one in some)


def half_of(row: Mapping[str, Any], place: str) -> str | None:
    """The row's split: search or heldout; None if it has none.

    Raises:
        UsageError: another split.
    """
    if "split" not in row:
        return None
    if row["split"] not in HALVES:
        raise UsageError(
            f"{place}: split must be {' or '.join(HALVES)}, but it is {shown(row['split'])}; "
            "change it, or leave split out of all rows"
        )
    return str(row["split"])


def _next_token(value: Any, name: str, place: str) -> Token:
    if isinstance(value, str) and value:
        return check_whole(value, f"{place}: {name}")
    if _is_id(value):
        return value
    raise UsageError(
        f"{place}: {name} must be texts or token ids, but it is {shown(value)}; write a text in "
        "quotes, or leave the row out"
    )


def _is_id(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _said(value: Any) -> str:
    """What a prompt is instead."""
    if not isinstance(value, list):
        return f"it is {shown(value)}"
    return "it holds " + next((shown(one) for one in value if not _is_id(one)), "nothing")
