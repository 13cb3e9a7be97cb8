"""Files of paired prompts: ours, AutoCircuit's, EAP-IG's and MIB's."""

import csv
import gzip
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_models import byte_tokenizer, save_random_llama

from headspex.errors import UsageError
from headspex.hooks import answer_log_probs, load_model
from headspex.support.notice import say_once
from headspex.tasks import Task, load_task, split
from headspex.tasks.pairs import Pair
from headspex.tasks.vocabulary import check_questions

NAMES = ("Ada", "Bo", "Cleo", "Dan", "Eve", "Finn", "Gus")
TEXTS = [
    "Then Bo rowed home with Ada, and Cleo handed the oar to Dan Eve Finn Gus",
    "A kite is red. B C D Which hue has a kite?\nAnswer: A",
    "Question: what is 31 plus 8 ? 5 6 7 9 Answer: 39 38 40",
]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return byte_tokenizer(TEXTS, 600)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    return save_random_llama(tmp_path_factory.mktemp("model"), layers=2, tokenizer=tokenizer)


@pytest.fixture(autouse=True)
def _say_again() -> None:
    say_once.cache_clear()


def rowed(giver: int, other: int, again: int) -> str:
    names = [NAMES[number % len(NAMES)] for number in (giver, other, again)]
    return "Then {} rowed home with {}, and {} handed the oar to".format(*names)


def name(number: int) -> str:
    return f" {NAMES[number % len(NAMES)]}"


Expected = list[tuple[str, list[str], list[str]]]  # clean prompt, right and wrong texts


def auto_circuit(path: Path, tokenizer: Any) -> tuple[Path, Expected]:
    path = path / "rowing.json"
    rows = [
        {"clean": rowed(n, n + 1, n + 1), "corrupt": rowed(n, n + 1, n),
         "answers": [name(n), name(n + 2)], "wrong_answers": [name(n + k) for k in (1, 3, 4)]}
        for n in range(10)
    ]  # fmt: skip
    whole = {"seq_labels": ["one", "two"], "word_idxs": {"one": 0}, "prompts": rows}
    path.write_text(json.dumps(whole, indent=2))
    return path, [(r["clean"], r["answers"], r["wrong_answers"]) for r in rows]  # type: ignore[misc]


def eap_ig(path: Path, tokenizer: Any) -> tuple[Path, Expected]:
    path = path / "rowing.csv"
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["", "clean", "corrupted", "corrupted_hard", "correct_idx", "incorrect_idx"])
    expected: Expected = []
    for n in range(10):
        right, wrong = name(n), name(n + 1)
        ids = [tokenizer(one, add_special_tokens=False)["input_ids"][0] for one in (right, wrong)]
        asked = rowed(n, n + 1, n + 1)
        table.writerow([70 - n, asked, rowed(n, n + 1, n + 2), rowed(n, n + 1, n), *ids])
        expected.append((asked, [right], [wrong]))
    path.write_text(text.getvalue())
    return path, expected


def mib_names(path: Path, tokenizer: Any) -> tuple[Path, Expected]:
    """As in `ioi`: choices are names, and the first counterfactual lacks an answer in one row."""
    path = path / "names.jsonl"
    rows, expected = [], []
    for n in range(10):
        both = [NAMES[n % 7], NAMES[(n + 1) % 7]]
        rows.append({
            "prompt": rowed(n, n + 1, n + 1), "template": "t", "metadata": {"subject": both[1]},
            "choices": both, "answerKey": 0,
            "abc_counterfactual": {"prompt": rowed(n, n + 3, n + 4), "choices": both,
                                   "answerKey": None if n == 4 else 1},
            "flip_counterfactual": {"prompt": rowed(n, n + 1, n), "choices": both, "answerKey": 1},
        })  # fmt: skip
        expected.append((rowed(n, n + 1, n + 1), [f" {both[0]}"], [f" {both[1]}"]))
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path, expected


