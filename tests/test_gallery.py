"""The gallery is what its runs' files draw, and pages tell what these runs found."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread
from pages import blocks

from headspex.figures.exhibition import PICTURES, draw_all
from headspex.runs.curve import CURVE
from headspex.runs.interactions_table import read_interactions
from headspex.runs.run_folder import finished_run
from headspex.runs.summary import summary

ROOT = Path(__file__).resolve().parents[1]
GALLERY = ROOT / "docs/gallery"
BUDGET_GAMES = ("mini", "stories260k")  # of tests/benchmarks/budget.py


REAL = GALLERY / "real"  # of `make real`


@pytest.fixture(scope="module", params=[GALLERY, REAL], ids=["tiny", "real"])
def drawn(tmp_path_factory: pytest.TempPathFactory, request: Any) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("gallery")
    draw_all(request.param / "run", folder)
    return folder, request.param


@pytest.mark.parametrize("name", list(PICTURES))
def test_a_picture_of_the_gallery_is_what_its_files_draw(
    drawn: tuple[Path, Path], name: str
) -> None:
    here, there = (imread(folder / name) for folder in drawn)
    assert here.shape == there.shape, "make gallery draws it anew"
    # Machines may round the edge of a letter differently.
    assert np.mean(np.abs(here - there).max(axis=-1) > 0.2) < 0.002, "make gallery draws it anew"


def test_the_gallery_holds_nothing_else_than_these_and_the_benchmark_of_budgets() -> None:
    budgets = {f"passes-{game}.{kind}" for game in BUDGET_GAMES for kind in ("csv", "png")}
    assert {path.name for path in GALLERY.iterdir()} == {*PICTURES, *budgets, "run", "real"}
    assert {path.name for path in REAL.iterdir()} == {*PICTURES, "run"}


def _printed(gallery: Path) -> str:
    """What the gallery's run printed at its end."""
    folder, content = finished_run(gallery / "run")
    return summary(
        content["results"], CURVE.read(folder.curve), read_interactions(folder.interactions)
    )


@pytest.mark.parametrize(
    ("gallery", "page"),
    [(GALLERY, "docs/index.md"), (REAL, "docs/guides/real-model.md")],
    ids=["tiny", "real"],
)
def test_a_page_shows_what_the_run_of_the_gallery_printed(gallery: Path, page: str) -> None:
    assert _printed(gallery) in (ROOT / page).read_text(encoding="utf-8"), (
        "paste after make gallery"
    )


def test_the_readme_shows_lines_of_it_in_their_order() -> None:
    block = next(text for _, text in blocks("README.md") if text.startswith("Whole model"))
    printed = iter(_printed(GALLERY).splitlines())
    for line in block.splitlines():
        assert line in printed, line  # goes on behind the line found before


def test_the_run_of_the_gallery_was_asked_for_by_defaults() -> None:
    from headspex.settings import Settings

    identity = json.loads((GALLERY / "run/run.json").read_text())["identity"]
    default = Settings().to_dict()
    asked = {name: identity[name] for name in default if name in identity}
    del asked["threads"]
    # The task's own, as none was asked for.
    assert (asked.pop("metric"), asked.pop("objective")) == ("accuracy", "best")
    assert (asked.pop("device"), asked.pop("dtype")) == ("cpu", "float32")  # what auto became
    assert asked == {name: default[name] for name in asked}
