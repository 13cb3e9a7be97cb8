"""Folder layouts of benchmarks: where the questions of each subject are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from headspex.errors import UsageError
from headspex.tasks.questions import Question, near
from headspex.tasks.task import Task, checked

PARTS = ("dev", "validation", "test")

# subject -> part -> function that reads its questions
Found = dict[str, dict[str, Callable[[], list[Question]]]]


@dataclass(frozen=True)
class Layout:
    """A way to lay out questions in files.

    Attributes:
        shown: file names, for errors.
        holds: whether a folder has this layout.
        find: folder -> readers of its questions.
    """

    shown: str
    holds: Callable[[Path], bool]
    find: Callable[[Path], Found]


def read_found(name: str, found: Found, subjects: Sequence[str] | None, where: str) -> Task:
    """A task of some subjects; all when None.

    Args:
        name: of the task.
        found: from a layout.
        subjects: of the task.
        where: the folder, for errors.

    Raises:
        UsageError: an unknown subject, or a file that cannot be read.
    """
    parts: dict[str, list[Question]] = {part: [] for part in PARTS}
    for subject in chosen(subjects, tuple(found), where):
        for part, read in found[subject].items():
            parts[part] += read()
    return checked(name, parts["dev"], parts["validation"], parts["test"])


def chosen(subjects: Sequence[str] | None, known: Sequence[str], where: str) -> tuple[str, ...]:
    """The subjects asked for, each once; all if none are given.

    Raises:
        UsageError: one is unknown.
    """
    for subject in subjects or ():
        if subject not in known:
            raise UsageError(
                f"no subject {subject!r} in {where}{near(subject, known)}; "
                f"known: {', '.join(known)}"
            )
    return tuple(dict.fromkeys(subjects or known))
