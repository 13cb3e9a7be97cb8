"""The gallery: pictures of a run, beside the files they are drawn from.

    python -m headspex.figures.exhibition runs/tiny-mini docs/gallery

`make gallery` makes the shipped run and draws it; docs/gallery/real shows the run of `make real`. A
test draws the pictures again from the gallery's own files.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from headspex.figures.of_run import FIGURES, picture
from headspex.figures.run_view import RunView
from headspex.figures.style import DARK, LIGHT, save
from headspex.runs.run_folder import RunFolder
from headspex.support.files import read_text, write_text

PICTURES = {
    **{f"{name}.png": (name, LIGHT) for name in FIGURES},
    "curve-dark.png": ("curve", DARK),  # for readers at night
}


def exhibit(run: Path, gallery: Path) -> None:
    """Copy the files that a run's pictures are drawn from into `gallery`/run, and draw them."""
    there, here = RunFolder(run), RunFolder(gallery / "run")
    for name in ("run", "spectrum", "interactions", "schedule", "curve"):
        write_text(getattr(here, name), read_text(getattr(there, name)))
    draw_all(gallery / "run", gallery)


def draw_all(run: Path, gallery: Path) -> None:
    """Draw the gallery's pictures of a run."""
    view = RunView.load(run)
    for file, (name, theme) in PICTURES.items():
        figure = picture(replace(view, theme=theme), name).figure
        save(figure, gallery / file)


if __name__ == "__main__":
    exhibit(*map(Path, sys.argv[1:]))
