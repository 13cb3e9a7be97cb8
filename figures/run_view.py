"""A finished run to draw, and a picture with the table it is drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from headspex.figures.style import LIGHT, Theme, save
from headspex.runs.finished_run import FinishedRun
from headspex.support.files import write_csv
from headspex.units import plural

Layers = tuple[int, ...]


@dataclass(frozen=True)
class Picture:
    """A figure, and the table it was drawn from.

    Attributes:
        header, rows: of its CSV.
    """

    figure: Figure
    header: Sequence[str]
    rows: Sequence[Sequence[object]]

    def save(self, path: Path) -> list[Path]:
        """Write both, the table beside the figure; `path` ends in .svg, .png or .pdf."""
        table = path.with_suffix(".csv")
        write_csv(table, self.header, self.rows)
        return [save(self.figure, path), table]


@dataclass(frozen=True, eq=False, repr=False)
class RunView(FinishedRun):
    """A run to be drawn.

    Attributes:
        theme: the colours.
        ranges: groups of layers, for figures that separate them; () for the default.
    """

    theme: Theme = LIGHT
    ranges: tuple[Layers, ...] = ()

    @property
    def heads(self) -> str:
        """Plural name of the switched units."""
        return plural(self.players.unit)
