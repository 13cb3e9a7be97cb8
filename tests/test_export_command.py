"""`headspex export` of a run: what it says is what the exported model does."""

import json
from pathlib import Path

import numpy as np
import pytest

from headspex.cli.main import main


@pytest.fixture(scope="module")
def run(four_layers: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on the random model of four layers."""
    out = tmp_path_factory.mktemp("runs") / "run"
    words = ["--budget", "400", "--verify-budget", "2640", "--threads", "1", "--metric", "logprob"]
    assert main(["prune", "--model", str(four_layers), "--out", str(out), *words]) == 0
    return out


@pytest.mark.slow
@pytest.mark.parametrize("how", ["zeroed", "shrunk"])
def test_eval_of_an_exported_folder_says_what_the_mask_says(
    how: str, run: Path, four_layers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "out"
    words = ["export", str(run), "--sparsity", "0.5", "--shape", "--format", how, "--to", str(to)]
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["difference"] < 1e-4
    assert "the shape costs" in told["said"][1]
    assert told["speed_after"]["prefill"] > 0
    answers = []
    masked = ["--model", str(four_layers), "--mask", str(to / "headspex_mask.json")]
    for named in (["--model", str(to)], masked):
        assert main(["eval", *named, "--split", "heldout", "--json"]) == 0
        answers.append(json.loads(capsys.readouterr().out))
    np.testing.assert_allclose(
        answers[0]["log_likelihoods"], answers[1]["log_likelihoods"], atol=1e-4
    )
    heldout = json.loads((run / "questions.json").read_text())["heldout"]
    correct = dict(zip(answers[0]["ids"], answers[0]["correct"], strict=True))
    assert told["score"] == pytest.approx(np.mean([correct[q] for q in heldout]))


def test_export_takes_a_mask_file_and_refuses_what_does_not_go_together(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mask, to = next((run / "masks").glob("*.json")), tmp_path / "out"
    words = ["export", str(mask), "--format", "zeroed", "--no-timing", "--to", str(to)]
    assert main(words) == 0
    assert "logits differ" in capsys.readouterr().out
    assert not (to / "headspex_timing.json").exists()
    for more, sentence in (
        ([str(mask), "--sparsity", "0.5"], "is a mask file; leave them out"),
        ([str(run)], "--sparsity chooses the mask"),
        ([str(run), "--shape", "9x9"], "within the model's 2x2"),
        ([str(run), "--shape", "two"], "written like 3x2"),
    ):
        assert main(["export", *more, "--to", str(tmp_path / "x")]) == 2
        assert sentence in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
