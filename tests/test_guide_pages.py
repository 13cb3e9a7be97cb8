"""Every block of the guides runs: Python as it stands, commands where they need no network."""

import re
import shlex
from pathlib import Path

import pytest

from headspex.cli import build_parser, main
from headspex.errors import UsageError

GUIDES = Path(__file__).resolve().parents[1] / "figures/guides"
PAGES = ["heads.md", "prune-and-export.md", "cluster.md", "metric.md"]
AWAY = ("llama-3.1-8b", "runs/history")  # a model from the Hub, and its run
# Not part of the command line yet.
LATER = ("--format zeroed", "--format shrunk", "--ray", "headspex status")


def _blocks(name: str) -> list[tuple[str, str]]:
    return re.findall(r"```(\w+)\n(.*?)```", (GUIDES / name).read_text(), re.DOTALL)


COMMANDS = [
    line
    for name in PAGES
    for language, text in _blocks(name)
    if language == "sh"
    for line in text.splitlines()
]


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_a_guide_parses(line: str) -> None:
    if any(words in line for words in LATER):
        with pytest.raises(UsageError):  # take it out of LATER when it does not
            build_parser().parse_args(shlex.split(line)[1:])
        pytest.skip("this command is still to come")
    build_parser().parse_args(shlex.split(line)[1:])


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_a_guide_runs_from_its_first_block_to_its_last(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"folder": tmp_path}
    for language, text in _blocks(name):
        if language == "python":
            exec(compile(text, name, "exec"), namespace)
            continue
        for line in text.splitlines():
            if not any(words in line for words in (*AWAY, *LATER)):
                assert main(shlex.split(line)[1:]) == 0, line


def test_the_readme_names_every_guide_and_they_name_what_exists() -> None:
    root = GUIDES.parents[1]
    readme = (root / "README.md").read_text()
    for page in PAGES:
        assert f"figures/guides/{page}" in readme
    for path in re.findall(r"\]\((figures/[^)]+)\)", readme):
        assert (root / path).is_file(), path
