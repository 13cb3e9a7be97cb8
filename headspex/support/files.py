"""Files that are written atomically, and read with a clear error if they are damaged."""

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from headspex.errors import UsageError

TEMPORARY = ".*.tmp"  # names of files that are being written
_LARGEST_JSON = 256 * 2**20  # bytes; a spectrum of a million terms is smaller


def write_bytes(path: Path, data: bytes) -> None:
    """Write to a temporary name and rename, so that no reader ever sees half a file.

    This holds after a power cut too.

    Raises:
        UsageError: the folder cannot be written, or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):  # the first error is the one to report
            temporary.unlink(missing_ok=True)
        raise UsageError(
            f"results must go to a writable folder on a disk with room, but {path} failed: "
            f"{error.strerror}"
        ) from error


def sha256_of(path: Path) -> str | None:
    """sha256 of a file; None where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8; see `write_bytes`."""
    write_bytes(path, text.encode())


def read_text(path: Path) -> str:
    """The text of a UTF-8 file.

    Raises:
        UsageError: no such file, or not text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise UsageError(f"{path} cannot be read: {reason}") from error


def write_json(path: Path, content: Any) -> None:
    """Write JSON, indented by 1, keys in the given order."""
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())


def read_csv(path: Path, header: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV that `write_csv` made.

    Raises:
        UsageError: no such file, other columns, or a row of another length.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            found = list(reader.fieldnames or ())
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    if found != list(header):
        raise UsageError(f"{path} must have the columns {','.join(header)}, but has {found}")
    for number, row in enumerate(rows, 1):
        if None in row or None in row.values():  # DictReader's mark of too many, or too few
            raise UsageError(
                f"{path} must have {len(header)} values in every row, but row {number} does not"
            )
    return rows


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} is named twice")
    return found


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        UsageError: no such file, not JSON, a repeated name in an object, or more than 256 MB.
    """
    try:
        if path.stat().st_size > _LARGEST_JSON:
            raise UsageError(
                f"{path} is larger than any file headspex writes; is it the right one?"
            )
        return json.loads(
            path.read_text(encoding="utf-8"),
            parse_constant=_no_constant,
            object_pairs_hook=_named_once,
        )
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not JSON: {error}") from error
