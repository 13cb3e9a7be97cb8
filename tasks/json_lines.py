"""Read JSON objects, one per line, and explain what is wrong with other JSON."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from headspex.errors import UsageError

ONE_A_LINE = "write one object per line"
ARRAY_OUT = f"{ONE_A_LINE} (jq -c '.[]' does it)"
LAST_COMMA = re.compile(r",\s*(?=[}\]]|$)")  # a trailing comma


def json_lines(text: str, file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a text, each with its place: "file, line 3".

    Raises:
        UsageError: a line is not a JSON object.
    """
    # Not splitlines(): JSON texts may hold U+2028 and others that it treats as line ends.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            place = f"{file}, line {number}"
            row = _parsed(line, text, place)
            if not isinstance(row, dict):
                raise UsageError(
                    f"{place}: each line must be a JSON object, but it is {_kind(row)}; "
                    f"{ARRAY_OUT if isinstance(row, list) else ONE_A_LINE}"
                )
            yield place, row


def _parsed(line: str, text: str, place: str) -> Any:
    try:
        return json.loads(line)
    except RecursionError as error:
        raise UsageError(
            f"{place}: lists or objects are nested too deeply; {ONE_A_LINE}, with texts and one "
            "list of choices"
        ) from error
    except json.JSONDecodeError as error:
        raise UsageError(f"{place}: {_why(line, text, error)}") from error
    except ValueError as error:  # Python refuses numbers of more than 4,300 digits
        raise UsageError(
            f"{place}: a number has too many digits; an answer is a number from 0, a letter, or a "
            "text in quotes"
        ) from error


def _why(line: str, text: str, error: json.JSONDecodeError) -> str:
    """What the line is instead of an object, and the way out."""
    line = line.strip()
    if _reads(LAST_COMMA.sub("", line)):
        return f"there is a trailing comma; leave it out, and {ONE_A_LINE}"
    if text.lstrip().startswith(line):  # the first line: its value may span several lines
        if line.startswith("["):
            return f"the file is a JSON array; {ARRAY_OUT}"
        if _reads_beyond(line, text.lstrip()):
            return f"an object spans several lines; {ONE_A_LINE} (jq -c . does it)"
    return f"not JSON ({error.msg} at character {error.colno}); {ONE_A_LINE}"


def _reads(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _reads_beyond(line: str, text: str) -> bool:
    """Whether a text begins with a JSON value that goes on after the line."""
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return line == "{"
    return end > len(line)


def _kind(row: Any) -> str:
    names = {list: "an array", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(row), "a number")
