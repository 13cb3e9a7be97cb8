"""Text files as people have them: in UTF-8, with or without a byte order mark, gzip'ed or not."""

import gzip
import io
import zlib
from pathlib import Path

from headspex.errors import UsageError

GZIP = b"\x1f\x8b"
# Marks that other programs, spreadsheets among them, begin a file with. UTF-32's first: it begins
# like UTF-16's.
OTHERS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


def read_utf8(file: Path, *, newline: str | None = None) -> str:
    """The text of a file.

    Args:
        file: in UTF-8; one that gzip packed is unpacked, whatever its name.
        newline: as of `open`; by default every line ends in a line feed.

    Raises:
        UsageError: it cannot be read, is in another encoding, or holds NUL, which no text does.
    """
    data = _bytes(file)
    for mark, encoding in OTHERS.items():
        if data.startswith(mark):
            raise UsageError(f"{file} must be UTF-8, but is {encoding}; save it as UTF-8")
    if (at := data.find(b"\0")) >= 0:
        line = data.count(b"\n", 0, at) + 1
        raise UsageError(
            f"{file}, line {line}: a text must be UTF-8 without NUL bytes, but there is one (is it "
            "UTF-16?); save it as UTF-8"
        )
    try:
        return io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline=newline).read()
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} must be UTF-8 ({error}); save it as UTF-8") from error


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
