"""MMLU (Hendrycks et al. 2021, arXiv 2009.03300): from the Hub, from CSV files or from parquet."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from headspex.errors import UsageError, argument
from headspex.support.notice import first_line
from headspex.tasks.csv_layout import CSV
from headspex.tasks.layouts import PARTS, chosen, read_found
from headspex.tasks.questions import Question
from headspex.tasks.subject_folders import ALONE, FOLDERS, questions_of
from headspex.tasks.task import Task, checked

HUB_NAME = "cais/mmlu"
LAYOUTS = (CSV, ALONE, FOLDERS)  # the first that a folder has counts
FOLDER_NAMES = ("dev", "val", "test")  # of the original layout
SHOWN, SEARCHED = 5, 100  # names in a folder
SUBJECTS: tuple[str, ...] = (
    "abstract_algebra", "anatomy", "astronomy", "business_ethics", "clinical_knowledge",
    "college_biology", "college_chemistry", "college_computer_science", "college_mathematics",
    "college_medicine", "college_physics", "computer_security", "conceptual_physics",
    "econometrics", "electrical_engineering", "elementary_mathematics", "formal_logic",
    "global_facts", "high_school_biology", "high_school_chemistry",
    "high_school_computer_science", "high_school_european_history", "high_school_geography",
    "high_school_government_and_politics", "high_school_macroeconomics",
    "high_school_mathematics", "high_school_microeconomics", "high_school_physics",
    "high_school_psychology", "high_school_statistics", "high_school_us_history",
    "high_school_world_history", "human_aging", "human_sexuality", "international_law",
    "jurisprudence", "logical_fallacies", "machine_learning", "management", "marketing",
    "medical_genetics", "miscellaneous", "moral_disputes", "moral_scenarios", "nutrition",
    "philosophy", "prehistory", "professional_accounting", "professional_law",
    "professional_medicine", "professional_psychology", "public_relations", "security_studies",
    "sociology", "us_foreign_policy", "virology", "world_religions",
)  # fmt: skip


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
        raise UsageError(f"{argument('data_dir')} must be a folder, but there is none at {folder}")
    layout = next((one for one in LAYOUTS if one.holds(folder)), None)
    if layout is None:
        raise UsageError(_nothing(folder))
    return read_found("mmlu", layout.find(folder), subjects, str(folder))


def _nothing(folder: Path) -> str:
    """What is there in place of MMLU, and what may have been meant."""
    if folder.is_file():
        return (
            f"{argument('data_dir')} must be a folder or a parquet file, but {folder} is "
            "neither; name the "
            f"folder of the task's files, or give questions of your own as {argument('task')} "
            "questions.jsonl"
        )
    inside = sorted(path.name for path in folder.iterdir())
    there = ", ".join(inside[:SHOWN]) + (", ..." if len(inside) > SHOWN else "")
    # One folder too high, or too low, is the usual slip.
    near = [folder / name for name in inside[:SEARCHED] if (folder / name).is_dir()]
    near += [folder.resolve().parent] if folder.name in FOLDER_NAMES else []
    meant = next((one for one in near if any(layout.holds(one) for layout in LAYOUTS)), None)
    way = (
        f"did you mean {argument('data_dir')} {meant}?"
        if meant
        else "bring the questions into one of these"
    )
    shapes = " nor ".join(layout.shown for layout in LAYOUTS)
    return (
        f"{argument('data_dir')} {folder} holds neither {shapes} (its parts are called test, "
        f"validation and dev), but {there or 'nothing'}; {way}"
    )


def _from_hub(subjects: Sequence[str]) -> Task:
    import datasets

    parts: dict[str, list[Question]] = {part: [] for part in PARTS}
    for subject in subjects:
        # The errors of a missing network, an unknown configuration and an empty cache share no
        # narrower class.
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
    """57 subjects would print hundreds of them."""
    import datasets

    enabled = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if enabled:
            datasets.enable_progress_bars()
