"""The main job on the shipped model, checked by plain transformers."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from headspex.cli.main import main

ROOT = Path(__file__).resolve().parents[1]


pytestmark = pytest.mark.slow  # the whole default run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run of `headspex prune`."""
    out = tmp_path_factory.mktemp("runs") / "tiny-mini"
    words = ["prune", "--out", str(out), "--budget", "8000", "--verify-budget", "13200"]
    assert main(words) == 0
    return out


def _heldout(run: Path) -> list[dict[str, Any]]:
    """The held-out questions, found again by their ids in the CSV files."""
    import hashlib

    wanted = json.loads((run / "questions.json").read_text())["heldout"]
    found: dict[str, dict[str, Any]] = {}
    for path in sorted((ROOT / "tasks/data/mini/test").glob("*.csv")):
        subject = path.name.removesuffix("_test.csv")
        with path.open(newline="") as file:
            for text, *choices, letter in csv.reader(file):
                content = json.dumps([subject, text, choices], ensure_ascii=False)
                key = hashlib.sha256(content.encode()).hexdigest()[:16]
                found[key] = {"subject": subject, "text": text, "choices": choices, "right": letter}
    return [found[key] for key in wanted]


def _count_right(model: Any, tokenizer: Any, questions: list[dict[str, Any]]) -> int:
    import torch

    right = 0
    for question in questions:
        about = question["subject"].replace("_", " ")
        text = f"The following are multiple choice questions (with answers) about {about}.\n\n"
        text += question["text"] + "\n"
        for letter, choice in zip("ABCD", question["choices"], strict=True):
            text += f"{letter}. {choice}\n"
        ids = tokenizer(text + "Answer:", return_tensors="pt")["input_ids"]
        with torch.no_grad():
            logits = model(ids).logits[0, -1]
        scores = [logits[tokenizer(f"Answer: {x}")["input_ids"][-1]].item() for x in "ABCD"]
        right += "ABCD"[scores.index(max(scores))] == question["right"]
    return right


def test_zeroed_o_proj_columns_in_plain_transformers_give_the_same_number_of_right_answers(
    run: Path,
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = ROOT / "headspex" / "tiny"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    questions = _heldout(run)
    masks = sorted((run / "masks").glob("*.json"))
    assert len(masks) == 9
    for path in masks:
        mask = json.loads(path.read_text())
        model = AutoModelForCausalLM.from_pretrained(folder).eval()
        width = model.config.head_dim
        for layer, heads in mask["pruned_heads"].items():
            weight = model.model.layers[int(layer)].self_attn.o_proj.weight.data
            for head in heads:
                weight[:, head * width : (head + 1) * width] = 0
        right = _count_right(model, tokenizer, questions)
        assert right == round(mask["score"] * len(questions)), path.name


def test_a_finished_run_is_told_again_without_scoring(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("a stored score was measured again")

    monkeypatch.setattr("headspex.scores.judge.measure", refuse)
    words = ["prune", "--out", str(run), "--budget", "8000", "--verify-budget", "13200"]
    assert main(words) == 0
    out = capsys.readouterr().out
    for part in ("Whole model: accuracy", "Faithfulness on 145 fresh masks", "Energy (p = "):
        assert part in out
    results = json.loads((run / "run.json").read_text())["results"]
    assert not results["at_chance"]
    assert results["unpruned"] >= 0.9
    assert sum(results["energy"][k] for k in ("linear", "within", "across")) == pytest.approx(1)
