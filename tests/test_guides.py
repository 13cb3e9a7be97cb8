"""Every block of the guides runs: Python as it stands, commands that need no network."""

import re
import shlex
from pathlib import Path

import pytest

from headspex.cli.main import build_parser, main

ROOT = Path(__file__).resolve().parents[1]
GUIDES = ROOT / "docs/guides"
PAGES = sorted(path.name for path in GUIDES.glob("*.md"))
# The code of ioi.md has tests of its own; long-runs.md is about models and clusters elsewhere.
HERE = ["heads.md", "metric.md", "prune-and-export.md"]


def _blocks(name: str) -> list[tuple[str, str]]:
    return re.findall(r"```(\w+)\n(.*?)```", (GUIDES / name).read_text(), re.DOTALL)


def _commands(name: str) -> list[str]:
    blocks = (text for language, text in _blocks(name) if language == "sh")
    return [line for text in blocks for line in text.splitlines()]


@pytest.mark.parametrize("line", [line for name in PAGES for line in _commands(name)])
def test_a_command_of_a_guide_parses(line: str) -> None:
    assert line.startswith("headspex ")
    build_parser().parse_args(shlex.split(line)[1:])


@pytest.mark.slow
@pytest.mark.parametrize("name", HERE)
def test_a_guide_runs_from_its_first_block_to_its_last(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    for language, text in _blocks(name):
        if language == "python":
            exec(compile(text, name, "exec"), namespace)
        elif language == "sh":
            for line in text.splitlines():
                assert main(shlex.split(line)[1:]) == 0, line


def test_the_readme_names_every_guide_and_links_lead_somewhere() -> None:
    readme = (ROOT / "README.md").read_text()
    for page in PAGES:
        assert f"docs/guides/{page}" in readme
    for path in [ROOT / "README.md", *GUIDES.glob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
            assert link.startswith("https://") or (path.parent / link).is_file(), (path, link)
