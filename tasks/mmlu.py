"""MMLU (Hendrycks et al. 2021, arXiv 2009.03300): from the Hub, from CSV files or from parquet."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headspex.errors import UsageError
from headspex.tasks.csv_layout import read_layout, subjects_in
from headspex.tasks.questions import Question, near
from headspex.tasks.task import Task, checked

HUB_NAME = "cais/mmlu"
PARTS = ("dev", "validation", "test")
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
        data_dir: a folder in the original layout (dev/, test/, val/ with CSV files) or with one
            folder of parquet files per subject, as in the Hub's repository. None: `cais/mmlu`
            from the Hub, or from its cache.

    Raises:
        UsageError: unknown subject, missing or broken files, or the Hub cannot be reached.
    """
    if data_dir is None:
        return _from_hub(_known(subjects, SUBJECTS, "MMLU"))
    folder = Path(data_dir).expanduser()
    if not folder.is_dir():
        raise UsageError(f"--data-dir must be a folder, but there is none at {folder}")
    if subjects_in(folder):
        return read_layout("mmlu", folder, subjects)
    found = sorted(path.parent.name for path in folder.glob("*/test-*.parquet"))
    if not found:
        raise UsageError(
            f"--data-dir {folder} holds neither test/<subject>_test.csv nor "
            "<subject>/test-*.parquet; name the folder above those"
        )
    return _from_parquet(folder, _known(subjects, dict.fromkeys(found), str(folder)))


def _known(subjects: Sequence[str] | None, known: Iterable[str], where: str) -> tuple[str, ...]:
    known = tuple(known)
    for subject in subjects or ():
        if subject not in known:
            raise UsageError(
                f"no subject {subject!r} in {where}{near(subject, known)}; "
                f"known: {', '.join(known)}"
            )
    return tuple(dict.fromkeys(subjects or known))


def _from_parquet(folder: Path, subjects: Sequence[str]) -> Task:
    import pyarrow
    import pyarrow.parquet

    parts: dict[str, list[Question]] = {part: [] for part in PARTS}
    for subject in subjects:
        for part in PARTS:
            for path in sorted((folder / subject).glob(f"{part}-*.parquet")):
                try:
                    rows = pyarrow.parquet.read_table(path).to_pylist()
                except (OSError, pyarrow.ArrowException) as error:
                    raise UsageError(f"{path} is no parquet file; fetch it again") from error
                parts[part] += _questions(rows, subject, str(path))
    return checked("mmlu", parts["dev"], parts["validation"], parts["test"])


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
                f"({_first_line(error)}); check the network, or pass --data-dir with a local copy"
            ) from error
        for part in PARTS:
            if part in loaded:
                parts[part] += _questions(loaded[part], subject, f"{HUB_NAME}/{subject}/{part}")
    return checked("mmlu", parts["dev"], parts["validation"], parts["test"])


def _questions(rows: Iterable[Mapping[str, Any]], subject: str, place: str) -> list[Question]:
    questions = []
    for number, row in enumerate(rows):
        try:
            choices, answer = tuple(row["choices"]), int(row["answer"])
            question = Question(subject, row["question"], choices, answer)
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(
                f"{place}, row {number}: a row needs question, choices and answer (a number), "
                f"but it has {', '.join(sorted(row))}; fetch the data again"
            ) from error
        if not 0 <= answer < len(choices):
            raise UsageError(
                f"{place}, row {number}: the answer must be 0-{len(choices) - 1}, "
                f"but it is {answer}; fetch the data again"
            )
        questions.append(question)
    return questions


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


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".")
