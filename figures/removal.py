"""Removal curves: the value as the players go that a method names first."""

from collections.abc import Sequence
from typing import Protocol

from matplotlib.figure import Figure

from headspex.figures.style import BLUE, GREEN, GREY, ORANGE, style


class Point(Protocol):
    """A method's value after so many removals."""

    @property
    def method(self) -> str:
        """Its name."""

    @property
    def n_removed(self) -> int:
        """Players removed."""

    @property
    def value(self) -> float:
        """What is left."""


_LOOKS = {
    "proxyspex": (BLUE, "o", "ProxySPEX, in order"),
    "exact": (GREY, "x", "ProxySPEX, best sets"),
    "shapley": (GREEN, "D", "Shapley values"),
    "lasso": (ORANGE, "s", "LASSO"),
}


def removal_figure(
    points: Sequence[Point], *, players: str = "players", value: str = "value"
) -> Figure:
    """One line a method; best sets, which are no order, are crosses alone.

    Args:
        points: of all methods.
        players: what is removed, in the plural.
        value: what is left, with its unit.
    """
    with style():
        figure = Figure(figsize=(6.4, 3.8))
        axes = figure.add_subplot()
        for method in dict.fromkeys(point.method for point in points):
            own = [point for point in points if point.method == method]
            colour, marker, label = _LOOKS[method]
            axes.plot(
                [p.n_removed for p in own], [p.value for p in own], color=colour, marker=marker,
                markersize=7 if method == "exact" else 4,
                linewidth=0 if method == "exact" else 1.4, label=label,
            )  # fmt: skip
        axes.axhline(0, color=GREY, linewidth=0.8, linestyle=":")
        axes.set(xlabel=f"{players} removed", ylabel=value)
        axes.set_title(f"What is left when {players} go")
        axes.legend(loc="best")
    return figure
