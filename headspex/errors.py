"""Errors that the user can mend."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class UsageError(ValueError):
    """The user asked for something that cannot be done.

    Its message is one sentence: the rule, the value that breaks it, and the way out.
    The command line prints it alone and exits with code 2.
    """


class RoomError(UsageError):
    """What was asked does not fit into memory; something smaller may."""


class NoGradientError(UsageError):
    """A score has no gradient by gates; something that asks for values only may do."""


_OTHER_FLAGS = {"subjects": "subject"}  # where the flag is not the argument's name
_as_flags: ContextVar[bool] = ContextVar("arguments are named as flags", default=False)


def argument(name: str) -> str:
    """An argument as the reader typed it: `verify_budget` in Python, `--verify-budget` in a shell.

    Args:
        name: in Python.
    """
    if not _as_flags.get():
        return name
    return f"--{_OTHER_FLAGS.get(name, name).replace('_', '-')}"


@contextmanager
def named_as_flags() -> Iterator[None]:
    """Inside, errors speak of flags: what the command line was given."""
    before = _as_flags.set(True)
    try:
        yield
    finally:
        _as_flags.reset(before)
