"""One look for every figure, on white or on dark paper, and one way to save it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from headspex.support.files import write_bytes

WIDTH = 5.6  # inches: on a phone's screen, letters of 9 points stay readable


@dataclass(frozen=True)
class Theme:
    """Colours by purpose, after Okabe & Ito (2008): distinguishable for colour-blind readers.

    Opacity shows strength, so that colours work on any paper.

    Attributes:
        ink, paper: of text and of what lies under it.
        faint: of lines that only guide the eye.
        orange, blue: of what helps, and of synergy; of what harms, and of redundancy.
        green, pink, sky, grey: of further lines.
    """

    ink: str = "#1f2328"
    paper: str = "#ffffff"
    faint: str = "#d5dae0"
    orange: str = "#d55e00"
    blue: str = "#0072b2"
    green: str = "#009e73"
    pink: str = "#cc79a7"
    sky: str = "#56b4e9"
    grey: str = "#767676"

    def sign(self, value: float) -> str:
        """The colour of what helps or harms."""
        return self.orange if value >= 0 else self.blue


LIGHT = Theme()
DARK = Theme(
    ink="#e6e8eb", paper="#15181c", faint="#3b424b", orange="#f28a3c", blue="#5fb4f0",
    green="#2fc397", pink="#e3a0c6", sky="#9ad4f7", grey="#9aa1a9",
)  # fmt: skip


@contextmanager
def style(theme: Theme = LIGHT) -> Iterator[None]:
    """Draw inside this block to get the look of headspex; the caller's settings come back after."""
    settings: Any = {
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
        "legend.fontsize": 8,
        "figure.constrained_layout.use": True,
        "figure.facecolor": theme.paper,
        "savefig.facecolor": theme.paper,
        "axes.facecolor": "none",
        "text.color": theme.ink,
        "axes.labelcolor": theme.ink,
        "axes.edgecolor": theme.ink,
        "axes.linewidth": 0.6,
        "xtick.color": theme.ink,
        "ytick.color": theme.ink,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "hatch.color": theme.faint,
        "svg.fonttype": "none",  # text stays text: searchable, and the file small
        "svg.hashsalt": "headspex",  # the same data gives the same file
    }
    with mpl.rc_context(settings):
        yield


def opacities(*colours: str) -> LinearSegmentedColormap:
    """A colour scale that fades to nothing: from none to one colour, or from one to another.

    Few steps keep the colour bar a drawing; matplotlib makes a photograph of a smooth one.
    """
    rgb = [mpl.colors.to_rgb(colour) for colour in colours]
    ends = [(*rgb[0], 0.0), (*rgb[0], 1.0)]
    if len(rgb) == 2:
        ends = [(*rgb[0], 1.0), (*rgb[0], 0.0), (*rgb[1], 0.0), (*rgb[1], 1.0)]
        stops = [0.0, 0.5, 0.5, 1.0]
        return LinearSegmentedColormap.from_list("", list(zip(stops, ends, strict=True)), N=41)
    return LinearSegmentedColormap.from_list("", ends, N=41)


def ticks(count: int, most: int = 16) -> list[int]:
    """At most about `most` positions, evenly spaced from 0."""
    return list(range(0, count, -(-count // most)))


def say(axes: Axes, sentence: str) -> None:
    """A sentence in place of a drawing."""
    axes.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.annotate(sentence, (0.5, 0.5), ha="center", va="center")


def below(figure: Figure, handles: Sequence[Any], labels: Sequence[str], columns: int) -> None:
    """A legend under the drawing, where it can lie on no data."""
    figure.legend(
        handles, labels, loc="outside lower left", ncols=columns, handlelength=1.6,
        columnspacing=1.4,
    )  # fmt: skip


def save(figure: Figure, path: Path) -> Path:
    """Write a figure; the ending of `path` chooses svg, png or pdf.

    The date is left out, so that the same data gives the same bytes.
    """
    write_bytes(path, encoded(figure, path.suffix.removeprefix(".")))
    return path


def encoded(figure: Figure, kind: str) -> bytes:
    """A figure as the bytes of an svg, png or pdf file."""
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    data = BytesIO()
    with style():
        figure.savefig(
            data, format=kind, dpi=160, metadata=undated.get(kind),
            facecolor=figure.get_facecolor(),
        )  # fmt: skip
    return data.getvalue()
