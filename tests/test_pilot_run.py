"""Whole runs that begin with a pilot."""

import json
from pathlib import Path
from typing import Any

import pytest
from run_files import passes_of

from headspex.cli.main import main
from headspex.study import Study

pytestmark = pytest.mark.slow

BUDGET = 6_400  # the least that has a pilot is 6,144


def _words(model_folder: Path, out: Path) -> list[str]:
    return [
        "prune", "--model", str(model_folder), "--out", str(out), "--budget", str(BUDGET),
        "--verify-budget", "2640", "--threads", "1", "--metric", "logprob",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def run(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on a random model, everything chosen by a pilot."""
    out = tmp_path_factory.mktemp("runs") / "run"
    assert main(_words(model_folder, out)) == 0
    return out


def _content(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "run.json").read_text())
    return content


def _refuse(*args: object, **options: object) -> None:
    raise AssertionError("what is stored was measured again")


def test_what_was_asked_for_and_what_was_chosen_are_both_recorded(run: Path) -> None:
    identity, results = _content(run)["identity"], _content(run)["results"]
    assert identity["keep"] == identity["questions_per_mask"] == "auto"
    allocation = results["allocation"]
    assert results["keep"] == allocation["keep"] in [one["keep"] for one in allocation["probes"]]
    assert results["questions_per_mask"] == allocation["questions_per_mask"] >= 1
    assert results["energy"]["basis"] == f"p = {results['keep']}"


def test_pilot_and_search_stay_within_the_budget_and_every_pass_is_in_the_store(run: Path) -> None:
    results = _content(run)["results"]
    assert 0 < results["allocation"]["pilot_passes"] < results["passes"] <= BUDGET
    assert passes_of(run) == results["passes_total"]


def test_a_run_that_is_told_again_says_the_same_and_scores_nothing(
    run: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    before = (run / "run.json").read_bytes()
    monkeypatch.setattr("headspex.scores.judge.measure", _refuse)
    monkeypatch.setattr("headspex.runs.run.allocate", _refuse)
    assert main(_words(model_folder, run)) == 0
    assert (run / "run.json").read_bytes() == before
    told = capsys.readouterr().out
    allocation = _content(run)["results"]["allocation"]
    for reason in allocation["reasons"]:
        assert reason in told
    assert f"{allocation['pilot_passes']:,} of them pilot" in told


def test_a_run_that_stops_after_the_pilot_goes_on_with_what_was_stored(
    run: Path, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"

    def stop(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("headspex.runs.run.find", stop)
        assert main(_words(model_folder, out)) == 1
    assert _content(out)["allocation"] == _content(run)["results"]["allocation"]
    monkeypatch.setattr("headspex.runs.run.allocate", _refuse)
    assert main(_words(model_folder, out)) == 0
    assert (out / "run.json").read_bytes() == (run / "run.json").read_bytes()
    assert (out / "spectrum.json").read_bytes() == (run / "spectrum.json").read_bytes()


def test_compare_plot_and_export_take_such_a_run(run: Path, tmp_path: Path) -> None:
    words = ["--budgets", "2000", "--orders", "--to", str(tmp_path / "c")]
    assert main(["compare", str(run), *words]) == 0
    found = json.loads((tmp_path / "c" / "compare.json").read_text())
    ours = found["methods"][0]["faithfulness"]
    assert ours == pytest.approx(_content(run)["results"]["faithfulness"])
    assert main(["plot", str(run), "heads", "--to", str(tmp_path / "heads.svg")]) == 0
    assert main(["export", str(run), "--sparsity", "0.5", "--to", str(tmp_path / "x")]) == 0


def test_the_study_of_such_a_run_has_its_identity(run: Path) -> None:
    identity = _content(run)["identity"]
    assert Study.of_run(identity).identity == identity
