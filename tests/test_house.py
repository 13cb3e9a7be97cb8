"""The rooms of the house: who may import whom, inside of functions and for types aside."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "headspex"
# Words and files that everyone uses; settings say what is asked for, but not how it is done.
WORDS = {
    "arrays", "errors", "files", "identity", "interrupt", "layer_ranges", "lazy", "mask_file",
    "notice", "players", "progress", "protocol", "records", "rule", "schema", "seeds", "settings",
    "units",
}  # fmt: skip
# Each may import the words and what stands before it.
FLOORS = [
    "engine", "schedules", "tasks", "hooks", "scores", "budget", "study", "runs", "comparison",
    "export", "scheduling", "commands",
]  # fmt: skip


def _imported(file: Path) -> Iterator[list[str]]:
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.split(".")
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".") for alias in node.names)


def _files(room: str) -> list[Path]:
    one = PACKAGE / f"{room}.py"
    return [one] if one.is_file() else sorted((PACKAGE / room).rglob("*.py"))


@pytest.mark.parametrize("room", sorted(WORDS))
def test_words_know_no_room(room: str) -> None:
    for names in _imported(PACKAGE / f"{room}.py"):
        assert names[0] != "headspex" or names[1] in WORDS, ".".join(names)


@pytest.mark.parametrize("room", ["engine", "schedules", "tasks", "hooks", "scores", "budget"])
def test_a_room_imports_only_what_it_stands_on(room: str) -> None:
    below = {room, *WORDS, *FLOORS[: FLOORS.index(room)]}
    if room in ("tasks", "hooks"):
        below -= {"engine", "schedules"}
    for file in _files(room):
        for names in _imported(file):
            assert names[0] != "headspex" or names[1] in below, (file.name, ".".join(names))


@pytest.mark.parametrize("room", ["engine", "schedules"])
def test_the_engine_knows_numbers_only(room: str) -> None:
    numbers = {"numpy", "scipy", "sklearn", "xgboost", "jaxtyping", "threadpoolctl", "headspex"}
    for file in _files(room):
        for names in _imported(file):
            assert names[0] in numbers | sys.stdlib_module_names, (file.name, ".".join(names))


def test_only_commands_know_the_command_line() -> None:
    for room in (*FLOORS[:-1], "figures", "report"):
        for file in _files(room):
            for names in _imported(file):
                assert names[:2] not in (["headspex", "commands"], ["headspex", "cli"]), file
                assert names[0] != "argparse" or room == "tiny", file


def test_every_room_is_packed() -> None:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())
    rooms = {path.parent for path in PACKAGE.rglob("__init__.py")}
    links = {PACKAGE / name for name in ("hooks", "tasks", "figures")}  # rglob follows no links
    names = {".".join(room.relative_to(PACKAGE.parent).parts) for room in rooms | links}
    assert set(project["tool"]["setuptools"]["packages"]) == names
