"""MMLU as people have it: copies of the Hub's repository, saved data sets, single files."""

from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from headspex.errors import UsageError
from headspex.tasks import Question, mmlu

Row = dict[str, Any]
PARTS = ("test", "dev", "validation")
SUBJECTS = ("abstract_algebra", "anatomy")


def row(subject: str, part: str, n: int) -> Row:
    texts = ["None", "NA", "nan", f"{n}"]
    question = f"What of {subject}, {part}, {n}?"
    return {"question": question, "subject": subject, "choices": texts, "answer": n % 4}


ROWS = {s: {part: [row(s, part, n) for n in range(6)] for part in PARTS} for s in SUBJECTS}


def parquet(path: Path, rows: list[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """As `cais/mmlu` on the Hub: `all` repeats the subjects, `auxiliary_train` is to train on."""
    for part in PARTS:
        name = f"{part}-00000-of-00001.parquet"
        for subject in SUBJECTS:
            parquet(tmp_path / subject / name, ROWS[subject][part])
        parquet(tmp_path / "all" / name, [one for s in SUBJECTS for one in ROWS[s][part]])
    training = [{"train": row("", "train", n)} for n in range(3)]
    parquet(tmp_path / "auxiliary_train" / "train-00000-of-00001.parquet", training)
    parquet(tmp_path / "all" / "auxiliary_train-00000-of-00001.parquet", training)
    return tmp_path


def expected(*subjects: str, part: str = "test") -> tuple[Question, ...]:
    return tuple(
        Question(s, one["question"], ("None", "NA", "nan", one["choices"][3]), one["answer"])
        for s in subjects
        for one in ROWS[s][part]
    )


def test_all_and_what_is_to_train_on_are_no_subjects(
    hub: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = mmlu(data_dir=hub)
    assert task.subjects == SUBJECTS
    assert task.test == expected(*SUBJECTS)
    assert task.dev == expected(*SUBJECTS, part="dev")
    assert task.validation == expected(*SUBJECTS, part="validation")
    assert capsys.readouterr().err == ""
    with pytest.raises(UsageError, match=r"no subject 'all'.*known: abstract_algebra, anatomy"):
        mmlu(["all"], hub)


def test_all_alone_gives_the_subjects_that_its_rows_name(hub: Path, tmp_path: Path) -> None:
    assert mmlu(data_dir=hub / "all").test == expected(*SUBJECTS)
    assert mmlu(["anatomy"], hub / "all").test == expected("anatomy")
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/all").symlink_to(hub / "all")
    assert mmlu(data_dir=tmp_path / "copy").test == expected(*SUBJECTS)


def test_all_that_holds_more_than_the_folders_beside_it_is_said(
    hub: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = [*ROWS["anatomy"]["test"], row("virology", "test", 0)]
    parquet(hub / "all/test-00000-of-00001.parquet", more)
    assert mmlu(data_dir=hub).subjects == SUBJECTS
    assert "all is ignored" in (said := capsys.readouterr().err)
    assert "virology" in said


def test_all_whose_rows_name_no_subject_is_refused_alone(hub: Path) -> None:
    bare = [{k: v for k, v in one.items() if k != "subject"} for one in ROWS["anatomy"]["test"]]
    parquet(hub / "all/test-00000-of-00001.parquet", bare)
    assert mmlu(data_dir=hub).subjects == SUBJECTS
    with pytest.raises(UsageError, match=r"test-0.*, row 0: subject must be a text"):
        mmlu(data_dir=hub / "all")


def test_rows_name_their_subject_also_in_a_folder_of_another_name(
    hub: Path, tmp_path: Path
) -> None:
    rows = [one for s in SUBJECTS for one in ROWS[s]["test"]]
    spaced = [{**one, "subject": one["subject"].replace("_", " ")} for one in rows]
    parquet(tmp_path / "own/mine/test.parquet", spaced)
    assert mmlu(data_dir=tmp_path / "own").test == expected(*SUBJECTS)
    parquet(hub / "mine/test.parquet", rows)
    with pytest.raises(UsageError, match=r"abstract_algebra is in .* and in .*mine"):
        mmlu(data_dir=hub)


def test_one_subjects_folder_or_file_gives_that_subject(hub: Path, tmp_path: Path) -> None:
    assert mmlu(data_dir=hub / "anatomy").test == expected("anatomy")
    assert mmlu(data_dir=hub / "anatomy").dev == expected("anatomy", part="dev")
    file = hub / "anatomy/test-00000-of-00001.parquet"
    assert mmlu(data_dir=file).test == expected("anatomy")
    bare = [{k: v for k, v in one.items() if k != "subject"} for one in ROWS["anatomy"]["test"]]
    parquet(tmp_path / "one/anatomy/test.parquet", bare)
    for place in ("one", "one/anatomy", "one/anatomy/test.parquet"):
        task = mmlu(data_dir=tmp_path / place)
        assert (task.test, task.dev) == (expected("anatomy"), ())


def test_shards_are_read_in_order_and_must_all_be_there(tmp_path: Path) -> None:
    rows = ROWS["anatomy"]["test"]
    for n in range(2):
        parquet(tmp_path / f"anatomy/test-0000{n}-of-00002.parquet", rows[3 * n : 3 * n + 3])
    assert mmlu(data_dir=tmp_path).test == expected("anatomy")
    parquet(tmp_path / "anatomy/test.parquet", rows)
    with pytest.raises(UsageError, match=r"anatomy must hold one file of test questions, or all"):
        mmlu(data_dir=tmp_path)
    (tmp_path / "anatomy/test.parquet").unlink()
    (tmp_path / "anatomy/test-00001-of-00002.parquet").unlink()
    with pytest.raises(UsageError, match=r"holds test-00000-of-00002\.parquet; fetch the missing"):
        mmlu(data_dir=tmp_path)


def test_folders_of_save_to_disk_are_read(tmp_path: Path) -> None:
    import datasets

    for subject in SUBJECTS:
        parts = {part: datasets.Dataset.from_list(rows) for part, rows in ROWS[subject].items()}
        datasets.DatasetDict(parts).save_to_disk(tmp_path / "dicts" / subject)
        parts["test"].save_to_disk(tmp_path / "tests" / subject)
        parts["dev"].save_to_disk(tmp_path / "parts" / subject / "dev")
        parts["test"].save_to_disk(tmp_path / "parts" / subject / "test")
    for kind, dev in {"dicts": True, "tests": False, "parts": True}.items():
        task = mmlu(data_dir=tmp_path / kind)
        assert task.test == expected(*SUBJECTS)
        assert task.dev == (expected(*SUBJECTS, part="dev") if dev else ())
        assert mmlu(data_dir=tmp_path / kind / "anatomy").test == expected("anatomy")
    for arrow in (tmp_path / "tests/anatomy").glob("*.arrow"):
        arrow.unlink()
    with pytest.raises(
        UsageError, match=r"anatomy is not a complete folder of save_to_disk; save it"
    ):
        mmlu(data_dir=tmp_path / "tests")


def test_a_saved_split_to_train_on_is_no_test(tmp_path: Path) -> None:
    import datasets

    rows = ROWS["anatomy"]["test"]
    own = datasets.Dataset.from_list(rows, split="test[:50%]")
    own.save_to_disk(tmp_path / "test/anatomy")
    assert mmlu(data_dir=tmp_path / "test").test == expected("anatomy")
    datasets.Dataset.from_list(rows, split="train").save_to_disk(tmp_path / "train/anatomy")
    with pytest.raises(UsageError, match=r"holds neither .*save_to_disk.*, but anatomy;"):
        mmlu(data_dir=tmp_path / "train")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"question": None}, r"question must be a text, but it is null"),
        ({"choices": ["a", "b", None, "d"]}, r"choices must be .* choice 2 is null"),
        ({"choices": None}, r"choices must be a list of texts, but it is null"),
        ({"choices": ["a"]}, r"2 to 26 choices, but there are 1"),
        ({"answer": None}, r"the answer must be .* null"),
        ({"answer": 4}, r"the answer must be .*0 to 3.* 4"),
        ({"answer": -1}, r"the answer must be .* -1"),
    ],
)
def test_a_row_with_a_gap_is_refused_by_file_and_row(
    tmp_path: Path, change: Row, message: str
) -> None:
    path = tmp_path / "anatomy/test.parquet"
    parquet(path, [row("anatomy", "test", 0), {**row("anatomy", "test", 1), **change}])
    for place in (tmp_path, tmp_path / "anatomy", path):
        with pytest.raises(UsageError, match=rf"anatomy/test\.parquet, row 1: .*{message}"):
            mmlu(data_dir=place)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([0.0, 2.7], r"row 1: the answer must be .* 2\.7"),
        ([0.0, float("nan")], r"row 1: the answer must be .* NaN"),
        ([0.0, float("inf")], r"row 1: the answer must be .* Infinity"),
        ([False, True], r"row 0: the answer must be .* false"),
        (["A", "E"], r"row 1: the answer must be one of A, B, C, D.*'E'"),
    ],
)
def test_an_answer_that_is_no_choice_is_refused(
    tmp_path: Path, answers: list[Any], message: str
) -> None:
    rows = [{**row("anatomy", "test", n), "answer": one} for n, one in enumerate(answers)]
    parquet(tmp_path / "anatomy/test.parquet", rows)
    with pytest.raises(UsageError, match=message):
        mmlu(data_dir=tmp_path)


