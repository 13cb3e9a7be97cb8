"""Standard output of a command: a device that is full or closed takes its words, not its work."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from typing import TextIO


class Output(io.StringIO):
    """Holds what is printed until `flush`, and notes what goes wrong then instead of raising.

    So a failure is met when the work is done. Characters that the stream's encoding lacks become
    question marks.

    Args:
        stream: where it all goes; None where standard output was closed before the start.

    Attributes:
        failure: why something could not be written, in words; "" where nothing went wrong.
    """

    def __init__(self, stream: TextIO | None) -> None:
        super().__init__()
        self._stream = stream
        self.failure = ""

    def isatty(self) -> bool:
        """Whether people read along."""
        return self._stream is not None and not self._stream.closed and self._stream.isatty()

    def fileno(self) -> int:
        """Of the stream; OSError where it has none."""
        if self._stream is None:
            raise OSError("standard output is closed")
        return self._stream.fileno()

    def flush(self) -> None:
        """Hand on what was printed since."""
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
            # Python writes what is left in the stream when it ends, and would fail again.
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
