"""Ctrl-C that is never lost, and Ctrl-C that waits for the end of a batch."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_pressed = False  # since the command began


@contextmanager
def record_sigint() -> Iterator[None]:
    """Inside, Ctrl-C raises KeyboardInterrupt as usual, and is recorded for `raise_if_interrupted`.

    Python drops exceptions raised in a `__del__` or in a callback from C code, both frequent while
    large packages are imported; without the record the command would continue.
    """
    mine = threading.current_thread() is threading.main_thread()
    if not mine or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    def note(number: int, frame: FrameType | None) -> None:
        global _pressed
        _pressed = True
        signal.default_int_handler(number, frame)

    global _pressed
    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _pressed = False


def raise_if_interrupted() -> None:
    """Raise KeyboardInterrupt if Ctrl-C was pressed inside `record_sigint` and got lost."""
    if _pressed:
        raise KeyboardInterrupt


@contextmanager
def defer_sigint() -> Iterator[Callable[[], None]]:
    """Inside, Ctrl-C takes effect at the next checkpoint; a second Ctrl-C takes effect at once.

    The yielded checkpoint raises KeyboardInterrupt if Ctrl-C was pressed, as does the end of the
    block. In threads other than the main one, which Python never interrupts, it does nothing.
    """
    pressed = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        print("headspex: stopping after this batch; Ctrl-C again stops at once", file=sys.stderr)

    def checkpoint() -> None:
        if pressed:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield checkpoint
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield checkpoint
        checkpoint()
    finally:
        signal.signal(signal.SIGINT, before)
