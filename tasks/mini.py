"""The benchmark that ships with headspex, in MMLU's format; the shipped model `tiny` solves it."""

import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from headspex.errors import UsageError, argument
from headspex.tasks.csv_layout import find
from headspex.tasks.layouts import read_found
from headspex.tasks.task import Task


def mini(
    subjects: Sequence[str] | None = None, data_dir: str | os.PathLike[str] | None = None
) -> Task:
    """Task `mini`: synthetic subjects that need different circuits.

    Raises:
        UsageError: unknown subject, or `data_dir` is given (the data are in the package).
    """
    if data_dir is not None:
        raise UsageError(
            f"task mini brings its own data, but {argument('data_dir')} {os.fspath(data_dir)} "
            f"was given; leave it out, or take {argument('task')} mmlu"
        )
    with resources.as_file(resources.files("headspex.tasks") / "data" / "mini") as folder:
        return read_found("mini", find(Path(folder)), subjects, "mini")
