"""Commands that say what is there: models, tasks, and what this machine can do."""

import json
from pathlib import Path

import pytest

from headspex import doctor
from headspex.cli import main


def test_a_machine_on_which_the_tests_run_is_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    states = {one["about"]: one["state"] for one in told["findings"]}
    assert told["ok"] is True
    assert set(states) == set(doctor.LOOKS)
    assert states["shipped model"] == "ok"
    assert list(tmp_path.iterdir()) == []


def test_whatever_is_wrong_is_told_and_the_rest_is_still_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(folder: Path) -> tuple[str, str]:
        raise OSError("no locks on this disk")

    looks = {"scores": broken, "python": doctor.LOOKS["python"]}
    monkeypatch.setattr(doctor, "LOOKS", looks)
    assert main(["doctor", str(tmp_path)]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "WRONG    scores: OSError: no locks on this disk"
    assert said[1].startswith("ok       python: 3.")


def test_too_little_disk_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LITTLE_DISK", 1e30)
    monkeypatch.setattr(doctor, "LOOKS", {"disk": doctor.LOOKS["disk"]})
    assert [finding.state for finding in doctor.examine(tmp_path)] == ["wrong"]


def test_a_folder_that_is_not_there_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", str(tmp_path / "no")]) == 2
    assert "is no folder; name one where runs would be kept" in capsys.readouterr().err


def test_every_alias_and_task_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--json"]) == 0
    models = json.loads(capsys.readouterr().out)
    assert models["aliases"]["llama-3.1-8b"] == "meta-llama/Llama-3.1-8B"
    assert main(["models"]) == 0
    assert capsys.readouterr().out.startswith("tiny ")
    assert main(["tasks", "--json"]) == 0
    tasks = json.loads(capsys.readouterr().out)["tasks"]
    assert len(tasks["mmlu"]) == 57
    assert "two_hop_reasoning" in tasks["mini"]
    assert main(["tasks"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) < 120
