"""Folders that headspex 0.1 wrote open."""

import json
from pathlib import Path

import pytest
from made_runs import made_run

import headspex
from headspex.cli.main import main


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A run without what 0.1 did not write."""
    folder = made_run(tmp_path / "run", layers=3, heads=4, pairs=6)
    content = json.loads(folder.run.read_text())
    for name in ("loss_at_most", "may_cost"):
        del content["results"][name]
    content["results"]["free"] = 6
    later = ("fresh_search", "fresh_heldout", "n_compared", "may_cost", "adapter", "quantised",
             "prompt_style")  # fmt: skip
    for name in later:
        content["identity"].pop(name, None)
    folder.run.write_text(json.dumps(content))
    return tmp_path / "run"


def test_an_old_run_is_drawn_and_told_without_a_claim_that_was_not_tested(
    old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plot", str(old)]) == 0
    assert "report.html" in capsys.readouterr().out
    found = headspex.load_run(old)
    assert "did not test which heads can go" in str(found)
    assert "6 of 12" not in str(found)
    assert found.mask(3).sum() == 9
