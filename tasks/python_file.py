"""`--task file.py:function`: a metric and its prompts from a Python file."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import Any

from headspex.errors import UsageError
from headspex.tasks.game import game
from headspex.tasks.questions import near
from headspex.tasks.task import Task


def python_file(name: str) -> Task:
    """A task from `path.py:function`; the file is executed.

    The function is a metric, see `headspex.tasks.game`. The file also holds `PROMPTS`, a list of
    texts or token ids, and optionally `CORRUPTED`, a list of the same length for resample ablation,
    and `POSITIONS = "last"`, if the metric needs the logits of the last position only.

    Raises:
        UsageError: the file cannot be read or raises, or lacks the function or `PROMPTS`.
    """
    place, _, function = name.rpartition(":")
    path = Path(place).expanduser()
    try:
        source = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; check the path") from error
    module = _executed(path)
    if not callable(metric := getattr(module, function, None)):
        known = [key for key, value in vars(module).items() if callable(value)]
        raise UsageError(
            f"{path} has no function {function!r}{near(function, known)}; define it as "
            f"{function}(logits, batch)"
        )
    if not hasattr(module, "PROMPTS"):
        raise UsageError(f"{path} has no PROMPTS; add a list of the texts that {function} measures")
    return game(
        metric,
        module.PROMPTS,
        corrupted=getattr(module, "CORRUPTED", None),
        positions=getattr(module, "POSITIONS", "all"),
        name=f"{path.name}:{function}",
        source=hashlib.sha256(source).hexdigest(),
    )


def _executed(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"headspex_task_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is not a Python file; name one as path/to/file.py:function")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's own code raises
        raise UsageError(
            f"{path} cannot be executed: {type(error).__name__}: {error}; mend the file"
        ) from error
    return module
