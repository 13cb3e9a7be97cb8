"""JSON objects, one a line; and why a file of JSON is not that."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from headspex.errors import UsageError

ONE_A_LINE = "write one object per line"
ARRAY_OUT = f"{ONE_A_LINE} (jq -c '.[]' does it)"
LAST_COMMA = re.compile(r",\s*(?=[}\]]|$)")  # behind which nothing follows


def json_lines(text: str, file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a text, each with its place: "file, line 3".

    Raises:
        UsageError: a line is no JSON object; says what the file is, where that can be seen.
    """
    # Not splitlines(): JSON texts may hold U+2028 and other characters that it takes for line ends.
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
            f"{place}: lists or objects are nested too deeply to be read; {ONE_A_LINE}, with "
            "texts and one list of choices in it"
        ) from error
    except json.JSONDecodeError as error:
        raise UsageError(f"{place}: {_why(line, text, error)}") from error
    except ValueError as error:  # Python reads no number of more than 4,300 digits
        raise UsageError(
            f"{place}: a number has more digits than can be read; an answer is a number from 0, a "
            "letter, or a text in quotes"
        ) from error


def _why(line: str, text: str, error: json.JSONDecodeError) -> str:
    """What stands there in place of an object."""
    line = line.strip()
    if _reads(LAST_COMMA.sub("", line)):
        return f"there is a comma with nothing behind it; leave it out, and {ONE_A_LINE}"
    if text.lstrip().startswith(line):  # the first line: what begins here may go on
        if line.startswith("["):
            return f"the file is a JSON array; {ARRAY_OUT}"
        if _reads_beyond(line, text.lstrip()):
            return f"an object goes over several lines; {ONE_A_LINE} (jq -c . does it)"
    return f"no JSON ({error.msg} at character {error.colno}); {ONE_A_LINE}"


def _reads(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _reads_beyond(line: str, text: str) -> bool:
    """Whether a text begins with a JSON value that does not end with the line."""
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return line == "{"
    return end > len(line)


def _kind(row: Any) -> str:
    names = {list: "an array", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(row), "a number")
