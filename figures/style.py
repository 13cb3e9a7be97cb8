"""One look for every figure, and one way to save it."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from headspex.files import write_bytes

# Okabe & Ito (2008): eight colours that colour-blind readers tell apart.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#767676"
DIVERGING = "PuOr_r"  # orange helps, purple harms; safe for red-green blindness
SEQUENTIAL = "viridis"

_STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "svg.fonttype": "none",  # text stays text: searchable, and the file small
    "svg.hashsalt": "headspex",  # the same data gives the same file
}


@contextmanager
def style() -> Iterator[None]:
    """Draw inside this block to get the look of headspex; the caller's settings come back after."""
    with mpl.rc_context(_STYLE):
        yield


def save(figure: Figure, path: Path) -> Path:
    """Write a figure; the ending of `path` chooses svg, png or pdf.

    The date is left out, so that the same data gives the same bytes.
    """
    kind = path.suffix.removeprefix(".")
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    data = BytesIO()
    with style():
        figure.savefig(data, format=kind, dpi=150, metadata=undated.get(kind))
    write_bytes(path, data.getvalue())
    return path
