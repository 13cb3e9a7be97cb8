"""MMLU (Hendrycks et al. 2021, arXiv 2009.03300): from the Hub, from CSV files or from parquet."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from headspex.errors import UsageError, argument
from headspex.support.notice import first_line
from headspex.tasks.averages import CATEGORIES
from headspex.tasks.csv_layout import CSV
from headspex.tasks.layouts import PARTS, chosen, read_found
from headspex.tasks.questions import Question
from headspex.tasks.subject_folders import ALONE, FOLDERS, questions_of
from headspex.tasks.task import Task, checked

HUB_NAME = "cais/mmlu"
LAYOUTS = (CSV, ALONE, FOLDERS)  # the first that matches a folder counts
FOLDER_NAMES = ("dev", "val", "test")  # of the original layout
SHOWN, SEARCHED = 5, 100  # names in a folder that an error lists, and that are tried as folders
SUBJECTS: tuple[str, ...] = tuple(sorted(chain.from_iterable(CATEGORIES.values())))


def mmlu(
    subjects: Sequence[str] | None = None, data_dir: str | os.PathLike[str] | None = None
) -> Task:
    """The MMLU benchmark, or some of its subjects.

    Args:
        subjects: names with underscores; all when None.
        data_dir: a folder in one of `LAYOUTS`: MMLU's original CSV files, a copy of the Hub's
            repository, folders that `datasets` saved, or one subject of these. None: `cais/mmlu`
            from the Hub, or from its cache.

    Raises:
        UsageError: unknown subject, missing or broken files, or the Hub cannot be reached.
    """
    if data_dir is None:
        return _from_hub(chosen(subjects, SUBJECTS, "MMLU"))
    folder = Path(data_dir).expanduser()
    if not folder.exists():
        raise UsageError(f"{argument('data_dir')} must be a folder, but {folder} does not exist")
    layout = next((layout for layout in LAYOUTS if layout.holds(folder)), None)
    if layout is None:
        raise UsageError(_nothing(folder))
    return read_found("mmlu", layout.find(folder), subjects, str(folder))


def _nothing(folder: Path) -> str:
    """An error: what the folder holds instead of MMLU, and which folder may have been meant."""
    if folder.is_file():
        return (
            f"{argument('data_dir')} must be a folder or a parquet file, but {folder} is neither; "
            "name the folder of the task's files, or give your own questions as "
            f"{argument('task')} questions.jsonl"
        )
    inside = sorted(path.name for path in folder.iterdir())
    listed = ", ".join(inside[:SHOWN]) + (", ..." if len(inside) > SHOWN else "")
    # The usual mistake is one folder too high or too low.
    near = [folder / name for name in inside[:SEARCHED] if (folder / name).is_dir()]
    near += [folder.resolve().parent] if folder.name in FOLDER_NAMES else []
    meant = next((path for path in near if any(layout.holds(path) for layout in LAYOUTS)), None)
    way = (
        f"did you mean {argument('data_dir')} {meant}?"
        if meant
        else "bring the questions into one of these"
    )
    shapes = " nor ".join(layout.shown for layout in LAYOUTS)
    return (
        f"{argument('data_dir')} {folder} holds neither {shapes} (its parts are called test, "
        f"validation and dev), but {listed or 'nothing'}; {way}"
    )


def _from_hub(subjects: Sequence[str]) -> Task:
    import datasets

    parts: dict[str, list[Question]] = {part: [] for part in PARTS}
    for subject in subjects:
        # Errors of the network, the configuration and the cache have no narrower common class.
        try:
            with _no_progress_bars():
                loaded = datasets.load_dataset(HUB_NAME, subject)
        except (OSError, ValueError, RuntimeError) as error:
            raise UsageError(
                f"cannot load {HUB_NAME} ({subject}) from the Hugging Face Hub or its cache "
                f"({first_line(error)}); check the network, or pass {argument('data_dir')} with "
                "a local copy"
            ) from error
        for part in PARTS:
            if part in loaded:
                parts[part] += questions_of(loaded[part], subject, f"{HUB_NAME}/{subject}/{part}")
    return checked("mmlu", parts["dev"], parts["validation"], parts["test"])


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    """Silence progress bars: 57 subjects would print hundreds."""
    import datasets

    enabled = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if enabled:
            datasets.enable_progress_bars()
