"""lm-eval itself, with no network: what headspex's numbers are held against."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

Row = dict[str, Any]


@contextmanager
def offline(folder: Path) -> Iterator[None]:
    """Inside the block `datasets` finds local folders under the Hub's names, and nothing else."""
    import datasets

    with pytest.MonkeyPatch.context() as patch:
        # datasets looks for a folder of that name before it asks the Hub.
        patch.chdir(folder)
        patch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "cache")
        yield


def write_dataset(folder: Path, name: str, configs: dict[str, dict[str, list[Row]]]) -> None:
    """A data set as the Hub lays it out: configuration -> split -> rows."""
    import pyarrow
    import pyarrow.parquet

    header = ["---", "configs:"]
    for config, splits in configs.items():
        header += [f"- config_name: {config}", "  data_files:"]
        for split, rows in splits.items():
            path = folder / name / config / f"{split}-00000-of-00001.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
            header += [f"  - split: {split}", f"    path: {config}/{split}-*.parquet"]
    (folder / name / "README.md").write_text("\n".join([*header, "---", ""]))


def write_mmlu(
    folder: Path, source: Path, subjects: Sequence[str], count: int | None = None
) -> None:
    """`cais/mmlu` from CSV files in the original layout; the first `count` test questions."""

    def rows(part: str, subject: str) -> list[Row]:
        path = source / part / f"{subject}_{part}.csv"
        if not path.exists():
            return []
        with path.open(newline="", encoding="utf-8") as file:
            return [
                {"question": row[0], "subject": subject, "choices": row[1:5],
                 "answer": "ABCD".index(row[5])}
                for row in csv.reader(file)
            ]  # fmt: skip

    configs = {}
    for subject in subjects:
        parts = {"test": rows("test", subject)[:count], "dev": rows("dev", subject),
                 "validation": rows("val", subject)}  # fmt: skip
        configs[subject] = {part: found for part, found in parts.items() if found}
    write_dataset(folder, "cais/mmlu", configs)


@cache
def task_manager() -> Any:
    """lm-eval's index of its tasks: thousands of files, read once."""
    from lm_eval.tasks import TaskManager

    return TaskManager()


def lm_eval_run(
    folder: Path,
    tasks: Sequence[Any],
    model: Any = "hf",
    model_args: Any = None,
    manager: Any = None,
    **options: Any,
) -> dict[str, Any]:
    """The result of `lm_eval` with the data in `folder`, samples included."""
    import lm_eval

    with offline(folder):
        found = lm_eval.simple_evaluate(
            model=model, model_args=model_args, tasks=list(tasks), device="cpu", log_samples=True,
            bootstrap_iters=0, task_manager=manager or task_manager(), **options,
        )  # fmt: skip
    assert found is not None
    return dict(found)


def log_likelihoods(found: dict[str, Any], tasks: Sequence[str]) -> list[list[float]]:
    """Of each question's choices, tasks one after the other."""
    return [
        [float(response[0][0]) for response in sample["resps"]]
        for task in tasks
        for sample in sorted(found["samples"][task], key=lambda sample: sample["doc_id"])
    ]


def metric_of(found: dict[str, Any], tasks: Sequence[str], metric: str) -> list[float]:
    """Of each question."""
    return [
        float(sample[metric])
        for task in tasks
        for sample in sorted(found["samples"][task], key=lambda sample: sample["doc_id"])
    ]
