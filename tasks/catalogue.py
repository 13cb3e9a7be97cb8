"""The named tasks, and loading a task by name."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from headspex.errors import UsageError, argument
from headspex.tasks import eap_ig
from headspex.tasks.harness import lm_eval_task
from headspex.tasks.jsonl import ENDINGS
from headspex.tasks.mini import mini
from headspex.tasks.mmlu import mmlu
from headspex.tasks.pair_files import json_file, refuse_subjects
from headspex.tasks.python_file import python_file
from headspex.tasks.questions import near
from headspex.tasks.task import Task
from headspex.tasks.templates.generated import PROMPTS, generated
from headspex.tasks.templates.table import TEMPLATES
from headspex.tasks.text import PASSAGE, text

Loader = Callable[[Sequence[str] | None, "str | os.PathLike[str] | None"], Task]

TASKS: dict[str, Loader] = {"mini": mini, "mmlu": mmlu}
WRITTEN = "lm-eval:NAME, text:FILE, path/to/file.py:function, or a .jsonl, .json or .csv file"


def load_task(
    name: str,
    *,
    subjects: Sequence[str] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    prompts: int | None = None,
    passage: int | None = None,
    tokenizer: Callable[[], Any] | None = None,
) -> Task:
    """A task by its name in `TASKS` or `TEMPLATES`, or from lm-eval or a file.

    Args:
        name: in `TASKS`; in `TEMPLATES` for generated prompts; `lm-eval:arc_easy` for any task of
            lm-eval that compares likelihoods; `text:FILE` for the loss of a text;
            `file.py:function` for a metric; or a JSON or CSV file of questions or of paired
            prompts, see `json_file` and `eap_ig`.
        subjects: some of the task's; all when None.
        data_dir: a local copy of the data; with lm-eval a folder with more of its YAML files.
        prompts: how many to generate, of a task in `TEMPLATES`; 200 when None.
        passage: characters of each passage of a text; 1,000 when None.
        tokenizer: returns the model's tokenizer; called for tasks in `TEMPLATES` only, whose
            prompts must fit it.

    Raises:
        UsageError: unknown name, or an error of the task itself.
    """
    if passage is not None and not name.startswith("text:"):
        raise UsageError(
            f"{argument('passage')} goes with a text, text:FILE, but the task is {name}; leave it "
            "out"
        )
    if name in TEMPLATES:
        return _alone(lambda: _generated(name, prompts, tokenizer), name, subjects, data_dir)
    load = TASKS.get(name) or _from_name(name, passage)
    if load is not None:
        if prompts is not None:
            raise UsageError(
                f"{argument('prompts')} goes with generated tasks ({', '.join(TEMPLATES)}), but "
                f"the task is {name}; leave it out"
            )
        return load(subjects, data_dir)
    known = sorted((*TASKS, *TEMPLATES))
    if Path(name).expanduser().is_file():
        raise UsageError(
            f"a task is {WRITTEN}, or one of {', '.join(known)}, but {name} is another "
            "kind of file; write its questions as one JSON object per line to a .jsonl file, or, "
            f"for the loss of a text, name it text:{name}"
        )
    raise UsageError(f"no task {name!r}{near(name, known)}; known: {', '.join(known)}, {WRITTEN}")


def _generated(name: str, prompts: int | None, tokenizer: Callable[[], Any] | None) -> Task:
    if tokenizer is None:
        raise UsageError(
            f"the prompts of task {name} must fit a model's tokenizer, but none was given; give "
            "load_task a function that returns it, as in tokenizer=lambda: model.tokenizer"
        )
    return generated(TEMPLATES[name], tokenizer(), prompts=PROMPTS if prompts is None else prompts)


def _from_name(name: str, passage: int | None) -> Loader | None:
    if name.startswith("lm-eval:"):
        return lambda subjects, folder: lm_eval_task(
            name.removeprefix("lm-eval:"), subjects, include=folder
        )
    if name.startswith("text:"):
        return lambda subjects, folder: _alone(
            lambda: text(name.removeprefix("text:"), passage or PASSAGE), name, subjects, folder
        )
    if name.rpartition(":")[0].endswith(".py"):
        return lambda subjects, folder: _alone(lambda: python_file(name), name, subjects, folder)
    if name.lower().endswith(ENDINGS):
        return lambda subjects, folder: _alone(
            lambda: json_file(name, subjects), name, None, folder
        )
    if name.lower().endswith(eap_ig.ENDINGS):
        return lambda subjects, folder: _alone(lambda: eap_ig.eap_ig(name), name, subjects, folder)
    return None


def _alone(
    load: Callable[[], Task],
    name: str,
    subjects: Sequence[str] | None,
    folder: str | os.PathLike[str] | None,
) -> Task:
    """A task from a single file or from no data; subjects or a data folder are refused."""
    if folder is not None:
        what = "needs no data" if name in TEMPLATES else "is one file"
        raise UsageError(
            f"task {name} {what}, but {argument('data_dir')} {os.fspath(folder)} was given; "
            "leave it out"
        )
    refuse_subjects(name, subjects)
    return load()
