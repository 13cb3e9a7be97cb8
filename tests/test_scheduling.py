"""`headspex schedule` on finished runs of a small random model."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from headspex.cli.main import main
from headspex.mask_file import read_mask
from headspex.runs.curve import CURVE
from headspex.runs.run_folder import finished_run

QUICK = ["--budget", "400", "--verify-budget", "2640", "--threads", "1", "--metric", "logprob"]


@pytest.fixture(scope="module")
def runs(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two finished runs on two subjects."""
    folder = tmp_path_factory.mktemp("runs")
    for subject in ("stored_facts", "number_comparison"):
        words = ["prune", "--model", str(model_folder), "--subject", subject]
        assert main([*words, "--out", str(folder / subject), *QUICK]) == 0
    return [folder / "stored_facts", folder / "number_comparison"]


def schedule(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    assert main(["schedule", *map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("method", ["greedy", "build-up", "exact", "nested"])
def test_every_kind_of_schedule_is_judged_on_all_held_out_questions(
    method: str, runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "out"
    told = schedule(capsys, runs[0], "--method", method, "--protect", "L1H2", "--to", to)
    curve = CURVE.read(to / "curve.csv")
    assert {p.method for p in curve} == {"whole model", method, "the run's schedule"}
    assert {p.n_questions for p in curve} == {120}
    by_size = {p.n_pruned: p.score for p in curve if p.method == method}
    assert set(told["runs"][0]["free"]) == {method, "the run's schedule"}
    assert set(by_size) == set(told["sizes"]) == set(range(1, 8))
    masks = [read_mask(path) for path in sorted((to / "masks").glob("*.json"))]
    for mask in masks:
        assert mask.keep_grid()[1, 2]
        assert mask.score == by_size[mask.n_pruned]
    if method != "exact":
        grids = np.stack([mask.keep_grid() for mask in masks])
        assert (grids[:-1] >= grids[1:]).all()
    assert (to / "schedule.json").exists() == (method in ("greedy", "build-up"))
    assert not list(to.glob("scores*"))


def test_a_schedule_of_this_command_can_be_exported(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schedule(capsys, runs[0], "--per-layer", "2", "--to", tmp_path / "s")
    words = ["export", str(runs[0]), "--schedule", str(tmp_path / "s" / "schedule.json")]
    assert main([*words, "--sparsity", "0.5", "--to", str(tmp_path / "m")]) == 0
    grid = read_mask(tmp_path / "m" / "headspex_mask.json").keep_grid()
    assert grid.sum(axis=1).tolist() == [2, 2]


@pytest.mark.parametrize("made_by", ["prune", "schedule"])
def test_a_schedule_of_another_model_is_not_exported(
    made_by: str, runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, to = runs[1] / "schedule.json", tmp_path / "m"
    if made_by == "schedule":
        schedule(capsys, runs[0], "--to", tmp_path / "s")
        file = tmp_path / "s" / "schedule.json"
    content = json.loads(file.read_text())
    assert content["fingerprint"] == finished_run(runs[0])[1]["identity"]["weights"]
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**content, "fingerprint": "ab" * 32}))
    words = ["export", str(runs[0]), "--sparsity", "0.5", "--to", str(to), "--schedule"]
    assert main([*words, str(other)]) == 2
    assert "for weights abababababab" in capsys.readouterr().err
    assert not to.exists()
    assert main([*words, str(file)]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("combine", ["mean", "worst"])
def test_two_tasks_are_combined_and_each_is_judged(
    combine: str, runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = schedule(capsys, *runs, "--combine", combine, "--to", tmp_path / "out")
    assert [one["run"] for one in told["runs"]] == [str(run) for run in runs]
    assert (tmp_path / "out" / "curve-2.csv").exists()


def test_few_heads_and_another_text_are_judged(
    runs: list[Path], model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    text = tmp_path / "text.txt"
    text.write_text("The home of the fox is the forest. " * 30)
    told = schedule(
        capsys, runs[0], "--method", "exact", "--keep-only", "--text", text, "--to", tmp_path / "o"
    )
    assert told["sizes"] == [2, 4, 5, 6, 7]  # 6, 4, 3, 2 and 1 of 8 heads stay
    losses = {
        (p["method"], p["n_pruned"]): p["score"]
        for p in told["runs"][0]["curve"]
        if p["metric"] == "text loss"
    }
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    model = AutoModelForCausalLM.from_pretrained(model_folder)
    tokens = torch.tensor(tokenizer(text.read_text())["input_ids"])
    expected = []
    with torch.no_grad():
        for start in range(0, len(tokens), 256):
            piece = tokens[start : start + 256][None]
            if piece.shape[1] > 1:
                expected.append(float(model(piece, labels=piece).loss))
    assert losses["whole model", 0] == pytest.approx(np.mean(expected), abs=1e-4)
    assert len(losses) == 1 + 2 * 5


WRONG = [
    (["--method", "best"], "--method must be one of greedy"),
    (["--combine", "sum"], "--combine must be one of"),
    (["--combine", "worst", "--method", "exact"], "needs --method greedy"),
    (["--weights", "1", "2"], "--weights must be one number for each of 1 run under"),
    (["--weights", "nan"], "one positive number for each of 1 run, but got [nan]"),
    (["--weights", "-1"], "one positive number for each of 1 run, but got [-1.0]"),
    (["--weights", "inf"], "one positive number for each of 1 run, but got [inf]"),
    (["--combine", "worst"], "--combine worst needs several runs"),
    (["--protect", "L9H0"], "L9H0 is not a player"),
    (["--per-layer", "0"], "--per-layer must be at least 1"),
    (["--per-layer", "1", "--method", "build-up"], "--per-layer limits removal"),
    (["--text", "nowhere.txt"], "nowhere.txt cannot be read"),
]


@pytest.mark.parametrize(("words", "sentence"), WRONG)
def test_a_wrong_wish_is_answered_with_one_sentence_and_leaves_nothing(
    words: list[str], sentence: str, runs: list[Path], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    capsys.readouterr()
    assert main(["schedule", str(runs[0]), *words, "--to", str(tmp_path / "out")]) == 2
    assert sentence in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_named_twice_is_refused_also_as_a_copy(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(runs[0], tmp_path / "copy")
    for twice in (runs[0], tmp_path / "copy"):
        words = ["schedule", *map(str, (*runs, twice)), "--to", str(tmp_path / "out")]
        assert main(words) == 2
        said = capsys.readouterr().err
        assert f"each run counts once, but {runs[0]} and {twice} are the same run" in said
    assert not (tmp_path / "out").exists()
