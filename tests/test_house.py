"""The rooms of the house: who may import whom, inside of functions and for types too."""

import ast
import sys
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[1]
PACKAGE = TOP / "headspex"
LINKED = ("hooks", "tasks", "figures")  # that lie beside the package

# Each room may import those above it. A name is a folder, or a module in the root.
FLOORS = [
    "errors", "support", "units", "presets", "players", "mask_file", "settings", "tiny", "engine",
    "schedules", "gates", "walk", "tasks", "hooks", "scores", "budget", "setup", "estimates",
    "runs", "figures", "report", "study", "comparison", "evaluation", "export", "rescheduling",
    "features", "data", "cli",
]  # fmt: skip
NUMBERS = {"numpy", "scipy", "sklearn", "xgboost", "jaxtyping", "threadpoolctl", "shapiq"}
IN_ROOT = 8  # modules, at most
LONGEST = 350  # lines of a file


@cache
def _modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    files = [(path, path.relative_to(TOP)) for path in PACKAGE.rglob("*.py")]
    for link in LINKED:  # rglob follows no links
        files += [
            (path, Path("headspex") / path.relative_to(TOP)) for path in (TOP / link).rglob("*.py")
        ]
    return {".".join(name.with_suffix("").parts).removesuffix(".__init__"): p for p, name in files}


@cache
def _imported(module: str) -> frozenset[str]:
    """What a module imports anywhere in it: at its top, in functions, and for types alone."""
    found = set()
    for node in ast.walk(ast.parse(_modules()[module].read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                found.add(name if name in _modules() else node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return frozenset(found - {module})


def _graph() -> dict[str, set[str]]:
    return {name: set(_imported(name)) & _modules().keys() for name in _modules()}


def _room(module: str) -> str:
    return module.split(".")[1] if "." in module else "headspex"


def _circle(graph: Mapping[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def _arrows() -> Iterator[tuple[str, str]]:
    for module, others in _graph().items():
        for other in others:
            if module != "headspex" and _room(module) != _room(other):
                yield module, other


def test_no_import_of_any_kind_is_part_of_a_circle() -> None:
    assert len(_modules()) > 100
    assert _circle(_graph()) == []


def test_a_circle_would_be_found() -> None:
    assert set(_circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})) == {"a", "b", "c"}


def test_every_room_has_a_floor() -> None:
    assert {_room(module) for module in _modules()} - {"headspex"} == set(FLOORS)


def test_a_room_imports_only_what_it_stands_on() -> None:
    upward = [
        (module, other)
        for module, other in _arrows()
        if FLOORS.index(_room(other)) > FLOORS.index(_room(module))
    ]
    assert upward == []


@pytest.mark.parametrize("room", ["engine", "schedules", "gates", "walk"])
def test_the_engine_knows_numbers_only(room: str) -> None:
    below = {"errors", "support", "units", "players", "engine", "schedules", "gates", "walk"}
    for module in _modules():
        if _room(module) == room:
            for name in _imported(module):
                package = name.split(".")[0]
                known = _room(name) in below if package == "headspex" else package in NUMBERS
                assert known or package in sys.stdlib_module_names, (module, name)


@pytest.mark.parametrize("room", ["hooks", "tasks"])
def test_hooks_and_tasks_know_no_engine(room: str) -> None:
    forbidden = {"engine", "schedules", "walk"}
    assert [
        pair for pair in _arrows() if _room(pair[0]) == room and _room(pair[1]) in forbidden
    ] == []


def test_only_the_command_line_knows_the_command_line() -> None:
    assert [pair for pair in _arrows() if _room(pair[1]) == "cli"] == []
    parsers = {_room(module) for module in _modules() if "argparse" in _imported(module)}
    assert parsers == {"cli", "tiny"}  # the shipped model is trained by a program of its own


def test_few_modules_stand_in_the_root() -> None:
    root = [
        name for name in _modules() if name.count(".") == 1 and _modules()[name].parent == PACKAGE
    ]
    assert len(root) <= IN_ROOT, root


def test_no_file_is_longer_than_can_be_read_at_once() -> None:
    lines = {name: len(path.read_text().splitlines()) for name, path in _modules().items()}
    assert {name: count for name, count in lines.items() if count > LONGEST} == {}


def test_every_room_is_packed() -> None:
    project = tomllib.loads((TOP / "pyproject.toml").read_text())
    packages = {name for name, path in _modules().items() if path.name == "__init__.py"}
    assert set(project["tool"]["setuptools"]["packages"]) == packages
