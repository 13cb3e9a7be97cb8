"""Faithfulness against budget: R² of each method by forward passes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import log

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from headspex.figures.methods import colour_of, looks_of
from headspex.figures.style import LIGHT, WIDTH, Theme, below, say, style
from headspex.runs.curve import FaithfulnessPoint

_LABEL = 0.1  # width of a budget's label, as a share of the axis
_FLOOR = -0.1  # axis limit; a lower R² only means that nothing was learned
_STEP = 0.05  # doublings between methods, so that their intervals do not overlap


def faithfulness_by_budget(
    points: Sequence[FaithfulnessPoint], *, players: str = "heads", theme: Theme = LIGHT
) -> Figure:
    """One line a method: R² on the same fresh masks, with 95 % intervals.

    Args:
        points: as in `faithfulness.csv`; without any, the picture says so.
        players: what the columns of masks are.
        theme: the colours.
    """
    with style(theme):
        figure = Figure(figsize=(WIDTH, 3.6))
        axes = figure.add_subplot()
        axes.set_title("How well masks never searched are predicted")
        if not points:
            say(axes, "all fresh masks score the same")
            return figure
        methods = dict(looks_of(dict.fromkeys(point.method for point in points), players))
        for number, (method, look) in enumerate(methods.items()):
            own = sorted((p for p in points if p.method == method), key=lambda p: p.passes)
            shift = 2 ** (_STEP * (number - (len(methods) - 1) / 2))
            axes.errorbar(
                [p.passes * shift for p in own], [p.r2 for p in own],
                [[max(0.0, p.r2 - p.low) for p in own], [max(0.0, p.high - p.r2) for p in own]],
                color=colour_of(look, theme), marker=look.marker, markersize=4, capsize=1.5,
                linewidth=1.5, elinewidth=0.8, label=look.title,
                zorder=3 - number / len(methods),
            )  # fmt: skip
        axes.set(xlabel="forward passes of the search", ylabel="R² on fresh masks")
        passes = _ticks([point.passes for point in points])
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_locator(FixedLocator(passes))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticklabels([f"{number:,}" for number in passes])
        lowest = min(point.low for point in points)
        axes.set_ylim(max(_FLOOR, min(0.0, lowest - 0.05)), 1)
        if lowest < _FLOOR:
            axes.set_ylabel(f"R² on fresh masks (not drawn below {_FLOOR})")
        axes.grid(axis="y", linewidth=0.4, color=theme.faint)
        lines, names = axes.get_legend_handles_labels()
        below(figure, lines, names, columns=3)
    return figure


def _ticks(passes: Sequence[int]) -> list[int]:
    """The most common budgets, at least a label's width apart on the logarithmic axis."""
    width = _LABEL * log(max(passes) / min(passes))
    kept: list[int] = []
    for number, _ in sorted(Counter(passes).items(), key=lambda item: (-item[1], -item[0])):
        if all(abs(log(number / other)) >= width for other in kept):
            kept.append(number)
    return sorted(kept)
