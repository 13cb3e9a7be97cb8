"""Python blocks of the README and the quick start run, and a session of pages' commands."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from pages import ROOT, blocks, commands, told

import headspex
from headspex.budget.defaults import Defaults, Passes
from headspex.cli.main import main

PYTHON = [
    (page, code, says)
    for page in ("README.md", "docs/index.md", "docs/guides/other-players.md")
    for code, says in told(page)
]
# In this order they are one session: later commands use what earlier ones left.
SESSION = (
    "docs/guides/own-model.md",
    "docs/guides/figures.md",
    "docs/benchmarks.md",
    "docs/guides/other-players.md",
)


@pytest.mark.parametrize(("page", "code", "says"), PYTHON)
def test_a_python_block_runs_and_prints_what_the_page_says(
    page: str,
    code: str,
    says: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    exec(compile(code, page, "exec"), {})
    if says:
        assert capsys.readouterr().out == says


def test_pages_say_what_their_blocks_print() -> None:
    assert sum(bool(says) for _, _, says in PYTHON) == 3


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_the_interactions_shown_are_those_of_the_function(page: str) -> None:
    code = next(text for language, text in blocks(page) if "headspex.explain" in text)
    names: dict[str, object] = {}
    exec(compile(code, page, "exec"), names)
    found = names["spectrum"].effects()  # type: ignore[attr-defined]
    # Hand-computed: OR is x + y - xy, AND is xy, times one half.
    assert found[(0, 1)] == pytest.approx(-1.0, abs=1e-3)
    assert found[(2, 3)] == pytest.approx(0.5, abs=1e-3)


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 130


def test_the_readme_sets_up_by_make() -> None:
    makefile = (ROOT / "Makefile").read_text()
    found = [line.split("#")[0].strip() for line in commands("README.md") if "make " in line]
    assert found == ["make prune", "make test", "make real"]
    for target in re.findall(r"`?make (\w+)", (ROOT / "README.md").read_text()):
        assert re.search(rf"^{target}:", makefile, re.M), target


def _write_questions(path: Path) -> None:
    """A hundred questions of `mini` as somebody's own."""
    from headspex.tasks import load_task

    lines = [
        {"question": q.question, "choices": list(q.choices), "answer": "ABCD"[q.answer]}
        for q in load_task("mini").test[::12]
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


# They need the Hub, or data from it; other tests run them with stand-ins.
ELSEWHERE = ("llama-3.1-8b", "--tasks arc_easy")


@pytest.mark.slow
def test_commands_of_the_pages_run_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The default budgets take minutes; these are the least that has a pilot and a curve.
    few = Defaults(Passes(170), Passes(60), keep=0.6, per_mask=2)
    monkeypatch.setattr("headspex.setup.defaults_of", lambda task, by: few)
    monkeypatch.chdir(tmp_path)
    tiny = Path(headspex.__file__).parent / "tiny"
    names = ("*.json", "*.safetensors")
    (tmp_path / "path/to/llama").mkdir(parents=True)
    for file in (file for name in names for file in tiny.glob(name)):
        shutil.copy(file, tmp_path / "path/to/llama")
    _write_questions(tmp_path / "questions.jsonl")
    assert main(["prune"]) == 0  # what `make prune` does
    ran = 0
    for line in (line for page in SESSION for line in commands(page)):
        if not any(word in line for word in ELSEWHERE):
            assert main(shlex.split(line)[1:]) == 0, line
            ran += 1
    assert ran >= 15


def test_public_names_stay_what_they_are_after_every_module_is_imported() -> None:
    """A submodule of the same name would take the place of a function once it is imported."""
    import headspex.study
    from headspex import _HOME

    for name, module in _HOME.items():
        assert getattr(headspex, name) is getattr(
            __import__(f"headspex.{module}", fromlist=[name]), name
        )
