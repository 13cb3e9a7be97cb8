"""`--task lm-eval:NAME`: lm-eval's prompts and metrics, under our masks."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from headspex.cli.main import main
from headspex.errors import UsageError
from headspex.support.notice import say_once
from headspex.tasks import load_task

pytest.importorskip("lm_eval", reason="lm-eval is not installed: pip install 'headspex[lm-eval]'")
from reference_lm_eval import lm_eval_run, log_likelihoods, metric_of, offline, write_dataset

pytestmark = pytest.mark.filterwarnings("ignore")  # lm-eval's and its dependencies' own

# As lm-eval's winogrande: the choices stand in the contexts.
CONTEXTS = """
task: fox_contexts
dataset_path: headspex/contexts
dataset_name: all
output_type: multiple_choice
test_split: test
doc_to_text: "{{answer}}"
doc_to_choice: "{{options}}"
doc_to_target: "{{ending}}"
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""
# As lm-eval's lambada: the last word, and whether it is the likeliest.
LAST_WORD = """
task: fox_last_word
dataset_path: headspex/contexts
dataset_name: all
output_type: loglikelihood
test_split: test
doc_to_text: "{{options[0]}}"
doc_to_target: " {{ending}}"
metric_list:
  - {metric: perplexity, aggregation: perplexity, higher_is_better: false}
  - {metric: acc, aggregation: mean, higher_is_better: true}
"""
GENERATES = """
task: fox_generates
dataset_path: headspex/contexts
dataset_name: all
output_type: generate_until
test_split: test
doc_to_text: "{{options[0]}}"
doc_to_target: "{{ending}}"
metric_list: [{metric: exact_match}]
"""
MARKED = """
task: fox_{name}
dataset_path: headspex/{name}
dataset_name: all
output_type: multiple_choice
test_split: test
description: "Questions.\\n"
doc_to_text: "{{{{q}}}}"
doc_to_choice: "{{{{options}}}}"
doc_to_target: "{{{{gold}}}}"
gen_prefix: "So:"
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
"""
# What a document of such a task may hold, and its file, and what is said of it.
BROKEN_DOCUMENTS: dict[str, dict[str, Any]] = {
    "empty": {"options": ["the den", ""]},
    "blank": {"options": ["the den", " \n"]},
    "none": {"options": []},
    "gold": {"gold": 2},
}
MARKED_OK = MARKED.format(name="ok")
BROKEN_FILES = {
    "tab": MARKED_OK.replace("fox_ok", "fox_tab").replace("dataset_name", "\tdataset_name"),
    "colon": MARKED_OK.replace("fox_ok", "fox_colon").replace("test_split: test", "a: b: c"),
    "include": "include: nowhere.yaml\n" + MARKED_OK.replace("fox_ok", "fox_include"),
    "template": MARKED_OK.replace("fox_ok", "fox_template").replace("{{q}}", "{{no.such}}"),
    "split": MARKED_OK.replace("fox_ok", "fox_split").replace("test_split: test", "test_split: t"),
    "code": MARKED_OK.replace("fox_ok", "fox_code") + "process_docs: !function no_file.f\n",
    "other_metric": MARKED_OK.replace("fox_ok", "fox_other_metric").replace("acc,", "acc_norm,"),
    "group": "group: fox_group\ntask: [fox_ok, fox_contexts]\n",
    "group_generates": "group: fox_group_generates\ntask: [fox_ok, fox_generates]\n",
    "group_metrics": "group: fox_group_metrics\ntask: [fox_ok, fox_other_metric]\n",
    "group_lacks": "group: fox_group_lacks\ntask: [fox_ok, fox_nobody]\n",
    "group_empty": "group: fox_group_empty\ntask: []\n",
}
NOWHERE = LAST_WORD.replace("headspex/contexts", "headspex/nowhere").replace("last_word", "nowhere")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ARC-Easy and a data set of our own, made up; three task files of lm-eval's kind."""
    folder = tmp_path_factory.mktemp("data")

    def question(n: int) -> dict[str, Any]:
        texts = ["the den", "a fox", "sea", f"the old owl {n}"]
        return {
            "id": str(n), "question": f"What is the home of the fox {n}?",
            "answerKey": "ABCD"[n % 4], "choices": {"text": texts, "label": list("ABCD")},
        }  # fmt: skip

    arc = {
        "train": [question(n) for n in range(100, 108)],
        "test": [question(n) for n in range(24)],
    }
    write_dataset(folder, "allenai/ai2_arc", {"ARC-Easy": arc})
    words = ["fox", "owl", "bear", "the"]
    rows = [
        {"options": [f"the {words[n % 4]} of {n}", f"a {words[(n + 1) % 4]} is {n}"],
         "ending": words[n % 3], "answer": n % 2}
        for n in range(24)
    ]  # fmt: skip
    write_dataset(folder, "headspex/contexts", {"all": {"test": rows}})
    (folder / "yaml").mkdir()
    for name, text in {"c": CONTEXTS, "l": LAST_WORD, "g": GENERATES, "n": NOWHERE}.items():
        (folder / "yaml" / f"{name}.yaml").write_text(text)
    good = [{"q": f"the fox {n}", "options": ["den", "sea"], "gold": n % 2} for n in range(4)]
    for name, change in {"ok": {}, **BROKEN_DOCUMENTS}.items():
        own = [{**one, **(change if n == 2 else {})} for n, one in enumerate(good)]
        write_dataset(folder, f"headspex/{name}", {"all": {"test": own}})
        (folder / "yaml" / f"{name}.yaml").write_text(MARKED.format(name=name))
    for name, text in BROKEN_FILES.items():
        (folder / "yaml" / f"{name}.yaml").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("name", "metrics", "shots"),
    [
        ("arc_easy", ("acc", "acc_norm"), 0),
        ("arc_easy", ("acc_norm",), 3),
        ("fox_contexts", ("acc",), 0),
        ("fox_last_word", ("acc", "perplexity"), 0),
    ],
)
@pytest.mark.slow
def test_a_task_of_lm_eval_scores_as_lm_eval_scores_it(
    name: str, metrics: tuple[str, ...], shots: int, data: Path, model_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from lm_eval.tasks import TaskManager

    args = {"pretrained": str(model_folder), "dtype": "float32"}
    expected = lm_eval_run(
        data, [name], model_args=args, num_fewshot=shots or None,
        manager=TaskManager(include_path=str(data / "yaml"), include_defaults=name == "arc_easy"),
    )  # fmt: skip
    threads = str(torch.get_num_threads())  # the last bits depend on it
    for metric in metrics:
        capsys.readouterr()
        with offline(data):
            assert main([
                "eval", "--model", str(model_folder), "--task", f"lm-eval:{name}", "--data-dir",
                str(data / "yaml"), "--shots", str(shots), "--metric", metric, "--json",
                "--threads", threads,
            ]) == 0  # fmt: skip
        found = json.loads(capsys.readouterr().out)
        told = found["log_likelihoods"]
        # Where lm-eval asks for it, the tokens that greedy decoding would miss follow.
        likelihoods = [row[:1] for row in told] if name == "fox_last_word" else told
        assert likelihoods == log_likelihoods(expected, [name])
        assert found["scores"] == metric_of(expected, [name], metric)
        with offline(data):
            assert main([
                "eval", "--model", str(model_folder), "--task", f"lm-eval:{name}", "--data-dir",
                str(data / "yaml"), "--shots", str(shots), "--metric", metric, "--json",
                "--batch-size", "auto", "--threads", threads,
            ]) == 0  # fmt: skip
        fast = json.loads(capsys.readouterr().out)
        for row, one in zip(fast["log_likelihoods"], told, strict=True):
            assert row == pytest.approx(one, abs=1e-4)
        ours, theirs = found["lm_eval"][name][metric], expected["results"][name][f"{metric},none"]
        assert ours == pytest.approx(theirs, abs=1e-12)


@pytest.mark.slow
def test_prune_runs_to_its_end_on_a_task_of_lm_eval(
    data: Path, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with offline(data):
        assert main([
            "prune", "--model", str(model_folder), "--task", "lm-eval:arc_easy", "--metric",
            "acc_norm", "--budget", "400", "--verify-budget", "4000", "--threads", "1",
            "--out", str(tmp_path / "run"),
        ]) == 0  # fmt: skip
    run = json.loads((tmp_path / "run/run.json").read_text())
    assert (run["results"]["metric"], run["results"]["own_metric"]) == ("acc_norm", "acc")
    assert run["results"]["chance"] == 0.25


@pytest.mark.slow
def test_tasks_that_cannot_be_taken_are_refused(data: Path) -> None:
    include = data / "yaml"
    with offline(data):
        with pytest.raises(UsageError, match=r"no task 'arc_esy' \(did you mean arc_easy"):
            load_task("lm-eval:arc_esy", data_dir=include)
        with pytest.raises(UsageError, match="no task ''; `lm-eval ls tasks` lists them"):
            load_task("lm-eval:", data_dir=include)
        with pytest.raises(UsageError, match=r"fox_generates is of the type generate_until"):
            load_task("lm-eval:fox_generates", data_dir=include)
        with pytest.raises(UsageError, match=r"cannot load fox_nowhere.*check the network"):
            load_task("lm-eval:fox_nowhere", data_dir=include)
        with pytest.raises(UsageError, match=r"metric must be one of acc, acc_norm"):
            load_task("lm-eval:arc_easy", data_dir=include).check_metric("accuracy")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("empty", r"lm-eval's fox_empty, document 2: choice 1 is '', .* cannot be scored"),
        ("blank", r"lm-eval's fox_blank, document 2: choice 1 is ' \\n', .* cannot be scored"),
        ("none", r"fox_none, document 2 must have two choices or more.*has 0"),
        ("gold", r"fox_gold, document 2 must have .* one of them right.*has 2 and number 2"),
        ("tab", r"tab\.yaml is not a task file: line 4 holds a tab"),
        ("colon", r"colon\.yaml is not a task file: line 6"),
        ("include", r"finds no task 'fox_include', though .*include\.yaml .*check its `include`"),
        ("template", r"cannot load fox_template .*'no' is undefined.*mend the task's file"),
        ("split", r"cannot load fox_split .*mend the task's file"),
        ("code", r"cannot load fox_code .*no_file.*mend the task's file"),
        ("generates", r"fox_generates is of the type generate_until; .*headspex lm-eval"),
        ("group_generates", r"fox_generates is of the type generate_until"),
        ("group_metrics", r"must share a metric, but fox_ok has acc; fox_other_metric has acc_no"),
        ("group_lacks", r"cannot load fox_group_lacks .*are all of its tasks there"),
        ("group_empty", r"fox_group_empty holds no task; add some"),
    ],
)
def test_a_broken_task_is_refused_by_file_or_document(name: str, message: str, data: Path) -> None:
    with offline(data), pytest.raises(UsageError, match=message):
        load_task(f"lm-eval:fox_{name}", data_dir=data / "yaml")


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"data_dir must be a folder of lm-eval's YAML files"):
        load_task("lm-eval:arc_easy", data_dir=tmp_path / "none")


