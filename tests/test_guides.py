"""Every block of the guides runs: Python as it stands, commands that need no network."""

import shlex
from pathlib import Path

import pytest
from pages import blocks

from headspex.cli.main import main

# ioi.md, and smollm2.md as a notebook, have tests of their own; long-runs.md is about models and
# clusters elsewhere, real-model.md about a run of a quarter of an hour. The other guides run in
# test_readme.py.
HERE = ["heads.md", "metric.md", "prune-and-export.md"]


@pytest.mark.slow
@pytest.mark.parametrize("name", HERE)
def test_a_guide_runs_from_its_first_block_to_its_last(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    for language, text in blocks(f"docs/guides/{name}"):
        if language == "python":
            exec(compile(text, name, "exec"), namespace)
        elif language == "sh":
            for line in text.splitlines():
                assert main(shlex.split(line)[1:]) == 0, line
