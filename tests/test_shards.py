"""A run scored in shares gives the files of one that was not."""

import json
from pathlib import Path

import pytest
from run_files import files_of, scores_of

from headspex.cli.main import main
from headspex.errors import UsageError
from headspex.runs.shards import Shard

QUICK = [
    "--budget", "400", "--verify-budget", "2640", "--threads", "1", "--metric", "logprob",
    "--refine", "0",
]  # fmt: skip


@pytest.fixture(scope="module")
def whole(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in one piece."""
    out = tmp_path_factory.mktemp("runs") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("headspex.scores.evaluate.BLOCK", 128)
        assert main(["prune", "--model", str(model_folder), "--out", str(out), *QUICK]) == 0
    return out


@pytest.mark.slow
def test_shards_are_joined_and_the_run_goes_on_with_what_they_measured(
    whole: Path, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("headspex.scores.evaluate.BLOCK", 128)
    words = ["--model", str(model_folder), *QUICK]
    parts = [str(tmp_path / f"part-{number}") for number in (1, 2, 3)]
    for number, part in enumerate(parts, 1):
        assert main(["score", *words, "--out", part, "--shard", f"{number}/3"]) == 0
    assert not set(scores_of(Path(parts[0]))) & set(scores_of(Path(parts[1])))
    out = tmp_path / "run"
    assert main(["merge", *parts, "--out", str(out)]) == 0
    joined = scores_of(out)
    assert len(joined) == sum(len(scores_of(Path(part))) for part in parts)
    capsys.readouterr()
    assert main(["prune", *words, "--out", str(out)]) == 0
    assert files_of(out) == files_of(whole)
    assert scores_of(out) == scores_of(whole)
    # The fit decides what is measured after it; nothing else was left to measure.
    left = sum(len(values) for key, values in scores_of(out).items() if key not in joined)
    identity = json.loads((out / "run.json").read_text())["identity"]
    # Four float32 for the whole model and seven sizes of the run's schedule, and of six others.
    assert left == 16 * (8 * identity["n_heldout"] + 42 * identity["n_compared"])


@pytest.mark.slow
def test_shards_of_another_run_are_refused_with_what_differs(
    whole: Path, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    words = ["score", "--model", str(model_folder), *QUICK, "--out", str(other), "--seed", "1"]
    assert main([*words, "--shard", "5/900"]) == 0
    assert main(["merge", str(whole), str(other), "--out", str(tmp_path / "run")]) == 2
    assert "(seed: 0 there, 1 here)" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_what_shards_leave_out_is_said_and_one_that_is_named_twice_is_refused(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("headspex.scores.evaluate.BLOCK", 128)
    parts = [str(tmp_path / f"part-{number}") for number in (1, 2)]
    words = ["score", "--model", str(model_folder), *QUICK]
    for number, part in enumerate(parts, 1):
        assert main([*words, "--out", part, "--shard", f"{number}/2"]) == 0
    counts = [len(scores_of(Path(part))) for part in parts]
    capsys.readouterr()
    assert main(["merge", parts[0], parts[0] + "/", "--out", str(tmp_path / "run")]) == 2
    assert f"each shard counts once, but {parts[0]} is named twice" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert main(["merge", parts[0], "--out", str(tmp_path / "run")]) == 0
    there = f"{counts[0]} of the {sum(counts)} blocks of the search and of fresh masks"
    assert there in capsys.readouterr().err
    assert main(["merge", parts[1], "--out", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "1/", "-1/3", "1/3/2", "9" * 30 + "/3"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--shard must be i/n"):
        Shard.parse(text)


def test_a_dry_run_of_a_share_tells_the_costs_and_scores_nothing(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    words = ["score", "--model", str(model_folder), *QUICK, "--out", str(out)]
    assert main([*words, "--shard", "1/2", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["passes"] > 0
    assert not out.exists()
