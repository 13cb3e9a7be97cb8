"""Standard output of a command: if it is full or closed, the command still finishes."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from typing import TextIO


class Output(io.StringIO):
    """Buffers output until `flush`, and records errors of writing instead of raising them.

    So a failure does not interrupt the work. Characters missing from the stream's encoding become
    question marks.

    Args:
        stream: the destination; None if standard output was closed before the start.

    Attributes:
        failure: why writing failed; "" if it did not.
    """

    def __init__(self, stream: TextIO | None) -> None:
        super().__init__()
        self._stream = stream
        self.failure = ""

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self._stream is not None and not self._stream.closed and self._stream.isatty()

    def fileno(self) -> int:
        """The stream's; OSError if it is closed."""
        if self._stream is None:
            raise OSError("standard output is closed")
        return self._stream.fileno()

    def flush(self) -> None:
        """Write the buffer to the stream."""
        text = self.getvalue()
        self.seek(0)
        self.truncate()
        if not text or self.failure:
            return
        if self._stream is None or self._stream.closed:
            self.failure = "it is closed"
            return
        try:
            self._stream.write(_encodable(text, self._stream))
            self._stream.flush()
        except OSError as error:
            self.failure = error.strerror or str(error)
            # Python flushes the stream at exit, which would fail again.
            with suppress(OSError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._stream.fileno())
                os.close(nowhere)


def _encodable(text: str, stream: TextIO) -> str:
    encoding = stream.encoding or "utf-8"
    try:
        text.encode(encoding, stream.errors or "strict")
    except UnicodeEncodeError:
        return text.encode(encoding, "replace").decode(encoding)
    return text
