"""The tasks that can be named, and how a name becomes a task."""

import os
from collections.abc import Callable, Sequence

from headspex.errors import UsageError
from headspex.tasks.jsonl import jsonl
from headspex.tasks.mini import mini
from headspex.tasks.mmlu import mmlu
from headspex.tasks.questions import Task, near

Loader = Callable[[Sequence[str] | None, "str | os.PathLike[str] | None"], Task]

TASKS: dict[str, Loader] = {"mini": mini, "mmlu": mmlu}


def load_task(
    name: str,
    *,
    subjects: Sequence[str] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
) -> Task:
    """A task by its name in `TASKS`, or from a file whose name ends in .jsonl.

    Raises:
        UsageError: unknown name (the near matches are named), or what the task itself raises.
    """
    if name in TASKS:
        return TASKS[name](subjects, data_dir)
    if name.endswith(".jsonl"):
        if data_dir is not None:
            raise UsageError(
                f"a JSONL task is one file, but --data-dir {os.fspath(data_dir)} was given; "
                "leave it out"
            )
        return jsonl(name, subjects)
    raise UsageError(
        f"no task {name!r}{near(name, TASKS)}; known: {', '.join(sorted(TASKS))}, "
        "or the path of a .jsonl file"
    )
