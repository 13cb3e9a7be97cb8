"""Load tasks of lm-eval, from its own files and from a folder with more."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path
from typing import Any

from headspex.errors import UsageError, argument
from headspex.support.notice import first_line
from headspex.tasks.questions import near


def loaded(name: str, include: str | os.PathLike[str] | None) -> dict[str, Any]:
    """The tasks of a name, by their own names.

    Args:
        name: of a task, a group or a tag.
        include: a folder with more YAML files.

    Raises:
        UsageError: lm-eval is not installed or has no such task, the task's data are missing, or a
            file in the folder that mentions the task is broken.
    """
    folder = None if include is None else Path(include).expanduser()
    if folder is not None and not folder.is_dir():
        raise UsageError(
            f"{argument('data_dir')} must be a folder of lm-eval's YAML files, but is {folder}"
        )
    manager = _manager(None if folder is None else str(folder))
    if folder is not None:
        _check_files(name, folder)
    if name not in manager.all_tasks:
        if folder is not None and (files := _files_of(name, folder)):
            raise UsageError(
                f"lm-eval finds no task {name!r}, though {files[0]} mentions it; check that the "
                f"file has the line `task: {name}` or `group: {name}`, and check its `include`"
            )
        raise UsageError(
            f"lm-eval has no task {name!r}{near(name, manager.all_tasks)}; "
            "`lm-eval ls tasks` lists them"
        )
    try:
        tasks = dict(manager.load(name)["tasks"])
    # lm-eval runs the task's own code, and errors of the network, the cache and broken files have
    # no narrower common class.
    except Exception as error:
        mend = "mend the task's file"
        if name in manager.all_groups:
            mend = "mend the group's file: are all of its tasks there?"
        raise UsageError(
            f"lm-eval cannot load {name} ({first_line(error)}); if data are missing, check the "
            f"network or fill the Hugging Face cache first, else {mend}"
        ) from error
    if not tasks:
        raise UsageError(f"lm-eval's group {name} holds no task; add some to its file")
    return tasks


def documents(name: str, task: Any) -> list[Any]:
    """The documents that a task asks about.

    Raises:
        UsageError: the task has no documents, or its code fails.
    """
    try:
        found = list(task.eval_docs)
    except Exception as error:  # code of the task's file
        raise UsageError(
            f"lm-eval's {name} gives no documents ({first_line(error)}); mend the task's file"
        ) from error
    if not found:
        raise UsageError(f"lm-eval's {name} has no documents; take another task")
    return found


@cache  # it reads thousands of files
def _manager(include: str | None) -> Any:
    try:
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise UsageError(
            "a task of lm-eval needs lm-eval, which is not installed; "
            "run `pip install 'headspex[lm-eval]'`"
        ) from error
    return TaskManager(include_path=include)


def _check_files(name: str, folder: Path) -> None:
    """Refuse a broken file that mentions the task: lm-eval skips it silently."""
    import yaml

    for path in _files_of(name, folder):
        try:
            yaml.compose(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UsageError(f"{path} is not a task file: {_why(error, path)}; mend it") from error


def _files_of(name: str, folder: Path) -> list[Path]:
    """The files that mention a task."""
    word = re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])".encode())
    files = sorted(path for path in folder.rglob("*.yaml") if path.is_file())
    return [path for path in files if word.search(path.read_bytes())] if name else []


def _why(error: Exception, path: Path) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return first_line(error)
    if "\t" in path.read_text(encoding="utf-8").splitlines()[mark.line]:
        return f"line {mark.line + 1} holds a tab, but YAML allows only spaces"
    return f"line {mark.line + 1}: {getattr(error, 'problem', None) or first_line(error)}"
