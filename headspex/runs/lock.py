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
    """Lock a folder, creating it if needed.

    The operating system releases the lock when its process dies, even by SIGKILL, and across the
    machines of a cluster whose file system supports flock. The file names the holder, for people.

    Raises:
        UsageError: another process holds the lock, the folder is not writable, or its file system
            has no locks.
    """
    new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = _take(folder)
    except OSError as error:
        raise UsageError(
            f"a run needs a writable folder, but {folder} is not: {error.strerror}"
        ) from error
    except _NoLocksError as error:
        _leave(folder, new)
        raise UsageError(
            f"a run needs a file system with locks, but that of {folder} has none ({error}); "
            f"choose a folder on another disk ({argument('out')}), or have this one mounted with "
            "locks (Lustre: option flock; NFS: with its lock service)"
        ) from error
    try:
        yield
    finally:
        # Before the lock is released: a waiting process then finds the name gone and recreates it.
        _leave(folder, new)
        os.close(file)


class _NoLocksError(Exception):
    """The file system does not support flock."""


def _leave(folder: Path, new: bool) -> None:
    """Remove the lock file, and the folder if it is new and empty."""
    with suppress(OSError):
        (folder / NAME).unlink()
    if new:
        with suppress(OSError):  # it is not empty
            folder.rmdir()


def holder(folder: Path) -> str | None:
    """Description of the process that holds a folder; None if it is free."""
    import fcntl

    try:
        file = os.open(folder / NAME, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _name(file)
    except OSError:  # a file system without locks
        return None
    finally:
        os.close(file)
    return None


def _take(folder: Path) -> int:
    """Open and lock the file; returns its descriptor."""
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
        # Its last holder may have removed the file in between.
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
