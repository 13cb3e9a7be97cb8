"""One process at a time in a run's folder."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from headspex.errors import UsageError, argument

NAME = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder, which is made if need be; what a dead process held is free.

    The operating system gives the lock back when its process dies, also by SIGKILL and across the
    machines of a cluster whose file system knows flock. The file says who holds it, for people.

    Raises:
        UsageError: another process holds it, the folder cannot be written, or its file system has
            no locks.
    """
    new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = _take(folder)
    except OSError as error:
        raise UsageError(
            f"a run needs a folder that can be written, but {folder} cannot: {error.strerror}"
        ) from error
    except _NoLocksError as error:
        _leave(folder, new)
        raise UsageError(
            f"a run needs a file system with locks, but that of {folder} gives none ({error}); "
            f"choose a folder on another disk ({argument('out')}), or have this one mounted with "
            "locks (Lustre: option flock; NFS: with its lock service)"
        ) from error
    try:
        yield
    finally:
        # Before the lock is given back: who waits for it finds the name gone, and makes it anew.
        _leave(folder, new)
        os.close(file)


class _NoLocksError(Exception):
    """The file system does not know flock."""


def _leave(folder: Path, new: bool) -> None:
    """Take the name away, and a new folder that holds nothing."""
    with suppress(OSError):
        (folder / NAME).unlink()
    if new:
        with suppress(OSError):  # it is not empty: there is a run
            folder.rmdir()


def holder(folder: Path) -> str | None:
    """Who works in a folder, in words; None where nobody does."""
    import fcntl

    try:
        file = os.open(folder / NAME, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _name(file)
    except OSError:  # without locks nobody can have taken one
        return None
    finally:
        os.close(file)
    return None


def _take(folder: Path) -> int:
    """The open and locked file."""
    import fcntl

    while True:
        file = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = _name(file)
            os.close(file)
            raise UsageError(
                f"a run's folder is for one process, but {folder} is used by {who}; wait for it, "
                f"stop it, or choose another {argument('out')}"
            ) from None
        except OSError as error:
            os.close(file)
            raise _NoLocksError(error.strerror) from error
        # Its last holder may have removed the name in between.
        with suppress(OSError):
            if os.path.samestat(os.fstat(file), os.stat(folder / NAME)):
                break
        os.close(file)
    os.ftruncate(file, 0)
    os.pwrite(file, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode(), 0)
    return file


def _name(file: int) -> str:
    with suppress(ValueError, KeyError, TypeError):
        who = json.loads(os.pread(file, 1_000, 0))
        return f"process {who['pid']} on {who['host']}"
    return "another process"
