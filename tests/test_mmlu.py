import csv
from pathlib import Path

import pytest

from headspex.errors import UsageError
from headspex.tasks import SUBJECTS, Question, load_task, mmlu

ROWS = [
    ["  What is 1 + 1? ", "None", "NA", "0.50", "2", "D"],
    ['She said, "count",\nthen\tleft.', "a", "b", "c", "d", "A"],
    ["Café?", "naïve", "1,000", "∈ G", "x", "B"],
]


def write(folder: Path, subject: str, part: str, rows: list[list[str]]) -> Path:
    path = folder / part / f"{subject}_{part}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


def test_csv_fields_are_kept_as_written(tmp_path: Path) -> None:
    write(tmp_path, "anatomy", "test", ROWS)
    write(tmp_path, "anatomy", "val", [["v", "1", "2", "3", "4", "C"]])
    write(tmp_path, "anatomy", "dev", [["d", "1", "2", "3", "4", "C"]])
    task = load_task("mmlu", data_dir=tmp_path)
    assert task.test[0] == Question("anatomy", "  What is 1 + 1? ", ("None", "NA", "0.50", "2"), 3)
    assert task.test[1].question == 'She said, "count",\nthen\tleft.'
    assert task.test[2].choices == ("naïve", "1,000", "∈ G", "x")
    assert [q.question for q in task.validation] == ["v"]
    assert [q.question for q in task.dev] == ["d"]


def test_parquet_gives_the_same_task_as_csv(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    write(tmp_path / "csv", "anatomy", "test", ROWS)
    folder = tmp_path / "parquet" / "anatomy"
    folder.mkdir(parents=True)
    rows = [
        {"question": r[0], "subject": "anatomy", "choices": r[1:5], "answer": "ABCD".index(r[5])}
        for r in ROWS
    ]
    table = pyarrow.Table.from_pylist(rows)
    pyarrow.parquet.write_table(table, folder / "test-00000-of-00001.parquet")
    assert mmlu(data_dir=tmp_path / "parquet") == mmlu(data_dir=tmp_path / "csv")


def test_the_real_benchmark_has_57_subjects_and_14042_test_questions(mmlu_folder: Path) -> None:
    task = mmlu(data_dir=mmlu_folder)
    assert len(task.test) == 14_042
    assert len(task.dev) == 285
    assert set(task.subjects) == set(SUBJECTS)
    assert len(SUBJECTS) == 57


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (["q", "a", "b", "c", "A"], r"anatomy_test\.csv, line 5: a row has six fields.*has 5"),
        (["q", "a", "b", "c", "d", "E"], r"anatomy_test\.csv, line 5: .*A, B, C, D.*'E'"),
        (["q", "a", "b", "c", "d", ""], r"line 5.*''"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, row: list[str], message: str) -> None:
    # The second row spans two lines of the file.
    write(tmp_path, "anatomy", "test", [*ROWS, row])
    with pytest.raises(UsageError, match=message):
        mmlu(data_dir=tmp_path)


QUOTED = '"Why, so?",a,b,c,d,A\n'


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            QUOTED.replace(",a,b,c,d,", ";a;b;c;d;"),
            r"line 1: .*separated by commas, not semicolons",
        ),
        ("Why so?;a;b;c;d;A\n", r"line 1: .*has 1; fields are separated by semicolons"),
        ("Why, so?;a;b;c;d;A\n", r"line 1: .*has 2; fields are separated by semicolons"),
        ("Why so?\ta\tb\tc\td\tA\n", r"line 1: .*separated by tabs"),
        (QUOTED.encode("utf-16"), r"must be UTF-8, but is UTF-16; save it as UTF-8"),
        (QUOTED.encode("utf-16-le"), r"anatomy_test\.csv, line 1: .*NUL"),
        (b"caf\xe9,a,b,c,d,A\n", r"must be UTF-8 \(.*position 3.*\); save it as UTF-8"),
        ("question,A,B,C,D,answer\n" + QUOTED, r"line 1: .*'answer'; .*header, delete it"),
        (",question,A,B,C,D,answer\n0," + QUOTED, r"line 1: .*has 7; leave out the row numbers"),
        ("0," + QUOTED, r"line 1: .*has 7; leave out the row numbers"),
        (QUOTED + "x" * 200_000 + ",a,b,c,d,A\n", r"line 2: a field must have at most 131,072"),
        (QUOTED + '"left open,a,b,c,d,A\n' + QUOTED * 9, r"line 2: .*not a row of a CSV"),
        (QUOTED * 2 + "Why\0?,a,b,c,d,A\n", r"line 3: .*NUL"),
        (QUOTED + ",,,,,\n", r"line 2: the answer must be one of A, B, C, D.*''; mend"),
    ],
)
def test_what_spreadsheets_make_of_csv_is_named_by_file_and_line(
    tmp_path: Path, data: str | bytes, message: str
) -> None:
    path = tmp_path / "test" / "anatomy_test.csv"
    path.parent.mkdir()
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    with pytest.raises(UsageError, match=message) as caught:
        mmlu(data_dir=tmp_path)
    assert "anatomy_test.csv" in str(caught.value)


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_other_line_ends_and_a_byte_order_mark_change_nothing(tmp_path: Path, end: str) -> None:
    write(tmp_path, "anatomy", "test", [])
    rows = QUOTED.replace("\n", end) * 2
    (tmp_path / "test/anatomy_test.csv").write_bytes(b"\xef\xbb\xbf" + rows.encode())
    assert mmlu(data_dir=tmp_path).test == (Question("anatomy", "Why, so?", tuple("abcd"), 0),) * 2


def test_missing_and_empty_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"must be a folder, but .* does not exist"):
        mmlu(data_dir=tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"holds neither"):
        mmlu(data_dir=tmp_path)
    write(tmp_path, "anatomy", "test", [])
    with pytest.raises(UsageError, match=r"anatomy_test\.csv is empty"):
        mmlu(data_dir=tmp_path)
    (tmp_path / "test" / "anatomy_test.csv").write_bytes(b"\xff\xfe,a,b,c,d,A\n")
    with pytest.raises(UsageError, match=r"UTF-8"):
        mmlu(data_dir=tmp_path)


def test_unknown_subjects_are_refused_with_near_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"did you mean high_school_us_history"):
        mmlu(["high_school_us_histry"])
    write(tmp_path, "anatomy", "test", ROWS)
    with pytest.raises(UsageError, match=r"did you mean anatomy"):
        mmlu(["anatomie"], tmp_path)


def test_unknown_tasks_are_refused_with_near_ones() -> None:
    with pytest.raises(UsageError, match=r"no task 'mmlo'.*did you mean mmlu"):
        load_task("mmlo")


def test_mini_has_five_subjects_of_200_test_questions_each() -> None:
    task = load_task("mini")
    assert len(task.subjects) >= 5
    for subject in task.subjects:
        assert sum(q.subject == subject for q in task.test) >= 200
        assert len(task.shots(subject, 5)) == 5
    assert task.chance == 0.25
    with pytest.raises(UsageError, match=r"brings its own data"):
        load_task("mini", data_dir=".")
