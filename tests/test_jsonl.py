import gzip
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
        ({**GOOD, "question": 5}, r"question must be a text, but it is 5"),
        ({**GOOD, "split": "train"}, r"test, validation, dev.*'train'"),
        ({**GOOD, "label": 1}, r"unknown key 'label'; leave out 'label'"),
        ({**GOOD, "question": None}, r"line 2: question must be a text, but it is null"),
        ({**GOOD, "choices": ["x", None]}, r"line 2: .*choice 1 is null"),
        ({**GOOD, "choices": None}, r"line 2: choices must be a list of texts, but it is null"),
        ({**GOOD, "subject": None}, r"line 2: subject must be a text, but it is null"),
        ({**GOOD, "answer": None}, r"line 2: the answer must be .*null"),
        ({**GOOD, "answer": 0.5}, r"line 2: the answer must be .*0\.5"),
        ({**GOOD, "answer": float("nan")}, r"line 2: the answer must be .*NaN"),
        ({**GOOD, "answer": [0]}, r"line 2: the answer must be .*a list"),
        ({**GOOD, "answer": ""}, r"line 2: the answer must be .*''"),
        # Texts, and letters beside texts, that name two choices.
        ({**GOOD, "choices": ["x", "x"], "answer": "x"}, r"names 0 and 1.*number"),
        ({**GOOD, "choices": ["B", "A"], "answer": "A"}, r"names 0 and 1.*number"),
        # Half of a character: an escape without its pair.
        ({**GOOD, "question": "\ud83d"}, r"line 2: question holds '\\ud83d', half of a character"),
        ({**GOOD, "choices": ["x", "\ude00"]}, r"line 2: choice 1 holds '\\ude00'"),
        ({**GOOD, "subject": "a\ud83d"}, r"line 2: subject holds '\\ud83d'"),
        ({"question": "Q", "choices": ["x", "y"]}, r"line 2: answer missing"),
        ([1, 2], r"must be a JSON object"),
    ],
)
def test_a_bad_line_is_named_by_file_and_line(tmp_path: Path, row: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        load_task(write(tmp_path / "quiz.jsonl", GOOD, row))
    assert "quiz.jsonl" in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "right"),
    [("Oslo", 1), (" Oslo ", 1), ("1", 2), ("A", 0), ("D", 3), (1.0, 1), (3, 3)],
)
def test_an_answer_is_a_number_a_letter_or_the_text_of_one_choice(
    tmp_path: Path, answer: Any, right: int
) -> None:
    row = {"question": "Q", "choices": ["A", "Oslo", "1", "x"], "answer": answer}
    assert load_task(write(tmp_path / "quiz.jsonl", row)).test[0].answer == right


