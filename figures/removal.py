"""Removal curves: the value as players are removed in each method's order."""

from collections.abc import Sequence
from typing import Protocol

from matplotlib.figure import Figure

from headspex.figures.methods import colour_of, looks_of
from headspex.figures.style import LIGHT, WIDTH, Theme, below, style


class Point(Protocol):
    """A method's value after some removals."""

    @property
    def method(self) -> str:
        """Its name."""

    @property
    def n_removed(self) -> int:
        """Players removed."""

    @property
    def value(self) -> float:
        """The remaining value."""


def removal_figure(
    points: Sequence[Point],
    *,
    players: str = "players",
    value: str = "value",
    theme: Theme = LIGHT,
) -> Figure:
    """One line a method; best sets of each size, which are not nested, are crosses without a line.

    Args:
        points: of all methods.
        players: what is removed, in the plural.
        value: what is left, with its unit.
        theme: the colours.
    """
    with style(theme):
        figure = Figure(figsize=(WIDTH, 3.5))
        axes = figure.add_subplot()
        axes.axhline(0, color=theme.grey, linewidth=0.8, linestyle=":")
        for method, look in looks_of(dict.fromkeys(p.method for p in points), players):
            own = [point for point in points if point.method == method]
            axes.plot(
                [p.n_removed for p in own], [p.value for p in own],
                color=colour_of(look, theme), marker=look.marker,
                markersize=7 if method == "exact" else 4,
                linewidth=0 if method == "exact" else 1.4, label=look.title,
            )  # fmt: skip
        axes.set(xlabel=f"{players} removed", ylabel=value)
        axes.set_title(f"What is left when {players} go")
        below(figure, *axes.get_legend_handles_labels(), columns=2)
    return figure
