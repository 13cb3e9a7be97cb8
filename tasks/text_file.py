"""Read text files in UTF-8, with or without a byte order mark, plain or gzipped."""

import gzip
import io
import zlib
from pathlib import Path

from headspex.errors import UsageError

GZIP = b"\x1f\x8b"
# Byte order marks that other programs, such as spreadsheets, write. UTF-32's mark begins with
# UTF-16's, so it comes first.
OTHERS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


def read_utf8(file: Path, *, newline: str | None = None) -> str:
    """The text of a file.

    Args:
        file: in UTF-8; gzip is detected by content, not by name.
        newline: as in `open`; by default every line ends in a line feed.

    Raises:
        UsageError: it cannot be read, has another encoding, or contains NUL bytes.
    """
    data = _bytes(file)
    for mark, encoding in OTHERS.items():
        if data.startswith(mark):
            raise UsageError(f"{file} must be UTF-8, but is {encoding}; save it as UTF-8")
    if (at := data.find(b"\0")) >= 0:
        line = data.count(b"\n", 0, at) + 1
        raise UsageError(
            f"{file}, line {line}: a text must be UTF-8 without NUL bytes, but it has one (is it "
            "UTF-16?); save it as UTF-8"
        )
    try:
        return io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline=newline).read()
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} must be UTF-8 ({error}); save it as UTF-8") from error


def bare_name(file: Path) -> str:
    """The name without endings: "quiz" of quiz.jsonl.gz."""
    return file.with_suffix("").stem if file.suffix == ".gz" else file.stem


def _bytes(file: Path) -> bytes:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}; check the path") from error
    if not data.startswith(GZIP):
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{file} cannot be unpacked ({error}); fetch or pack it again") from error