@pytest.mark.parametrize(
    ("row", "message"),
    [
        # MMLU-Pro's.
        ({"question_id": 7, "question": "Q", "options": ["x", "y"], "answer": "A",
          "answer_index": 0, "cot_content": "", "category": "law", "src": "s"},
         r"choices missing, unknown key .*; rename 'options' to 'choices', rename 'category' to "
         r"'subject', leave out 'answer_index', 'cot_content', 'question_id', 'src'"),
        ({"question": "Q", "options": ["x", "y"], "answer_index": 0},
         r"choices, answer missing.*rename 'options' to 'choices', rename 'answer_index' to "
         r"'answer'"),
        # ARC's, and HellaSwag's.
        ({"question": "Q", "choices": ["x", "y"], "answerKey": "A"},
         r"answer missing.*rename 'answerKey' to 'answer'"),
        ({"ctx": "Q", "endings": ["x", "y"], "label": 0},
         r"rename 'ctx' to 'question', rename 'endings' to 'choices', rename 'label' to 'answer'"),
        ({**GOOD, "Split": "dev"}, r"rename 'Split' to 'split'"),
        ({**GOOD, "subjet": "law"}, r"rename 'subjet' to 'subject'"),
        ({"choices": ["x", "y"], "answer": 0}, r"question missing; add question"),
    ],
)  # fmt: skip
def test_the_names_of_other_benchmarks_are_to_be_renamed(
    tmp_path: Path, row: Any, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        load_task(write(tmp_path / "quiz.jsonl", row))


ONE = json.dumps(GOOD)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps([GOOD, GOOD]), r"line 1: .*array; write one object per line \(jq"),
        (json.dumps([GOOD, GOOD], indent=1), r"line 1: .*array; write one object per line"),
        (f"\n[{ONE},\n{ONE}]", r"line 2: the file is a JSON array; write one object per line"),
        (f"[{ONE},\n{ONE},\n]", r"array; write one object per line"),
        (json.dumps(GOOD, indent=2), r"line 1: an object spans several lines; write one"),
        (f'{{"question": "Q",\n{ONE[1:]}', r"an object spans several lines"),
        (f"{ONE},\n{ONE}\n", r"line 1: there is a trailing comma; leave it out"),
        (f"{ONE}\n{ONE[:-1]},}}\n", r"line 2: there is a trailing comma"),
        (f"{ONE} {ONE}", r"line 1: not JSON.*write one object per line"),
        (f"{ONE}\n" + '{"answer": ' + "1" * 5000 + "}", r"line 2: a number has too many digits"),
        (f"{ONE}\n" + "[" * 100_000, r"line 2: .*nested too deeply"),
        (f"{ONE}\n" + '{"a":' * 100_000, r"line 2: .*nested too deeply"),
        (f"{ONE}\nnull", r"line 2: each line must be a JSON object, but it is null"),
        (f"{ONE}\nquestion: Q", r"line 2: not JSON \(Expecting value at character 1\)"),
    ],
)
def test_json_that_is_not_one_object_a_line_is_named_for_what_it_is(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "quiz.jsonl"
    path.write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        load_task(str(path))
    assert len(str(caught.value)) < 400


def test_packed_files_and_other_endings_are_read(tmp_path: Path) -> None:
    rows = [GOOD, {**GOOD, "question": "Q2"}]
    plain = load_task(write(tmp_path / "quiz.jsonl", *rows))
    assert load_task(write(tmp_path / "quiz.json", *rows)) == plain
    packed = gzip.compress((tmp_path / "quiz.jsonl").read_bytes())
    for name in ("quiz.jsonl.gz", "quiz.json.gz", "quiz.ndjson"):  # by content, not by name
        (tmp_path / name).write_bytes(packed)
        assert load_task(str(tmp_path / name)) == plain
    (tmp_path / "quiz.jsonl.gz").write_bytes(packed[:-9])
    with pytest.raises(UsageError, match=r"quiz\.jsonl\.gz cannot be unpacked"):
        load_task(str(tmp_path / "quiz.jsonl.gz"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (ONE.encode("utf-16"), r"must be UTF-8, but is UTF-16; save it as UTF-8"),
        (ONE.encode("utf-32"), r"is UTF-32"),
        (ONE.encode("utf-16-le"), r"line 1: a text must be UTF-8 without NUL bytes"),
        (b'{"question": "n\xe9"}', r"must be UTF-8 \(.*\); save it as UTF-8"),
    ],
)
def test_other_encodings_are_refused_by_name(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "quiz.jsonl").write_bytes(data)
    with pytest.raises(UsageError, match=message):
        load_task(str(tmp_path / "quiz.jsonl"))


def test_a_file_of_another_kind_is_told_what_files_can_be(tmp_path: Path) -> None:
    (tmp_path / "quiz.tsv").write_text("question\tanswer\n")
    with pytest.raises(UsageError, match=r"quiz\.tsv is another kind of file; write.*\.jsonl"):
        load_task(str(tmp_path / "quiz.tsv"))


def test_files_that_hold_no_questions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read"):
        load_task(str(tmp_path / "none.jsonl"))
    path = tmp_path / "quiz.jsonl"
    path.write_text("\n\n")
    with pytest.raises(UsageError, match=r"has no questions"):
        load_task(str(path))
    path.write_text('{"question"\n')
    with pytest.raises(UsageError, match=r"line 1: not JSON"):
        load_task(str(path))
    with pytest.raises(UsageError, match=r"no subject 'low'.*did you mean law"):
        load_task(write(path, {**GOOD, "subject": "law"}), subjects=["low"])
