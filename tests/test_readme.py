"""Every Python block of the README runs, and its commands are those the parser knows."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

import headspex
from headspex.cli.main import build_parser, main

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


def _write_questions(path: Path) -> None:
    """A hundred questions of `mini` as somebody's own."""
    from headspex.tasks import load_task

    lines = [
        {"question": q.question, "choices": list(q.choices), "answer": "ABCD"[q.answer]}
        for q in load_task("mini").test[::12]
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


# They need make, pip, the Hub, or data from it; other tests run them with stand-ins.
ELSEWHERE = ("make ", "pip ", "llama-3.1-8b", "smollm2-135m", "--tasks arc_easy")


@pytest.mark.slow
def test_its_commands_run_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The default budgets take minutes; these are the least that has a pilot and a curve.
    monkeypatch.setattr("headspex.budget.plan.SEARCH_PASSES_PER_PLAYER", 170)
    monkeypatch.setattr("headspex.budget.plan.VERIFY_PASSES_PER_PLAYER", 60)
    monkeypatch.chdir(tmp_path)
    tiny = Path(headspex.__file__).parent / "tiny"
    names = ("*.json", "*.safetensors")
    (tmp_path / "path/to/llama").mkdir(parents=True)
    for file in (file for name in names for file in tiny.glob(name)):
        shutil.copy(file, tmp_path / "path/to/llama")
    _write_questions(tmp_path / "questions.jsonl")
    assert main(["prune"]) == 0  # what `make prune` does
    lines = [line for language, text in BLOCKS if language == "sh" for line in text.splitlines()]
    ran = 0
    for line in lines:
        if not any(word in line for word in ELSEWHERE):
            assert main(shlex.split(line)[1:]) == 0, line
            ran += 1
    assert ran >= 15


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
