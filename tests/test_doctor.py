"""Commands that say what is there: models, tasks, and what this machine can do."""

import errno
import fcntl
import json
import os
import re
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from headspex.cli import machine as doctor
from headspex.cli import tested_versions as tested
from headspex.cli.main import main

ROOT = Path(__file__).resolve().parents[1]


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
    assert said[0] == "WRONG  scores: OSError: no locks on this disk"
    assert said[1].startswith("ok     python: 3.")


def test_the_versions_at_hand_are_told_beside_those_that_the_tests_ran_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "LOOKS", {"tested": doctor.LOOKS["tested"]})
    at_hand = {name: (tested.short(tested.here(name)),) for name in tested.TESTED}
    monkeypatch.setattr(doctor, "TESTED", at_hand)
    monkeypatch.setattr(tested, "TESTED", at_hand)
    (finding,) = doctor.examine(tmp_path)
    assert finding.state == "ok"
    monkeypatch.setitem(at_hand, "xgboost", ("1.7", "2.0"))
    (finding,) = doctor.examine(tmp_path)
    assert finding.state == "missing"
    assert f"have not run with xgboost {tested.here('xgboost')}, but with" in finding.said
    assert "xgboost 1.7 and 2.0" in finding.said


def test_versions_that_are_called_tested_are_those_that_make_installs() -> None:
    pinned: dict[str, set[str]] = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if "==" in line:
            name, given = line.split(";")[0].strip().split("==")
            pinned.setdefault(name, set()).add(tested.short(given))
    for name, versions in tested.TESTED.items():
        assert name == "python" or pinned[name] == set(versions), name


def test_missing_extras_are_called_what_pip_knows_them_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(doctor, "LOOKS", {"extras": doctor.LOOKS["extras"]})
    monkeypatch.setattr(doctor, "version", absent)
    (finding,) = doctor.examine(tmp_path)
    named = re.search(r"headspex\[(.*?)\]", finding.said)
    assert named is not None
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert set(named[1].split(",")) == set(extras) - {"dev", "docs", "notebooks"}
    for extra, package in doctor.EXTRAS.items():
        assert any(line.startswith(package) for line in extras[extra]), extra


def test_a_disk_without_locks_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(file: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr(doctor, "LOOKS", {"scores": doctor.LOOKS["scores"]})
    (finding,) = doctor.examine(tmp_path)
    assert finding.state == "wrong"
    assert finding.said.startswith("a run needs a file system with locks")


def test_too_little_disk_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LITTLE_DISK", 1e30)
    monkeypatch.setattr(doctor, "LOOKS", {"disk": doctor.LOOKS["disk"]})
    assert [finding.state for finding in doctor.examine(tmp_path)] == ["wrong"]


def test_a_folder_that_is_not_there_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", str(tmp_path / "no")]) == 2
    assert "is not a folder; name one where runs would be stored" in capsys.readouterr().err


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