def mib_letters(path: Path, tokenizer: Any) -> tuple[Path, Expected]:
    """As in `copycolors_mcqa`, as a list; the first counterfactual has the same letter."""
    path = path / "letters.json"
    asked = "A kite is red. Which hue has a kite?\n{}\nAnswer:"
    rows, expected = [], []
    for n in range(10):
        letters = ["ABCD"[(n + k) % 4] for k in range(4)]
        choices = {"label": letters, "text": ["red"] * 4}
        prompts = [asked.format(letters[k]) for k in range(3)]
        rows.append({
            "prompt": prompts[0] + f" {NAMES[n % 7]}" * (n // 4), "choices": choices,
            "answerKey": n % 4,
            "noun_counterfactual": {"prompt": prompts[1], "choices": choices, "answerKey": n % 4},
            "symbol_counterfactual": {"prompt": prompts[2] + f" {NAMES[0]}" * (n // 4),
                                      "choices": choices, "answerKey": (n + 1) % 4},
        })  # fmt: skip
        right, wrong = letters[n % 4], letters[(n + 1) % 4]
        expected.append((str(rows[-1]["prompt"]), [f" {right}"], [f" {wrong}"]))
    path.write_text(json.dumps(rows))
    return path, expected


def mib_sums(path: Path, tokenizer: Any) -> tuple[Path, Expected]:
    """As in `arithmetic_addition`: whole numbers after a prompt that ends in a blank."""
    path = path / "sums.jsonl"
    rows, expected = [], []
    for n in range(10):
        prompt = f"Question: what is 3 plus {5 + n % 3} ? Answer: Answer{'.' * n} "
        rows.append({
            "prompt": prompt, "operator": "+", "label": 38 + n % 2,
            "random_counterfactual": {"prompt": prompt.replace("3", "8"), "label": 40},
        })  # fmt: skip
        expected.append((prompt, [str(38 + n % 2)], ["40"]))
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path, expected


@pytest.mark.parametrize("write", [auto_circuit, eap_ig, mib_names, mib_letters, mib_sums])
def test_ten_rows_of_each_format_score_as_plain_transformers_scores_them(
    write: Any, folder: Path, tokenizer: Any, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    path, expected = write(tmp_path, tokenizer)
    plain = AutoModelForCausalLM.from_pretrained(folder)
    differences, chances = [], []
    for clean, right, wrong in expected:
        ids = [[tokenizer(clean + one)["input_ids"][-1] for one in some] for some in (right, wrong)]
        with torch.no_grad():
            logits = plain(torch.tensor([tokenizer(clean)["input_ids"]])).logits[0, -1]
        differences.append(float(logits[ids[0]].mean() - logits[ids[1]].mean()))
        shares = logits.softmax(-1)
        chances.append(float(shares[ids[0]].sum() - shares[ids[1]].sum()))

    task = load_task(str(path))
    encoded = [replace(one, kl=False) for one in task.encode(task.test, tokenizer)]
    assert all(one.corrupted != one.context for one in encoded)
    values = answer_log_probs(load_model(folder), encoded)
    assert len(task.test) == 10
    for metric, scores in (("logit-diff", differences), ("prob-diff", chances)):
        np.testing.assert_allclose(
            task.scores(metric, values, task.test, encoded), scores, atol=2e-5
        )
    assert task.metric == "logit-diff"
    assert task.name == path.stem


def test_what_is_chosen_for_the_reader_is_said(
    tokenizer: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for write, said in (
        (
            mib_names,
            ["are those of flip_counterfactual", "a blank is put before answers, as in ' A"],
        ),
        (mib_letters, ["are those of symbol_counterfactual", "a blank is put before answers"]),
        (mib_sums, ["are those of random_counterfactual"]),
        (eap_ig, ["token ids, which are right only for the tokenizer"]),
    ):
        load_task(str(write(tmp_path, tokenizer)[0]))
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == len(said)
        assert all(text in line for text, line in zip(said, lines, strict=True))


GOOD: dict[str, Any] = {"clean": "Ada met", "answers": [" Bo"], "wrong": [" Eve"]}


def write(path: Path, *rows: Any) -> str:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return str(path)


def pairs_of(task: Task) -> list[Pair]:
    found = [question for question in task.pool if isinstance(question, Pair)]
    assert len(found) == len(task.pool)
    return found


def test_our_pairs_are_texts_or_token_ids(tmp_path: Path) -> None:
    rows = [
        {**GOOD, "corrupted": "Gus met"},
        {"clean": [3, 4], "corrupted": [3, 5], "answer": 7, "wrong": [8, 9]},
        {"clean": "Bo met", "answer": " Eve", "wrong": " Ada"},
    ]
    name = write(tmp_path / "met.jsonl", *rows)
    first, second, third = pairs_of(load_task(name))
    assert (first.clean, first.corrupted) == ("Ada met", "Gus met")
    assert (first.answers, first.wrong) == ((" Bo",), (" Eve",))
    assert (second.clean, second.corrupted) == ((3, 4), (3, 5))
    assert (second.answers, second.wrong) == ((7,), (8, 9))
    assert (third.corrupted, third.answers, third.wrong) == (None, (" Eve",), (" Ada",))
    assert [pair.place.rpartition(", ")[2] for pair in (first, third)] == ["line 1", "line 3"]
    listed = tmp_path / "met.json"
    listed.write_text(json.dumps(rows, indent=1))
    assert load_task(str(listed)) == load_task(name)
    assert [pair.place.rpartition(" ")[2] for pair in pairs_of(load_task(str(listed)))] == [
        "2", "12", "27"
    ]  # fmt: skip
    (tmp_path / "met.jsonl.gz").write_bytes(gzip.compress(Path(name).read_bytes()))
    assert load_task(str(tmp_path / "met.jsonl.gz")) == load_task(name)


def test_a_split_of_the_file_is_kept(tmp_path: Path) -> None:
    rows = [
        {**GOOD, "clean": f"Ada {n}", "split": "heldout" if n % 3 else "search"} for n in range(6)
    ]
    search, heldout = split(load_task(write(tmp_path / "met.jsonl", *rows)))
    assert [q.question for q in search] == ["Ada 0", "Ada 3"]
    assert [q.question for q in heldout] == ["Ada 1", "Ada 2", "Ada 4", "Ada 5"]


HALF = "\ud83d"
MIB = {
    "prompt": "Ada or Bo?", "choices": ["Ada", "Bo"], "answerKey": 0,
    "x_counterfactual": {"prompt": "Bo or Ada?", "answer": "Bo"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"answers": [" Bo"], "wrong": [" Eve"]}, "clean missing; add clean"),
        ({**GOOD, "wrong": []}, "wrong must hold one text or token id or more, but it is empty"),
        ({**GOOD, "answers": []}, "answers must hold one text .* empty"),
        ({**GOOD, "wrong": [" Bo"]}, "' Bo' is in answers and in wrong; remove it from one"),
        ({**GOOD, "clean": 5}, "clean must be a text or a list of token ids, but it is 5; write"),
        ({**GOOD, "clean": ""}, "clean must be .*, but it is ''"),
        ({**GOOD, "clean": []}, "clean must be .*, but it holds nothing"),
        ({**GOOD, "clean": [3, -1]}, "clean must be .*, but it holds -1"),
        ({**GOOD, "clean": [True]}, "clean must be .*, but it holds true"),
        ({**GOOD, "corrupted": None}, "corrupted must be .*, but it is null"),
        ({**GOOD, "answers": [0.5]}, r"answers must be texts or token ids, but it is 0\.5"),
        ({**GOOD, "answers": [[" Bo"]]}, "answers must be .*, but it is a list"),
        ({**GOOD, "wrong": [""]}, "wrong must be .*, but it is ''"),
        ({**GOOD, "clean": HALF}, r"clean holds '\\ud83d', half of a character"),
        ({**GOOD, "corrupted": HALF}, r"corrupted holds '\\ud83d'"),
        ({**GOOD, "wrong": [HALF]}, r"wrong holds '\\ud83d'"),
        ({**GOOD, "answer": " Bo"}, "unknown key 'answer'; leave out 'answer'"),
        ({"clean": "a", "answer": [" Bo"], "wrong": " Eve"}, "is a list; call a list answers"),
        ({**GOOD, "corrupt": "Gus met"}, "rename 'corrupt' to 'corrupted'"),
        ({"clean_prefix": "a", "patch_prefix": "b", "clean_answer": "c", "patch_answer": "d"},
         "rename 'clean_prefix' to 'clean', rename 'clean_answer' to 'answers', rename "
         "'patch_answer' to 'wrong', rename 'patch_prefix' to 'corrupted'"),
        ({**GOOD, "split": "search"}, "all rows or none must have a split, .* has 'search'"),
        ({**GOOD, "split": "test"}, "split must be search or heldout, but it is 'test'"),
        ({"question": "Q", "choices": ["x", "y"], "answer": 0},
         "the first is a pair of prompts and this one a multiple-choice question; put them"),
        (MIB, "this one a row of MIB"),
        ([1], "must be a JSON object, but it is an array"),
    ],
)  # fmt: skip
def test_a_bad_pair_is_named_by_file_and_line(tmp_path: Path, row: Any, message: str) -> None:
    with pytest.raises(UsageError, match=rf"met\.jsonl, line 2: .*{message}") as caught:
        load_task(write(tmp_path / "met.jsonl", GOOD, row))
    assert "\n" not in str(caught.value)


def test_pairs_among_questions_are_named_too(tmp_path: Path) -> None:
    question = {"question": "Q", "choices": ["x", "y"], "answer": 0}
    with pytest.raises(
        UsageError, match=r"line 2: .*first is a multiple-choice question.*a pair of"
    ):
        load_task(write(tmp_path / "met.jsonl", question, GOOD))
    with pytest.raises(UsageError, match=r"name both halves, but all .*'heldout'"):
        load_task(write(tmp_path / "met.jsonl", {**GOOD, "split": "heldout"}))
    with pytest.raises(UsageError, match="has no subjects, but 'law' was given"):
        load_task(write(tmp_path / "met.jsonl", GOOD), subjects=["law"])
    with pytest.raises(UsageError, match="is one file, but data_dir"):
        load_task(write(tmp_path / "met.jsonl", GOOD), data_dir=tmp_path)


CIRCUIT: dict[str, Any] = {
    "clean": "Ada met", "corrupt": "Gus met", "answers": [" Bo"], "wrong_answers": [" Eve"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps({"prompts": [CIRCUIT, {**CIRCUIT, "wrong_answers": []}]}, indent=1),
         "line 13: wrong_answers must hold one text or token id or more, but it is empty"),
        (json.dumps({"prompts": [{"clean": "x", "answers": [" a"], "wrong_answers": [" b"]}]}),
         "line 1: corrupt missing; add corrupt"),
        (json.dumps({"word_idxs": {}, "prompts": [CIRCUIT, {**CIRCUIT, "clean": [[3.0]]}]}),
         "line 1: clean must be a text or a list of token ids, but it holds a list"),
        (json.dumps({"prompts": [CIRCUIT, 5]}), "line 1: each item must be an object, but it is 5"),
        (json.dumps({"prompts": 5}), "prompts must be a list of objects, but it is 5"),
        (json.dumps({"seq_labels": []}), "prompts must be a list of objects, but it is null"),
        (json.dumps({"prompts": []}), "has no questions"),
        (json.dumps({"prompts": [CIRCUIT]}, indent=1)[:-2] + ",}", "line 13: not JSON"),
        (json.dumps([GOOD, {**GOOD, "wrong": 0.5}], indent=1),
         r"line 11: wrong must be texts or token ids, but it is 0\.5"),
        (json.dumps([GOOD])[:-1], "line 1: not JSON"),
        (json.dumps(GOOD)[:-1] + ",}", "line 1: there is a trailing comma"),
        ('[{"clean": ' + "[" * 100_000, "nested too deeply"),
        ('[{"clean": [' + "1" * 5_000 + "]}]", "a number has too many digits"),
    ],
)  # fmt: skip
def test_other_json_of_pairs_is_named_by_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "met.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        load_task(str(path))
    assert len(str(caught.value)) < 400


def with_other(**fields: Any) -> dict[str, Any]:
    return {**MIB, "x_counterfactual": {"prompt": "Bo or Ada?", "answer": "Bo", **fields}}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**MIB, "answerKey": 2}, "answerKey must be a number from 0 to 1 or a choice, not 2"),
        ({**MIB, "answerKey": "C"}, "answerKey must be .* not 'C'"),
        ({**MIB, "answerKey": None}, "must have answer, label, or choices with answerKey, but"),
        ({**MIB, "choices": 5}, "choices must be a list, or an object with a list of labels"),
        ({**MIB, "answer": 0.5}, r"answer must be a text, but it is 0\.5"),
        ({**MIB, "answer": " "}, "answer must not be empty"),
        ({**MIB, "prompt": None}, "prompt must be a text, but it is null"),
        ({**MIB, "prompt": HALF}, "prompt holds .*half of a character"),
        ({**MIB, "x_counterfactual": None}, "x_counterfactual is missing, but every row must give"),
        ({**MIB, "x_counterfactual": 5}, "x_counterfactual is 5, but every row"),
        ({"prompt": "x", "answer": "y"}, "x_counterfactual is missing"),
        (with_other(prompt=None), "x_counterfactual has no prompt, but every row must give"),
        (with_other(answer=None), "x_counterfactual has no answer"),
        (with_other(answer="Ada"), "x_counterfactual has the row's own answer 'Ada'"),
        (with_other(prompt=5), "x_counterfactual's prompt must be a text"),
        (with_other(answer=HALF), "half of a character"),
        (GOOD, "first is a row of MIB and this one a pair of prompts"),
    ],
)  # fmt: skip
def test_a_bad_row_of_mib_is_named_by_file_and_line(tmp_path: Path, row: Any, message: str) -> None:
    with pytest.raises(UsageError, match=rf"met\.jsonl, line 2: .*{message}") as caught:
        load_task(write(tmp_path / "met.jsonl", MIB, row))
    assert "\n" not in str(caught.value)


