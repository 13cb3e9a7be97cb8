"""Chat templates, the prompts of MMLU's authors, and the loss of a text."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from headspex.cli.main import main
from headspex.errors import UsageError
from headspex.hooks import load_model
from headspex.settings import Settings
from headspex.tasks import Question, Task, encode_task, load_task, prompt, split
from headspex.tasks.text import passages
from headspex.tiny.tokenizer import build_tokenizer

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)
NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    + TEMPLATE
)


def question(n: int) -> Question:
    return Question(
        "us_history", f" What is the home of the fox {n}? ", ("den", "sea", "a", "b"), n % 4
    )


TASK = Task("t", test=tuple(map(question, range(3))), dev=tuple(map(question, range(10, 15))))


def text_of(question: Any, tokenizer: Any) -> str:
    return str(tokenizer.decode(question.context, skip_special_tokens=False))


def chatty(template: str = TEMPLATE) -> Any:
    tokenizer = build_tokenizer()
    tokenizer.chat_template = template
    return tokenizer


@pytest.mark.filterwarnings("ignore")  # lm-eval's and its dependencies' own
@pytest.mark.parametrize("template", [TEMPLATE, NO_SYSTEM])
@pytest.mark.parametrize("shots", [0, 2])
def test_a_chat_template_gives_the_tokens_that_lm_eval_gives_with_it(
    shots: int, template: str, model_folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("lm_eval", reason="lm-eval is not installed")
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.models.huggingface import HFLM
    from reference_lm_eval import offline, write_dataset

    parts = {
        part: [
            {"question": q.question, "subject": "us_history", "choices": list(q.choices),
             "answer": q.answer} for q in questions
        ] for part, questions in (("test", TASK.test), ("dev", TASK.dev))
    }  # fmt: skip
    write_dataset(tmp_path, "cais/mmlu", {"us_history": parts})
    tokenizer = chatty(template)
    model = HFLM(load_model(model_folder).bridge.original_model, tokenizer=tokenizer)
    with offline(tmp_path):
        theirs = ConfigurableTask(config={
            "task": "mmlu_us_history", "dataset_path": "cais/mmlu", "dataset_name": "us_history",
            "test_split": "test", "fewshot_split": "dev", "fewshot_config": {"sampler": "first_n"},
            "output_type": "multiple_choice", "num_fewshot": shots,
            "description": "The following are multiple choice questions (with answers) about us "
                           "history.\n\n",
            "doc_to_text": "{{question.strip()}}\nA. {{choices[0]}}\nB. {{choices[1]}}\n"
                           "C. {{choices[2]}}\nD. {{choices[3]}}\nAnswer:",
            "doc_to_choice": ["A", "B", "C", "D"], "doc_to_target": "answer",
            "metric_list": [{"metric": "acc"}],
        })  # fmt: skip
        theirs.build_all_requests(apply_chat_template=True, chat_template=model.apply_chat_template)
    expected = [model._encode_pair(*instance.args) for instance in theirs.instances]
    ours = encode_task(TASK, TASK.test, tokenizer, shots=shots, chat=True)
    found = [(list(q.context), list(answer)) for q in ours for answer in q.continuations]
    assert found == expected


@pytest.mark.slow
def test_a_chat_template_is_recorded_and_asked_of_the_tokenizer(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["prune", "--model", str(model_folder), "--chat-template", "--out", str(tmp_path / "a"),
             "--budget", "400", "--verify-budget", "2640", "--threads", "1"]  # fmt: skip
    assert main(words) == 2
    assert "needs a tokenizer with a chat template" in capsys.readouterr().err
    import shutil

    shutil.copytree(model_folder, tmp_path / "model")
    (tmp_path / "model/chat_template.jinja").write_text(TEMPLATE)
    words[2] = str(tmp_path / "model")
    assert main(words) == 0
    run = json.loads((tmp_path / "a/run.json").read_text())
    assert run["identity"]["chat_template"] is True
    assert "--chat-template" in (tmp_path / "a/report.html").read_text()


def original(questions: list[Question], subject: str) -> str:
    """gen_prompt and format_example of the authors' evaluate.py, the last answer left open."""
    named = "".join(" " + entry for entry in subject.split("_"))
    text = f"The following are multiple choice questions (with answers) about {named}.\n\n"
    for number, q in enumerate(questions):
        text += q.question
        for letter, choice in zip("ABCD", q.choices, strict=True):
            text += f"\n{letter}. {choice}"
        text += "\nAnswer:"
        if number < len(questions) - 1:
            text += f" {'ABCD'[q.answer]}\n\n"
    return text


