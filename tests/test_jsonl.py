import json
from pathlib import Path
from typing import Any

import pytest

from headspex.errors import UsageError
from headspex.tasks import Question, load_task


def write(path: Path, *rows: Any) -> str:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return str(path)


def test_questions_are_read_with_letters_or_numbers_as_answers(tmp_path: Path) -> None:
    name = write(
        tmp_path / "quiz.jsonl",
        {"question": "Q1", "choices": ["x", "y"], "answer": "B"},
        {"question": "Q2\u2028", "choices": ["x", "y", "z"], "answer": 2, "subject": "law"},
        {"question": "Q3", "choices": ["x", "y"], "answer": 0, "split": "dev"},
    )
    task = load_task(name)
    assert task.name == "quiz"
    assert task.test == (
        Question("", "Q1", ("x", "y"), 1),
        Question("law", "Q2\u2028", ("x", "y", "z"), 2),
    )
    assert task.dev == (Question("", "Q3", ("x", "y"), 0),)
    assert load_task(name, subjects=["law"]).test == task.test[1:]


GOOD = {"question": "Q", "choices": ["x", "y"], "answer": 0}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**GOOD, "answer": "C"}, r"line 2: .*A, B.*'C'"),
        ({**GOOD, "answer": "AB"}, r"line 2: .*'AB'"),
        ({**GOOD, "answer": 2}, r"line 2: .*0 to 1.*is 2"),
        ({**GOOD, "answer": -1}, r"line 2: .*-1"),
        ({**GOOD, "answer": True}, r"line 2: .*true"),
        ({**GOOD, "choices": ["x"]}, r"line 2: .*2 to 26 choices.*are 1"),
        ({**GOOD, "choices": ["x"] * 27}, r"are 27"),
        ({**GOOD, "choices": [1, 2]}, r"list of texts"),
        ({**GOOD, "question": 5}, r"must be texts"),
        ({**GOOD, "split": "train"}, r"test, validation, dev.*'train'"),
        ({**GOOD, "label": 1}, r"unknown key 'label'"),
        ({"question": "Q", "choices": ["x", "y"]}, r"line 2: answer missing"),
        ([1, 2], r"must be a JSON object"),
    ],
)
def test_a_bad_line_is_named_by_file_and_line(tmp_path: Path, row: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        load_task(write(tmp_path / "quiz.jsonl", GOOD, row))
    assert "quiz.jsonl" in str(caught.value)


def test_files_that_hold_no_questions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read"):
        load_task(str(tmp_path / "none.jsonl"))
    path = tmp_path / "quiz.jsonl"
    path.write_text("\n\n")
    with pytest.raises(UsageError, match=r"holds no question"):
        load_task(str(path))
    path.write_text("{\n")
    with pytest.raises(UsageError, match=r"line 1: no JSON"):
        load_task(str(path))
    with pytest.raises(UsageError, match=r"no subject 'low'.*did you mean law"):
        load_task(write(path, {**GOOD, "subject": "law"}), subjects=["low"])
