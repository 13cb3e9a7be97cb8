"""The shipped model and the shipped benchmark, judged by code that shares nothing with headspex."""

import csv
import hashlib
import itertools
import re
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from headspex.tasks import Question as TaskQuestion
from headspex.tasks.prompts import body, header, prompt
from headspex.tiny.benchmark import benchmark
from headspex.tiny.questions import SUBJECTS, Question, is_test_side, questions
from headspex.tiny.sequences import Stream, header_ids, hops, question_ids, words_of
from headspex.tiny.tokenizer import build_tokenizer

ROOT = Path(__file__).resolve().parents[1]
MINI = ROOT / "tasks" / "data" / "mini"
TINY = ROOT / "headspex" / "tiny"


def _rows(part: str, subject: str) -> list[list[str]]:
    with (MINI / part / f"{subject}_{part}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


@pytest.fixture(scope="module")
def model() -> Any:
    """The shipped weights, through plain transformers."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(TINY).eval()


def test_the_model_is_a_small_grouped_query_llama_in_safetensors(model: Any) -> None:
    config = model.config
    assert type(model).__name__ == "LlamaForCausalLM"
    assert config.num_hidden_layers >= 4
    assert (config.num_attention_heads, config.num_key_value_heads) == (8, 4)
    assert (TINY / "model.safetensors").stat().st_size < 8e6


def test_every_subject_has_five_shots_and_at_least_200_different_test_questions() -> None:
    assert len(SUBJECTS) >= 5
    for subject in SUBJECTS:
        dev, test = _rows("dev", subject), _rows("test", subject)
        assert len(dev) == 5
        assert len(test) >= 200
        seen = {(row[0], *sorted(row[1:5])) for row in dev + test}
        assert len(seen) == len(dev) + len(test)
        letters = Counter(row[5] for row in test)
        assert set(letters) == set("ABCD")
        assert max(letters.values()) - min(letters.values()) <= 1
        assert all(len(set(row[1:5])) == 4 for row in dev + test)


def test_the_files_are_what_the_generator_writes() -> None:
    for subject in SUBJECTS:
        dev, test = benchmark(subject)
        for part, drawn in (("dev", dev), ("test", test)):
            assert _rows(part, subject) == [[q.text, *q.choices, q.letter] for q in drawn]


def test_the_model_does_the_benchmark_scored_by_plain_transformers(model: Any) -> None:
    import torch
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(TINY)
    letters = [tokenizer(f"x {x}")["input_ids"][-1] for x in "ABCD"]
    right: dict[str, float] = {}
    for subject in SUBJECTS:
        rows = _rows("test", subject)
        header = "The following are multiple choice questions (with answers) about "
        header += subject.replace("_", " ") + ".\n\n"
        texts = [
            f"{header}{q}\nA. {a}\nB. {b}\nC. {c}\nD. {d}\nAnswer:" for q, a, b, c, d, _ in rows
        ]
        batch = tokenizer(texts, return_tensors="pt", padding=True)
        last = batch["attention_mask"].sum(1) - 1
        with torch.no_grad():
            logits = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        chosen = logits[torch.arange(len(rows)), last][:, letters].argmax(-1).tolist()
        hits = [letter == "ABCD"[k] for k, (*_, letter) in zip(chosen, rows, strict=True)]
        right[subject] = float(np.mean(hits))
    assert min(right.values()) >= 0.85, right
    assert np.mean(list(right.values())) >= 0.95, right


def test_no_test_question_can_occur_in_training() -> None:
    """By construction: a hash of the question with its choices, in any order, decides its side."""
    benchmark_rows = {
        (row[0], tuple(sorted(row[1:5])))
        for subject, part in itertools.product(SUBJECTS, ("dev", "test"))
        for row in _rows(part, subject)
    }
    assert all(is_test_side(text, choices) for text, choices in benchmark_rows)
    for subject in SUBJECTS:
        stream = questions(subject, Random(1), test_side=False)
        for question in itertools.islice(stream, 5_000):
            assert (question.text, tuple(sorted(question.choices))) not in benchmark_rows
            shuffled = tuple(reversed(question.choices))
            assert not is_test_side(question.text, shuffled)


def test_the_side_of_a_question_is_the_documented_hash() -> None:
    text, choices = "Where is Leo?", ("Rome", "Oslo", "Lima", "Cairo")
    digest = hashlib.sha256(b"Where is Leo?|Cairo|Lima|Oslo|Rome").digest()
    expected = int.from_bytes(digest[:4], "big") / 2**32 < 0.125
    assert is_test_side(text, choices) == expected


def _solve(subject: str, text: str) -> str:
    """An independent reader of the questions."""
    if subject == "passage_reading":
        places = dict(re.findall(r"(\w+) is in (\w+)\.", text))
        return str(places[re.findall(r"Where is (\w+)\?", text)[0]])
    if subject == "two_hop_reasoning":
        places = dict(re.findall(r"(\w+) is in (\w+)\.", text))
        leaders = dict(re.findall(r"(\w+) follows (\w+)\.", text))
        return str(places[leaders[re.findall(r"Where is (\w+)\?", text)[0]]])
    if subject == "number_comparison":
        ages: dict[str, int] = {
            name: int(age) for name, age in re.findall(r"(\w+) is (\d+)\.", text)
        }
        extreme = max(ages.values()) if "oldest" in text else min(ages.values())
        return next(name for name, age in ages.items() if age == extreme)
    row = text.removeprefix("What comes next: ").removesuffix("?").split(", ")
    return row[row.index(row[-1]) + 1]


@pytest.mark.parametrize(
    "subject", ["passage_reading", "two_hop_reasoning", "number_comparison", "pattern_induction"]
)
def test_the_answers_are_those_of_an_independent_reader(subject: str) -> None:
    for text, *choices, letter in _rows("test", subject):
        assert _solve(subject, text) == choices["ABCD".index(letter)]


def _asked(question: Question) -> TaskQuestion:
    return TaskQuestion(question.subject, question.text, question.choices, question.answer)


def test_a_letter_is_one_token_behind_the_unchanged_prompt() -> None:
    tokenizer = build_tokenizer()
    for subject in SUBJECTS:
        for question in itertools.islice(questions(subject, Random(2), test_side=False), 50):
            text = prompt(_asked(question))
            ids = tokenizer(text)["input_ids"]
            assert tokenizer.unk_token_id not in ids
            for letter in "ABCD":
                assert tokenizer(f"{text} {letter}")["input_ids"][:-1] == ids


def test_training_rows_are_what_the_tokenizer_makes_of_the_prompts() -> None:
    tokenizer = build_tokenizer()
    for subject in SUBJECTS:
        assert header_ids(subject) == tokenizer(header(subject))["input_ids"]
        for question in itertools.islice(questions(subject, Random(3), test_side=False), 50):
            text = f"{body(_asked(question))} {question.letter}"
            assert question_ids(question) == tokenizer(text)["input_ids"]


def test_hints_point_at_the_words_that_are_looked_up() -> None:
    for question in itertools.islice(
        questions("two_hop_reasoning", Random(4), test_side=False), 50
    ):
        first, second = hops(question)
        words = words_of(question.text)
        leaders = dict(re.findall(r"(\w+) follows (\w+)\.", question.text))
        assert words[first] == leaders[words[-1]]
        assert words[second] == question.right
    for question in itertools.islice(
        questions("number_comparison", Random(4), test_side=False), 50
    ):
        first, _ = hops(question)
        assert words_of(question.text)[first - 1] == question.right


def test_batches_say_where_each_question_is() -> None:
    batch = Stream(weights=[1] * 5, seed=0).batch(rows=6, length=112)
    letters = [build_tokenizer().convert_tokens_to_ids(x) for x in "ABCD"]
    found = batch.tokens[batch.row, batch.letter_at]
    np.testing.assert_array_equal(found, np.array(letters)[batch.answer])
    assert batch.first_hop.max() < batch.tokens.shape[1]


def test_two_trainings_with_one_seed_give_the_same_bytes(tmp_path: Path) -> None:
    import torch

    from headspex.tiny.train import Recipe, save, train

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        # Four steps reach every part: hints alone, hints fading, head dropout.
        recipe = Recipe(steps=4, rows=3)
        for name in ("a", "b"):
            model, history = train(recipe)
            save(model, history, recipe, tmp_path / name)
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(False)
    for file in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
