"""The researcher's own metric on prompts of their own."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import headspex
from headspex.cli.main import main
from headspex.errors import UsageError
from headspex.hooks import ablated, head_outputs
from headspex.hooks.measuring import measure, prepare
from headspex.tasks import Batch, game, load_task

RNG = np.random.default_rng(0)
PROMPTS = [RNG.integers(3, 300, length).tolist() for length in (6, 9, 6, 12) for _ in range(8)]
CORRUPTED = [RNG.integers(3, 300, len(prompt)).tolist() for prompt in PROMPTS]
RIGHT = torch.tensor([prompt[1] for prompt in PROMPTS])


def difference(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Logit of the second token less that of token 5, after the last one."""
    last, rows = logits[:, -1], torch.arange(len(batch.index))
    return last[rows, RIGHT[batch.index]] - last[rows, 5]


class NoTokenizer:
    """Prompts here are token ids."""

    def get_vocab(self) -> dict[str, int]:
        return {}

    special_tokens_map = ""


def encoded(**options: Any) -> list[Any]:
    task = game(difference, PROMPTS, **options)
    return task.encode(task.test, NoTokenizer())


def test_values_equal_one_unpadded_prompt_at_a_time_in_a_model_with_zeroed_columns(
    plain_llama: Any, llama_bridge: Any
) -> None:
    asked = encoded()
    keep = RNG.random((len(asked), 3, 4)) < 0.6
    found = measure(prepare(llama_bridge, asked), asked, keep)
    for row, prompt in enumerate(PROMPTS):
        model = copy.deepcopy(plain_llama)
        for layer, own in zip(model.model.layers, keep[row], strict=True):
            layer.self_attn.o_proj.weight.data.mul_(torch.tensor(np.repeat(own, 8)))
        with torch.no_grad():
            last = model(torch.tensor([prompt])).logits[0, -1]
        assert found[row, 0] == pytest.approx(float(last[prompt[1]] - last[5]), abs=1e-4)


def test_resample_ablation_puts_the_corrupted_runs_outputs_in_a_heads_place(
    llama_bridge: Any,
) -> None:
    asked = encoded(corrupted=CORRUPTED)
    keep = RNG.random((3, 4)) < 0.5
    found = measure(prepare(llama_bridge, asked), asked, keep, ablation="resample")
    for row, (prompt, other) in enumerate(zip(PROMPTS, CORRUPTED, strict=True)):
        corrupted: dict[str, torch.Tensor] = {}

        def remember(z: torch.Tensor, hook: Any, seen: Any = corrupted) -> None:
            seen[hook.name] = z.clone()

        def patch(z: torch.Tensor, hook: Any, seen: Any = corrupted) -> torch.Tensor:
            layer = int(hook.name.split(".")[1])
            for head in np.flatnonzero(~keep[layer]):
                z[:, :, head] = seen[hook.name][:, :, head]
            return z

        names = [f"blocks.{layer}.attn.hook_z" for layer in range(3)]
        with torch.no_grad():
            llama_bridge.run_with_hooks(
                torch.tensor([other]), fwd_hooks=[(name, remember) for name in names]
            )
            last = llama_bridge.run_with_hooks(
                torch.tensor([prompt]), fwd_hooks=[(name, patch) for name in names]
            )[0, -1]
        assert found[row, 0] == pytest.approx(float(last[prompt[1]] - last[5]), abs=1e-4)


def test_a_context_manager_resamples_too(llama_bridge: Any) -> None:
    clean, other = torch.tensor(PROMPTS[:8]), torch.tensor(CORRUPTED[:8])
    whole = np.ones((3, 4), dtype=bool)
    fill = head_outputs(llama_bridge, other)
    with torch.no_grad():
        expected = llama_bridge(clean)
        with ablated(llama_bridge, whole, ablation="resample", fill=fill):
            assert torch.equal(llama_bridge(clean), expected)
        with ablated(
            llama_bridge, ~whole, ablation="resample", fill=head_outputs(llama_bridge, clean)
        ):
            torch.testing.assert_close(llama_bridge(clean), expected)
    with pytest.raises(UsageError, match=r"\[3, batch, pos, 4, 8\], but got None"):
        ablated(llama_bridge, ~whole, ablation="resample").__enter__()


def test_what_brings_no_corrupted_prompts_is_not_resampled(
    llama_bridge: Any, model_folder: Path
) -> None:
    asked = encoded()
    with pytest.raises(UsageError, match=r"prompt 0 has none"):
        measure(prepare(llama_bridge, asked), asked, np.zeros((3, 4), bool), ablation="resample")
    study = headspex.Study(str(model_folder), "mini", ablation="resample")
    with pytest.raises(UsageError, match=r"prompt 0 has none"):
        study.run(model_folder / "never")
    assert not (model_folder / "never").exists()


