"""A folder that is created completely or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headspex.errors import UsageError, argument


@contextmanager
def new_folder(to: Path) -> Iterator[Path]:
    """A temporary folder beside `to`, renamed to `to` at the end of the block.

    After an error nothing is left of it.

    Raises:
        UsageError: `to` exists or cannot be written, or the disk is full.
    """
    from safetensors import SafetensorError

    if to.exists() or to.is_symlink():
        raise UsageError(f"{argument('to')} must be a new folder, but {to} exists")
    to = Path(os.path.abspath(to))
    temporary = to.with_name(f".{to.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        temporary.rename(to)
    except (OSError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise UsageError(
            f"{argument('to')} must be in a writable folder on a disk with room, but {to} failed: "
            f"{reason or error}"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