def test_a_group_is_its_tasks(data: Path) -> None:
    with offline(data):
        task = load_task("lm-eval:fox_group", data_dir=data / "yaml")
        assert task.subjects == ("fox_ok", "fox_contexts")
        one = load_task("lm-eval:fox_group", subjects=["fox_ok"], data_dir=data / "yaml")
    assert one.test == task.test[:4]


TURNS = "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}"


@pytest.mark.parametrize(
    ("template", "code", "said"),
    [
        ({"rag": TURNS, "tool_use": TURNS}, 2, "has rag, tool_use"),
        ("{{ raise_exception('no chat') }}" + TURNS, 2, "refuses these messages (no chat)"),
        # transformers finds no end of the last message in it.
        ("[assistant] ", 2, "refuses these messages"),
        (
            "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}" + TURNS,
            0,
            "refuses a system message",
        ),
        ("{{ strftime_now('%d %b %Y') }}" + TURNS, 0, "every prompt has 26 July 2024 instead"),
    ],
)
def test_tasks_of_lm_eval_take_chat_templates_by_the_same_rules_as_others(
    template: Any, code: int, said: str, data: Path, model_folder: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    say_once.cache_clear()
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    if isinstance(template, dict):
        path = folder / "tokenizer_config.json"
        named = [{"name": name, "template": one} for name, one in template.items()]
        path.write_text(json.dumps({**json.loads(path.read_text()), "chat_template": named}))
    else:
        (folder / "chat_template.jinja").write_text(template)
    with offline(data):
        assert main([
            "eval", "--model", str(folder), "--task", "lm-eval:fox_ok", "--data-dir",
            str(data / "yaml"), "--chat-template",
        ]) == code  # fmt: skip
    assert said in capsys.readouterr().err
