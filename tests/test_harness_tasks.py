"""`--task lm-eval:NAME`: lm-eval's prompts and metrics, under our masks."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from headspex.cli import main
from headspex.errors import UsageError
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
def test_a_task_of_lm_eval_scores_as_lm_eval_scores_it(
    name: str, metrics: tuple[str, ...], shots: int, data: Path, model_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from lm_eval.tasks import TaskManager

    args = {"pretrained": str(model_folder), "dtype": "float32", "attn_implementation": "eager"}
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
        with pytest.raises(UsageError, match=r"--metric must be one of acc, acc_norm"):
            load_task("lm-eval:arc_easy", data_dir=include).check_metric("accuracy")