def test_hendrycks_prompts_are_the_authors_to_the_letter() -> None:
    asked = prompt(TASK.test[0], TASK.dev[:2], "hendrycks")
    assert asked == original([*TASK.dev[:2], TASK.test[0]], "us_history")
    assert "about  us history" in asked


def test_hendrycks_drops_shots_until_the_prompt_fits() -> None:
    tokenizer = build_tokenizer()
    by_shots = {
        k: len(encode_task(TASK, TASK.test[:1], tokenizer, shots=k, style="hendrycks")[0].context)
        for k in range(6)
    }
    for kept in range(6):
        (found,) = encode_task(
            TASK, TASK.test[:1], tokenizer, shots=5, style="hendrycks", n_ctx=by_shots[kept]
        )
        assert len(found.context) == by_shots[kept]
    (cut,) = encode_task(TASK, TASK.test[:1], tokenizer, shots=5, n_ctx=by_shots[1])
    assert len(cut.context) > by_shots[4]


def test_eval_takes_the_protocol_of_the_authors(
    model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["eval", "--model", str(model_folder), "--limit", "4", "--json"]
    assert main(words) == 0
    plain = json.loads(capsys.readouterr().out)
    assert main([*words, "--protocol", "hendrycks"]) == 0
    theirs = json.loads(capsys.readouterr().out)
    assert plain["ids"] == theirs["ids"]
    assert main([*words, "--protocol", "hendrix"]) == 2
    assert "paper or hendrycks" in capsys.readouterr().err


STORY = " ".join(
    f"the fox {n} is in the den , and the owl {n % 7} is in the sea ." for n in range(400)
)


def test_passages_are_the_text_cut_between_words() -> None:
    found = list(passages(STORY + "\n"))
    assert "".join(found) == STORY + "\n"
    assert all(len(piece) <= 1_001 for piece in found)
    assert len(found) > 10


@given(st.text(alphabet="ab \n", min_size=1, max_size=60), st.integers(1, 20))
def test_passages_of_any_length_join_to_the_text_and_only_single_words_are_longer(
    content: str, most: int
) -> None:
    found = list(passages(content, most))
    assert "".join(found) == content
    assert all(len(piece) <= most or len(piece.split()) <= 1 for piece in found)


def test_the_length_of_a_texts_passages_is_asked_for_and_recorded(tmp_path: Path) -> None:
    path = tmp_path / "story.txt"
    path.write_text(STORY)
    name = f"text:{path}"
    assert len(load_task(name, passage=250).test) == len(list(passages(STORY, 250)))
    assert Settings(task=name, passage=250).deciding()["passage"] == 250
    assert "passage" not in Settings(task=name).deciding()  # runs before it stay what they were


@pytest.mark.slow
def test_the_loss_of_a_text_is_the_mean_over_tokens_of_plain_transformers(
    stories260k: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = tmp_path / "story.txt"
    path.write_text(STORY)
    model = AutoModelForCausalLM.from_pretrained(stories260k, attn_implementation="eager")
    tokenizer = AutoTokenizer.from_pretrained(stories260k)
    expected = []
    for piece in list(passages(STORY))[:6]:
        ids = tokenizer(piece, add_special_tokens=False)["input_ids"][:512]
        tokens = torch.tensor([[tokenizer.bos_token_id, *ids]])
        with torch.no_grad():
            logits = model(tokens[:, :-1]).logits[0]
        loss = torch.nn.functional.cross_entropy(logits, tokens[0, 1:])
        expected.append(-float(loss))
    for batch in ("1", "auto"):
        assert main([
            "eval", "--model", str(stories260k), "--task", f"text:{path}", "--limit", "6",
            "--batch-size", batch, "--json",
        ]) == 0  # fmt: skip
        found = json.loads(capsys.readouterr().out)
        assert found["metric"] == "logprob"
        np.testing.assert_allclose(found["scores"], expected, atol=1e-5)


@pytest.mark.slow
def test_a_text_is_pruned_for_and_its_halves_differ(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "story.txt"
    path.write_text(STORY + STORY.replace("fox", "bear"))
    search, heldout = split(load_task(f"text:{path}"))
    assert abs(len(search) - len(heldout)) <= 1
    out = tmp_path / "run"
    assert main([
        "prune", "--model", str(model_folder), "--task", f"text:{path}", "--budget", "300",
        "--verify-budget", "2500", "--threads", "1", "--out", str(out),
    ]) == 0  # fmt: skip
    assert "Whole model: logprob -" in capsys.readouterr().out
    results = json.loads((out / "run.json").read_text())["results"]
    assert (results["own_metric"], results["chance"]) == ("logprob", None)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [("nowhere.txt", None, "cannot read"), ("empty.txt", " \n", "holds no text"),
     ("bytes.txt", b"\xff\xfe", "UTF-8")],
)  # fmt: skip
def test_texts_that_cannot_be_read_are_refused(
    name: str, content: str | bytes | None, message: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError, match=message):
        load_task(f"text:{tmp_path / name}")
    with pytest.raises(UsageError, match="is one file"):
        load_task("text:a.txt", data_dir=tmp_path)


TEXTS = [
    ("The home of the fox is the ?", ("den", "the sea in the den", " nest ", "big barn"), 0),
    (" What is a bee , in the hive or in the sea ? ", ("in the hive", "in the sea"), 1),
    ("The pond is the home of the", ("frog", "owl", "bear of the pond"), 2),
    ("What is red", ("the fox", "the frog and the fox", "the sea", "a den"), 3),
]  # fmt: skip


def text_task(tmp_path: Path) -> str:
    """Questions of two to four choices, and two worked examples."""
    rows = [
        {"question": f"{text} {n}", "choices": choices, "answer": (answer + n) % len(choices),
         "split": "dev" if n > 4 else "test"}
        for n in range(7) for text, choices, answer in (TEXTS if n <= 4 else TEXTS[:1])
    ]  # fmt: skip
    path = tmp_path / "texts.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return str(path)


def cloze_in_lm_eval(folder: Path, task: Task, shots: int) -> Any:
    """The same questions as a task of lm-eval that scores texts, written as its arc_easy is."""
    from lm_eval.api.task import ConfigurableTask
    from reference_lm_eval import offline, write_dataset

    parts = {
        part: [
            {"question": q.question, "choices": list(q.choices), "answer": q.answer} for q in some
        ]
        for part, some in (("test", task.test), ("dev", task.dev))
    }
    write_dataset(folder, "own/texts", {"plain": parts})
    with offline(folder):
        return ConfigurableTask(config={
            "task": "texts", "dataset_path": "own/texts", "dataset_name": "plain",
            "test_split": "test", "fewshot_split": "dev", "fewshot_config": {"sampler": "first_n"},
            "output_type": "multiple_choice", "num_fewshot": shots,
            "doc_to_text": "Question: {{question}}\nAnswer:", "doc_to_choice": "choices",
            "doc_to_target": "answer", "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
        })  # fmt: skip


@pytest.mark.filterwarnings("ignore")  # lm-eval's and its dependencies' own
@pytest.mark.parametrize(("shots", "chat"), [(0, False), (2, False), (0, True), (2, True)])
def test_cloze_asks_what_lm_eval_asks_of_texts(
    shots: int, chat: bool, model_folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("lm_eval", reason="lm-eval is not installed")
    from lm_eval.models.huggingface import HFLM

    tokenizer = chatty()
    task = load_task(text_task(tmp_path))
    theirs = cloze_in_lm_eval(tmp_path, task, shots)
    model = HFLM(load_model(model_folder).bridge.original_model, tokenizer=tokenizer)
    theirs.build_all_requests(apply_chat_template=chat, chat_template=model.apply_chat_template)
    expected = [model._encode_pair(*instance.args) for instance in theirs.instances]
    ours = encode_task(task, task.test, tokenizer, shots=shots, style="cloze", chat=chat)
    assert [(list(q.context), list(a)) for q in ours for a in q.continuations] == expected


@pytest.mark.filterwarnings("ignore")  # lm-eval's and its dependencies' own
@pytest.mark.parametrize("shots", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_cloze_is_acc_norm_of_lm_eval_to_the_last_bit(
    shots: int, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("lm_eval", reason="lm-eval is not installed")
    from lm_eval.models.huggingface import HFLM

    name = text_task(tmp_path)
    task = load_task(name)
    theirs = cloze_in_lm_eval(tmp_path, task, shots)
    theirs.build_all_requests()
    model = HFLM(str(model_folder), dtype="float32", device="cpu", batch_size=1)
    answers = model.loglikelihood(theirs.instances)
    values, results = [], []
    for doc, q in zip(theirs.eval_docs, task.test, strict=True):
        own, answers = answers[: len(q.choices)], answers[len(q.choices) :]
        values.append([value for value, _ in own])
        results.append(theirs.process_results(doc, own))
    capsys.readouterr()
    assert main([
        "eval", "--model", str(model_folder), "--task", name, "--prompt-style", "cloze",
        "--shots", str(shots), "--threads", str(torch.get_num_threads()), "--json",
    ]) == 0  # fmt: skip
    found = json.loads(capsys.readouterr().out)
    assert found["log_likelihoods"] == values
    norm, plain = ([result[metric] for result in results] for metric in ("acc_norm", "acc"))
    assert found["scores"] == norm
    assert plain == [
        float(np.argmax(v) == q.answer) for v, q in zip(values, task.test, strict=True)
    ]
    assert norm != plain  # so that the test can tell them apart

    encoded = encode_task(task, task.test, chatty(), shots=shots, style="cloze")
    table = np.full((len(values), 4), -np.inf)
    for row, some in enumerate(values):
        table[row, : len(some)] = some
    margins, logprobs = (
        task.scores(metric, table, task.test, encoded) for metric in ("margin", "logprob")
    )
    for row, (some, q) in enumerate(zip(values, task.test, strict=True)):
        each = [one / len(text) for one, text in zip(some, q.choices, strict=True)]
        best = max(one for n, one in enumerate(each) if n != q.answer)
        assert (logprobs[row], margins[row]) == (each[q.answer], each[q.answer] - best)


def test_a_blank_choice_is_no_text_to_score() -> None:
    task = Task("t", test=(Question("", "What is red?", ("fox", " ")),))
    assert len(encode_task(task, task.test, build_tokenizer())) == 1
    with pytest.raises(UsageError, match=r"choice 1 .*'What is red\?' is ' ', but a blank text"):
        encode_task(task, task.test, build_tokenizer(), style="cloze")


def test_the_protocol_hendrycks_is_the_prompt_style_of_that_name() -> None:
    import headspex
    from headspex.runs.results import command_of

    assert Settings(protocol="hendrycks").prompt_style == "hendrycks"
    assert Settings(protocol="paper").prompt_style == "lm-eval"
    assert Settings(protocol="paper", prompt_style="cloze").prompt_style == "cloze"
    with pytest.raises(UsageError, match="protocol hendrycks has prompt_style hendrycks, but"):
        Settings(protocol="hendrycks", prompt_style="cloze")
    with pytest.raises(UsageError, match="prompt_style must be lm-eval or hendrycks or cloze"):
        Settings(prompt_style="mmlu")
    named = headspex.Study(protocol="hendrycks", keep=0.7)
    assert command_of(named) == ("headspex prune --keep 0.7 --protocol hendrycks")


def test_runs_without_a_prompt_style_are_what_they_were(model_folder: Path) -> None:
    import headspex

    identity = headspex.Study(str(model_folder), protocol="hendrycks").identity
    assert "prompt_style" not in identity  # as 0.2.0.dev0 wrote it
    again = headspex.Study.of_run(identity)
    assert again.settings.prompt_style == "hendrycks"
    assert again.identity == identity
    identity = headspex.Study(str(model_folder), prompt_style="cloze").identity
    assert identity["prompt_style"] == "cloze"
    assert headspex.Study.of_run(identity).settings.prompt_style == "cloze"


def test_a_task_with_prompts_of_its_own_has_no_style(tmp_path: Path) -> None:
    import headspex

    path = tmp_path / "story.txt"
    path.write_text(STORY)
    with pytest.raises(UsageError, match="prompt_style cloze is a way to ask multiple choice, but"):
        _ = headspex.Study("tiny", f"text:{path}", prompt_style="cloze").task
    assert headspex.Study("tiny", f"text:{path}", protocol="hendrycks").task.name