@pytest.mark.slow
def test_a_study_of_ones_own_metric_runs_to_its_end(llama_bridge: Any, tmp_path: Path) -> None:
    study = headspex.Study(
        llama_bridge, difference, prompts=PROMPTS, corrupted=CORRUPTED, tokenizer=NoTokenizer(),
        ablation="resample", budget=1_000, verify_budget=6_000, threads=1,
    )  # fmt: skip
    findings = study.run(tmp_path / "run")
    assert findings.task_metric == "value"
    assert findings.chance is None
    assert {point.metric for point in findings.curve} == {"value"}
    results = json.loads((tmp_path / "run/run.json").read_text())["results"]
    assert results["chance"] is None
    assert results["faithfulness"]["r2"] > 0
    assert "value" in (tmp_path / "run/report.html").read_text()


FILE = """
PROMPTS = ["What is the home of the fox?", "What is the home of the owl?"] * 1 + [
    f"Where is the fox {n}?" for n in range(40)]
CORRUPTED = list(PROMPTS)

def good(logits, batch):
    return logits[:, -1].max(dim=-1).values

def raises(logits, batch):
    return logits[:, 10_000]

def gives_nan(logits, batch):
    return logits[:, -1, 0] * float("nan")

def wrong_shape(logits, batch):
    return logits[:, -1]

def a_number(logits, batch):
    return 3.0
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    return path


def test_a_file_and_a_function_are_a_task_on_the_command_line(
    file: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", str(model_folder), "--task", f"{file}:good"]
    assert main(["eval", *words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["metric"], found["n_questions"]) == ("value", 42)
    assert found["score"] == pytest.approx(np.mean(found["scores"]))
    assert "log_likelihoods" not in found
    out = file.parent / "run"
    assert main([
        "prune", *words, "--out", str(out), "--ablation", "resample", "--budget", "400",
        "--verify-budget", "4000", "--threads", "1",
    ]) == 0  # fmt: skip
    assert "Whole model: value" in capsys.readouterr().out
    mask = next((out / "masks").glob("*.json"))
    assert main(["eval", *words, "--mask", str(mask), "--json"]) == 0
    curve = (out / "curve.csv").read_text()
    assert str(json.loads(mask.read_text())["score"]) in curve


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("raises", r"mine\.py:raises must return finite floats of shape \[2\] \(batch\) for logits "
                   r"\[2, \d+, \d+\] \(batch, pos, vocab\), but it raised IndexError"),
        ("gives_nan", r"mine\.py:gives_nan must return finite floats of shape \[2\].*nan for prom"),
        ("wrong_shape", r"mine\.py:wrong_shape must return.*shape \[2\].*returned shape \[2, \d+"),
        ("a_number", r"mine\.py:a_number must return.*returned float"),
        ("god", r"mine\.py has no function 'god' \(did you mean good\?\)"),
    ],
)  # fmt: skip
def test_a_wrong_task_file_is_refused_in_one_sentence_and_nothing_is_written(
    function: str, message: str, file: Path, model_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out = file.parent / "run"
    words = ["--model", str(model_folder), "--task", f"{file}:{function}", "--out", str(out)]
    assert main(["prune", *words, "--budget", "400", "--verify-budget", "4000"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert re.search(message, line), line
    assert not out.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("def f(logits, batch): pass", r"has no PROMPTS"),
        ("import nothing_of_that_name", r"cannot be executed: ModuleNotFoundError"),
        ("def f(:", r"cannot be executed: SyntaxError"),
        ("PROMPTS = []\ndef f(logits, batch): pass", r"has no prompts"),
        ("PROMPTS = ['a', 'b']\nCORRUPTED = ['a']\ndef f(logits, batch): pass", r"2 prompts and 1"),
        ("PROMPTS = [3.5]\ndef f(logits, batch): pass", r"list of token ids"),
    ],
)
def test_a_broken_file_is_named(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text(content)
    with pytest.raises(UsageError, match=message):
        load_task(f"{path}:f")


def test_prompts_of_wrong_lengths_are_refused() -> None:
    task = game(difference, [[1, 2, 3], [4, 5, 6]], corrupted=[[1, 2, 3], [4, 5]])
    with pytest.raises(UsageError, match=r"prompt 1 of difference has 3 and its corrupted one 2"):
        task.encode(task.test, NoTokenizer())
    with pytest.raises(UsageError, match=r"prompts go with a metric"):
        headspex.Study("tiny", "mini", prompts=["a"])
    with pytest.raises(UsageError, match=r"has no prompts"):
        headspex.Study("tiny", difference)
