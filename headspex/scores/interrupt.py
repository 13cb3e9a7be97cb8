"""Ctrl-C that lets a block be finished and kept."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def patiently() -> Iterator[Callable[[], None]]:
    """Inside, Ctrl-C takes effect when the value is called; a second one takes effect at once.

    The value raises KeyboardInterrupt if Ctrl-C was pressed, as does the end of the block. In
    other threads than the main one, which Python never interrupts, it does nothing.
    """
    pressed = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        print("headspex: stopping after this batch; Ctrl-C again stops at once", file=sys.stderr)

    def breath() -> None:
        if pressed:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield breath
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield breath
        breath()
    finally:
        signal.signal(signal.SIGINT, before)