HEAD = "clean,corrupted,correct_idx,incorrect_idx"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clean,corrupted,correct_idx\nx,y,42\n",
         "line 1: .*must have the columns clean and corrupted, and token ids in correct_idx and "
         "incorrect_idx, or answers_idx and corrupted_answers_idx, or country_idx and .*, but it "
         "has 'clean', 'corrupted', 'correct_idx'; rename them, or write .*jsonl"),
        ("clean,corrupted,plural\nx,y,1\n", "it has 'clean', 'corrupted', 'plural'"),
        ("", "it has none"),
        ("question,answer\n", "it has 'question', 'answer'"),
        (HEAD.replace(",", ";") + "\nx;y;1;2\n", "separated by commas, not semicolons"),
        (f"{HEAD}\nx,y,1\n", "line 2: a row must have 4 fields like the first line, but has 3"),
        (f'{HEAD}\n"x\nx",y,1,2\nx,y,1,a\n', "line 4: incorrect_idx must be a token id or a list"),
        (f"{HEAD}\nx,y,1,-2\n", "line 2: incorrect_idx must be a token id .*'-2'"),
        (f"{HEAD}\nx,y,1.5,2\n", r"line 2: correct_idx must be .*'1\.5'"),
        (f"{HEAD}\nx,y,,2\n", "line 2: correct_idx must be .*''"),
        (f"{HEAD}\nx,y,2,2\n", "line 2: .*right or wrong, but 2 is in answers and in wrong"),
        (f"{HEAD}\n,y,1,2\n", "line 2: clean must be a text"),
        (f"{HEAD}\nx,,1,2\n", "line 2: corrupted must be a text"),
        (f"{HEAD}\nx,y,[],2\n", "line 2: correct_idx must hold one text or token id or more"),
        (f'{HEAD}\n"x,y,1,2\n', "line 2: this is not a row of a CSV file"),
        (f"{HEAD}\n", "has no questions"),
    ],
)  # fmt: skip
def test_a_bad_csv_file_of_pairs_is_named_by_its_line(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "met.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        load_task(str(path))
    assert "\n" not in str(caught.value)


def test_csv_cells_hold_lists_of_ids_or_floats_too(tmp_path: Path) -> None:
    path = tmp_path / "met.csv.gz"
    table = 'clean,corrupted,answers_idx,corrupted_answers_idx,x\na,b,"[3, 4]",[5],\nc,d,6.0,7,z\n'
    path.write_bytes(gzip.compress(table.encode()))
    found = [(pair.answers, pair.wrong) for pair in pairs_of(load_task(str(path)))]
    assert found == [((3, 4), (5,)), ((6,), (7,))]


def test_what_only_a_tokenizer_can_tell_is_named_by_file_and_line(
    tokenizer: Any, tmp_path: Path
) -> None:
    for row, message in (
        (
            {**GOOD, "corrupted": "Gus met Bo Bo Bo"},
            "line 1: corrupted must have as many tokens as clean",
        ),
        ({**GOOD, "answers": [" Xylo"]}, "line 1: an answer must add one token.*' Xylo' adds"),
    ):
        task = load_task(write(tmp_path / "met.jsonl", row))
        with pytest.raises(UsageError, match=message):
            task.encode(task.test, tokenizer)
    task = load_task(write(tmp_path / "met.jsonl", {**GOOD, "clean": [3], "corrupted": [900],
                                                    "answers": [4], "wrong": [5]}))  # fmt: skip
    encoded = task.encode(task.test, tokenizer)
    with pytest.raises(UsageError, match=r"tokens that the model knows, 0 to 599, but .*900"):
        check_questions(task.test, encoded, tokenizer, 600)