def test_whole_numbers_of_a_column_with_gaps_are_answers_and_so_are_letters(
    tmp_path: Path,
) -> None:
    for answers in ([0.0, 1.0], ["A", "B"]):
        rows = [{**row("anatomy", "test", n), "answer": one} for n, one in enumerate(answers)]
        parquet(tmp_path / "anatomy/test.parquet", rows)
        assert [q.answer for q in mmlu(data_dir=tmp_path).test] == [0, 1]


def test_other_names_of_columns_are_to_be_renamed(tmp_path: Path) -> None:
    rows = [{"question": "Q", "options": ["x", "y"], "answer_index": 0, "src": "s"}]
    parquet(tmp_path / "anatomy/test.parquet", rows)
    with pytest.raises(UsageError, match=r"rename 'options' to 'choices', rename 'answer_index'"):
        mmlu(data_dir=tmp_path)


def test_files_that_are_no_parquet_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "anatomy/test-00000-of-00001.parquet"
    path.parent.mkdir()
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n")
    with pytest.raises(UsageError, match=r"Git LFS pointer.*git lfs pull"):
        mmlu(data_dir=tmp_path)
    path.write_bytes(b"PAR1")
    with pytest.raises(UsageError, match=r"is not a parquet file; fetch it again"):
        mmlu(data_dir=tmp_path)


def test_a_folder_of_something_else_is_told_what_it_holds_and_what_is_meant(
    hub: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    for name in ("a.csv", "b.csv"):
        other.mkdir(exist_ok=True)
        (other / name).write_text("question,answer\n")
    with pytest.raises(UsageError, match=r"holds neither test/<subject>_test.*a\.csv, b\.csv;"):
        mmlu(data_dir=other)
    with pytest.raises(UsageError, match=r"must be a folder or a parquet file, but .*a\.csv is"):
        mmlu(data_dir=other / "a.csv")
    (tmp_path / "above").mkdir()
    (tmp_path / "above/mmlu").symlink_to(hub)
    with pytest.raises(UsageError, match=r"did you mean data_dir .*above/mmlu\?"):
        mmlu(data_dir=tmp_path / "above")
    (tmp_path / "csv/test").mkdir(parents=True)
    (tmp_path / "csv/test/anatomy_test.csv").write_text("q,a,b,c,d,A\n")
    with pytest.raises(UsageError, match=r"did you mean data_dir .*csv\?"):
        mmlu(data_dir=tmp_path / "csv/test")
