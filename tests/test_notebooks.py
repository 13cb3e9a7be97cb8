"""The notebooks: they are their guides, hold outputs, and run."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pages import DOCS, blocks, script

GUIDES = {"heads.ipynb": "docs/guides/heads.md", "smollm2.ipynb": "docs/guides/smollm2.md"}


def _cells(name: str) -> list[dict[str, Any]]:
    content = json.loads((DOCS / "notebooks" / name).read_text(encoding="utf-8"))
    return [cell for cell in content["cells"] if cell["cell_type"] == "code"]


def _made_by() -> ModuleType:
    for package in ("jupytext", "nbclient", "ipykernel"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: pip install 'headspex[notebooks]'")
    return script("notebooks.py")


def test_there_are_no_other_notebooks() -> None:
    assert sorted(path.name for path in DOCS.rglob("*.ipynb")) == sorted(GUIDES)


@pytest.mark.parametrize("name", GUIDES)
def test_a_notebook_runs_every_block_of_its_guide_in_order(name: str) -> None:
    code = iter("".join(cell["source"]).removeprefix("%%sh\n").strip() for cell in _cells(name))
    for language, text in blocks(GUIDES[name]):
        if language != "text":
            assert text.strip() in code, "make notebooks"  # `in` goes on from the last one found


@pytest.mark.parametrize("name", GUIDES)
def test_a_notebook_shows_what_its_cells_gave(name: str) -> None:
    outputs = [output for cell in _cells(name) for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    drawn = [line for _, text in blocks(GUIDES[name]) for line in text.splitlines()]
    assert len(pictures) == sum(line.startswith("headspex plot") for line in drawn) > 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Jupyter's packages
@pytest.mark.parametrize("name", GUIDES)
def test_a_notebook_runs(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if name == "smollm2.ipynb":
        request.getfixturevalue("smollm2")
    made = _made_by()
    notebook = made.notebook(name)
    made.execute(notebook, tmp_path)  # raises where a cell fails
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert [output for output in shown if "image/png" in output.get("data", {})]


@pytest.mark.slow
def test_the_badge_leads_to_the_repository_once_the_project_names_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = _made_by()
    (tmp_path / "docs").mkdir()
    monkeypatch.setattr(made, "DOCS", tmp_path / "docs")
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert "(https://colab.research.google.com/#upload=true)" in made.badge("heads.ipynb")
    (tmp_path / "pyproject.toml").write_text(
        "[project]\n[project.urls]\nRepository = 'https://github.com/who/what'\n"
    )
    link = "https://colab.research.google.com/github/who/what/blob/main/docs/notebooks/heads.ipynb"
    assert f"({link})" in made.badge("heads.ipynb")
