"""Every Python block of the README runs, and its commands are those the parser knows."""

import re
import shlex
from pathlib import Path

import pytest

from headspex.cli import build_parser

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("code", [text for language, text in BLOCKS if language == "python"])
def test_a_python_block_runs(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(code, "README.md", "exec"), {})


def test_the_interactions_shown_are_those_found(capsys: pytest.CaptureFixture[str]) -> None:
    code = next(text for language, text in BLOCKS if "headspex.explain" in text)
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    spectrum = names["spectrum"]
    found = spectrum.interactions("banzhaf", order=2)  # type: ignore[attr-defined]
    # Hand-computed: OR is x + y - xy, AND is xy, times one half.
    assert found[(0, 1)] == pytest.approx(-1.0, abs=1e-3)
    assert found[(2, 3)] == pytest.approx(0.5, abs=1e-3)


def test_every_headspex_command_parses() -> None:
    lines = [line for language, text in BLOCKS if language == "sh" for line in text.splitlines()]
    commands = [line for line in lines if line.startswith("headspex ")]
    assert len(commands) >= 5
    for line in commands:
        build_parser().parse_args(shlex.split(line)[1:])


def test_the_pictures_of_the_readme_exist() -> None:
    for path in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (Path(__file__).resolve().parents[1] / path).is_file()


def test_public_names_stay_what_they_are_after_every_module_is_imported() -> None:
    """A submodule of the same name would take the place of a function once it is imported."""
    import headspex.study
    from headspex import _HOME

    for name, module in _HOME.items():
        assert getattr(headspex, name) is getattr(
            __import__(f"headspex.{module}", fromlist=[name]), name
        )
