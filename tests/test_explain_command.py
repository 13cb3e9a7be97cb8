"""`headspex explain`: a run without schedules."""

import json
from pathlib import Path

import pytest

from headspex.cli.main import main

QUICK = ["--budget", "400", "--verify-budget", "2640", "--threads", "1"]


@pytest.fixture(scope="module")
def run(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("explain") / "run"
    assert main(["explain", "--model", str(model_folder), "--out", str(out), *QUICK]) == 0
    return out


def test_it_leaves_interactions_and_a_report_but_no_mask(run: Path) -> None:
    names = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    assert {"interactions.csv", "spectrum.json", "report.html", "figures/heads.svg"} <= names
    assert not [name for name in names if name.startswith("masks/") or "curve.svg" in name]


def test_it_spends_nothing_on_schedules(run: Path) -> None:
    content = json.loads((run / "run.json").read_text())
    results = content["results"]
    asked = content["identity"]["fresh_search"] + content["identity"]["fresh_heldout"]
    fresh = results["n_fresh"] * asked
    whole = results["n_heldout"]
    assert results["passes_total"] == results["passes"] + fresh + whole
    assert results["refine_passes"] == 0
    assert {point["n_pruned"] for point in results["curve"]} == {0}
    assert results["command"].startswith("headspex explain --model")


def test_it_is_told_and_drawn_again(
    run: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (run / "report.html").read_bytes()
    assert main(["explain", "--model", str(model_folder), "--out", str(run), *QUICK]) == 0
    assert "Strongest" in (told := capsys.readouterr().out) or "does not do this task" in told
    assert "can go" not in told
    assert main(["plot", str(run)]) == 0
    assert (run / "report.html").read_bytes() == before


def test_what_needs_a_curve_says_so(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", str(run), "curve"]) == 2
    assert "headspex prune" in capsys.readouterr().err
    for command in (["compare", str(run)], ["schedule", str(run), "--to", str(run / "other")]):
        assert main(command) == 2
        assert "made by `headspex explain`" in capsys.readouterr().err


def test_a_run_of_prune_in_its_folder_is_refused_by_the_command(
    run: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prune", "--model", str(model_folder), "--out", str(run), *QUICK]) == 2
    assert "(headspex explain there, headspex prune here)" in capsys.readouterr().err


def test_it_has_no_flag_of_schedules(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--refine", "1"]) == 2
