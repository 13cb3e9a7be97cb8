"""How large interactions are, by how many heads take part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headspex.figures.style import LIGHT, WIDTH, Theme, say, style
from headspex.runs.interactions_table import Interaction

_POINTED = 300  # strongest effects drawn as points; the others are a line
_COLOURS = ("grey", "orange", "blue", "green")  # of one head, two, three, more


@dataclass(frozen=True)
class Ranked:
    """A row of `orders.csv`: an interaction among all, strongest effect first."""

    rank: int
    order: int
    heads: str
    effect: float
    energy: float  # its share of the energy of all


def ranked(interactions: Sequence[Interaction]) -> list[Ranked]:
    """Interactions by the size of their effect; ties keep their sequence."""
    total = sum(row.coefficient**2 for row in interactions) or 1.0
    by_size = sorted(interactions, key=lambda row: -abs(row.effect))
    return [
        Ranked(rank, len(row.heads), " ".join(row.heads), row.effect, row.coefficient**2 / total)
        for rank, row in enumerate(by_size, start=1)
    ]


def interaction_orders(
    rows: Sequence[Ranked], *, players: str = "heads", unit: str = "score", theme: Theme = LIGHT
) -> Figure:
    """Energy and number of interactions of each order, and all effects by rank.

    Args:
        rows: see `ranked`; may be empty.
        players: name of the units.
        unit: of the effects.
        theme: the colours.
    """
    with style(theme):
        figure = Figure(figsize=(WIDTH, 3.0))
        bars, dots = figure.subplots(1, 2, width_ratios=[1, 1.25])
        bars.set_title("Energy by order")
        dots.set_title("Effects by rank")
        if not rows:
            say(bars, "no interactions")
            say(dots, "")
            return figure
        _bars(bars, rows, players, theme)
        real = [row for row in rows if row.effect]  # zeros have no logarithm
        dots.plot(
            [r.rank for r in real], [abs(r.effect) for r in real], color=theme.faint, zorder=1
        )
        for row in real[:_POINTED]:
            dots.plot(
                row.rank, abs(row.effect), marker="o" if row.effect > 0 else "v", markersize=3.5,
                color=_colour(row.order, theme), markeredgewidth=0, linestyle="none", zorder=2,
                gid=f"of {row.heads}",
            )  # fmt: skip
        dots.set(
            xscale="log",
            yscale="log",
            xlim=(0.8, 1.25 * len(rows) + 1),
            xlabel="rank",
            ylabel=f"|effect| on {unit}",
        )
        dots.plot([], [], color=theme.ink, marker="o", linestyle="none", markersize=4, label="+")
        dots.plot([], [], color=theme.ink, marker="v", linestyle="none", markersize=4, label="−")
        dots.legend(loc="upper right", ncols=2, handletextpad=0.1, columnspacing=0.8)
    return figure


def _bars(axes: Axes, rows: Sequence[Ranked], players: str, theme: Theme) -> None:
    """A bar an order, with room for words at its end."""
    orders = sorted({row.order for row in rows})
    most = 0.0
    for place, order in enumerate(orders):
        own = [row.energy for row in rows if row.order == order]
        share = 100 * sum(own)
        most = max(most, share)
        axes.barh(place, share, height=0.72, color=_colour(order, theme), linewidth=0)
        axes.annotate(
            f"{share:.1f} % in {len(own):,}", (share, place), xytext=(3, 0), fontsize=8,
            textcoords="offset points", va="center",
        )  # fmt: skip
    axes.set(
        xlim=(0, 1.9 * most or 1), ylim=(max(len(orders), 3) - 0.4, -0.6), xlabel="% of the energy"
    )
    axes.set_yticks(range(len(orders)), list(map(str, orders)))
    axes.set_ylabel(f"{players} that take part")
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _colour(order: int, theme: Theme) -> str:
    colour: str = getattr(theme, _COLOURS[min(order, len(_COLOURS)) - 1])
    return colour
