"""Items of a list in a JSON text, each with the line on which it begins."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from headspex.errors import UsageError
from headspex.tasks.rows import shown

BLANK = re.compile(r"[ \t\n\r]*")


def json_items(text: str, file: Path, key: str | None = None) -> Iterator[tuple[str, Any]]:
    """The objects of a list, each with its place: "file, line 3".

    Args:
        text: a JSON list, or an object with one.
        file: for errors.
        key: of the list in the object; None: the text is the list.

    Raises:
        UsageError: the text is not JSON, the object has no such list, or an item is no object.
    """
    whole = _parsed(text, file)
    items = whole if key is None else whole.get(key)
    if not isinstance(items, list):
        raise UsageError(
            f"{file}: {key} must be a list of objects, but it is {shown(items)}; mend the file"
        )
    before, line = 0, 1
    for at, item in zip(_begins(text, _list_at(text, key)), items, strict=True):
        line += text.count("\n", before, at)
        before = at
        place = f"{file}, line {line}"
        if not isinstance(item, dict):
            raise UsageError(
                f"{place}: each item must be an object, but it is {shown(item)}; leave it out"
            )
        yield place, item


def _parsed(text: str, file: Path) -> Any:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise UsageError(
            f"{file}: lists or objects are nested too deeply; mend the file"
        ) from error
    except json.JSONDecodeError as error:
        raise UsageError(
            f"{file}, line {error.lineno}: not JSON ({error.msg} at character {error.colno}); mend "
            "the file"
        ) from error
    except ValueError as error:  # Python refuses numbers of more than 4,300 digits
        raise UsageError(f"{file}: a number has too many digits; mend the file") from error


def _list_at(text: str, key: str | None) -> int:
    """Where the list begins, in a text that is known to be JSON."""
    at = _after(text, 0)
    if key is None:
        return at
    found = at
    for name, value in _members(text, at):
        if name == key:
            found = value  # of a repeated key the last counts, as in json.loads
    return found


def _members(text: str, at: int) -> Iterator[tuple[str, int]]:
    """The names of an object's members, and where their values begin."""
    decoder = json.JSONDecoder()
    at = _after(text, at + 1)
    while text[at] != "}":
        name, at = decoder.raw_decode(text, at)
        at = _after(text, _after(text, at) + 1)  # after the colon
        yield name, at
        at = _after_item(text, at)


def _begins(text: str, at: int) -> Iterator[int]:
    """Where the items of the list begin that begins at `at`."""
    at = _after(text, at + 1)
    while text[at] != "]":
        yield at
        at = _after_item(text, at)


def _after_item(text: str, at: int) -> int:
    """What follows an item and its comma, if there is one."""
    _, at = json.JSONDecoder().raw_decode(text, at)
    at = _after(text, at)
    return _after(text, at + 1) if text[at] == "," else at


def _after(text: str, at: int) -> int:
    """The first position from `at` on that is not blank."""
    blank = BLANK.match(text, at)
    return at if blank is None else blank.end()
