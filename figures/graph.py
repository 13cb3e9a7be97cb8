"""The interaction graph: heads placed by layer, tied by what they do together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot, sqrt

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from headspex.figures.style import LIGHT, WIDTH, Theme, below, style, ticks
from headspex.players import Players
from headspex.runs.interactions_table import Interaction
from headspex.units import plural, singular

TOP = 40  # drawn interactions; more would be illegible
_NAMED = 24  # heads with a label, where the axis is too coarse to name them
_FEW = 16  # columns whose numbers all stand on the axis
_THICKEST = 4.5  # points; less where there are many heads
_LARGEST = 110.0  # points squared, of the strongest head

Place = tuple[float, float]


def strongest(interactions: Sequence[Interaction], top: int = TOP) -> list[Interaction]:
    """The interactions of several heads with the most energy."""
    several = (row for row in interactions if len(row.heads) > 1)
    return sorted(several, key=lambda row: -abs(row.coefficient))[:top]


def interaction_graph(
    interactions: Sequence[Interaction],
    players: Players,
    *,
    top: int = TOP,
    unit: str = "score",
    theme: Theme = LIGHT,
) -> Figure:
    """Heads by layer and number, and a line between those that act together.

    Within a layer synergy bends up and redundancy bends down; three or more heads meet in a
    diamond, whose colour is the sign of what they add together. A head's size is its own effect.
    Layers with many interactions get more room.

    Args:
        interactions: of one head and of several, any sequence.
        players: what the heads are.
        top: number of interactions of several heads to draw, by energy.
        unit: of the effects.
        theme: the colours.
    """
    drawn = strongest(interactions, top)
    layout = _Layout.of(players, drawn)
    with style(theme):
        height = min(7.5, 1.5 + 0.42 * (layout.top + 1))
        figure = Figure(figsize=(WIDTH, max(2.6, height)))
        axes = figure.add_subplot()
        _heads(axes, interactions, drawn, players, layout, theme)
        crowd = 1.0 if len(players.names_in_layer) <= _FEW else 0.5
        most = max((abs(row.effect) for row in drawn), default=1.0) or 1.0
        hubs: set[Place] = set()
        for row in reversed(drawn):  # the strongest on top
            _tie(axes, row, abs(row.effect) / most, crowd * _THICKEST, layout, hubs, theme)
        names, rows = players.names_in_layer, ticks(len(players.layers), 20)
        axes.set_xticks(ticks(len(names)), [names[column] for column in ticks(len(names))])
        axes.set_yticks([layout.y[row] for row in rows], [str(players.layers[row]) for row in rows])
        axes.set(xlim=(-0.6, len(names) - 0.4), ylim=(-layout.foot, layout.top))
        axes.set(xlabel=singular(players.unit), ylabel="layer")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        heads = plural(players.unit)
        axes.set_title(f"{heads[0].upper()}{heads[1:]} that act together", pad=16)
        axes.annotate(
            _shown(interactions, drawn), (0, 1), xycoords="axes fraction", xytext=(0, 4),
            textcoords="offset points", fontsize=8, va="bottom",
        )  # fmt: skip
        _legend(figure, drawn, unit, theme)
    return figure


def _legend(figure: Figure, drawn: Sequence[Interaction], unit: str, theme: Theme) -> None:
    found = [row.effect for row in drawn if len(row.heads) == 2]
    ends = {"synergy": max([0.0, *found]), "redundancy": min([0.0, *found])}
    names = [f"{name}, up to {end:+.2g}" if end else name for name, end in ends.items()]
    colours = (theme.orange, theme.blue)
    lines = [Line2D([], [], color=colour, linewidth=2.5) for colour in colours]
    dot = {"linestyle": "none", "marker": "o", "markersize": 7}
    dots = [Line2D([], [], color=colour, **dot) for colour in colours]  # type: ignore[arg-type]
    hub = Line2D([], [], color=theme.grey, marker="D", linestyle="none", markersize=5)
    names += [f"helps {unit} alone", "harms it alone", "three or more, + or −"]
    below(figure, [*lines, *dots, hub], names, columns=3)


def _shown(interactions: Sequence[Interaction], drawn: Sequence[Interaction]) -> str:
    """The share of interactions that is drawn."""
    several = [row for row in interactions if len(row.heads) > 1]
    if len(drawn) == len(several):
        return f"all {len(drawn)} interactions" if drawn else "no interactions"
    energy = sum(row.coefficient**2 for row in several) or 1.0
    share = sum(row.coefficient**2 for row in drawn) / energy
    return (
        f"the {len(drawn)} strongest of {len(several):,} interactions, {share:.0%} of their energy"
    )


@dataclass(frozen=True)
class _Layout:
    """Positions of heads.

    Attributes:
        at: label -> place.
        y: of each layer, ascending; a layer's arcs fit between it and the next.
        foot, top: what the drawing needs below the first layer, and up to its upper edge.
    """

    at: dict[str, Place]
    y: list[float]
    foot: float
    top: float

    @classmethod
    def of(cls, players: Players, drawn: Sequence[Interaction]) -> _Layout:
        columns = len(players.names_in_layer)
        labels = [players.label(i) for i in range(len(players))]
        column = {label: i % columns for i, label in enumerate(labels)}
        up: dict[int, float] = defaultdict(float)
        down: dict[int, float] = defaultdict(float)
        for row in drawn:
            if len(row.layers) == 1:
                reach = up if row.effect >= 0 else down
                layer, tall = row.layers[0], _height([column[head] for head in row.heads])
                reach[layer] = max(reach[layer], tall)
        y, level = [], 0.0
        for below_it, layer in zip((None, *players.layers), players.layers, strict=False):
            if below_it is not None:
                level += 0.8 + up[below_it] + down[layer]
            y.append(level)
        at = {label: (float(i % columns), y[i // columns]) for i, label in enumerate(labels)}
        foot, top = 0.6 + down[players.layers[0]], y[-1] + 0.6 + up[players.layers[-1]]
        return cls(at, y, foot, top)


def _height(columns: Sequence[int]) -> float:
    """Of an arc over these columns."""
    return 0.35 + 0.5 * sqrt(max(columns) - min(columns))


def _heads(
    axes: Axes,
    interactions: Sequence[Interaction],
    drawn: Sequence[Interaction],
    players: Players,
    layout: _Layout,
    theme: Theme,
) -> None:
    places = np.array(list(layout.at.values()))
    axes.scatter(places[:, 0], places[:, 1], s=5, color=theme.faint, linewidth=0, zorder=1)
    own = {row.heads[0]: row.effect for row in interactions if len(row.heads) == 1}
    most = max(map(abs, own.values()), default=1.0) or 1.0
    tied = {head for row in drawn for head in row.heads}
    crowd = 1.0 if len(players.names_in_layer) <= _FEW else 0.4
    for label, place in layout.at.items():
        effect = own.get(label, 0.0)
        size = crowd * _LARGEST * abs(effect) / most
        if label in tied or size > 2:
            axes.scatter(
                *place, s=max(size, 7), color=theme.sign(effect), edgecolor=theme.paper,
                linewidth=0.6, zorder=4, gid=f"of {label}",
            )  # fmt: skip
    if len(players.names_in_layer) > _FEW and len(tied) <= _NAMED:
        for label in sorted(tied):
            axes.annotate(
                label, layout.at[label], xytext=(0, 4), textcoords="offset points", fontsize=6,
                ha="center", zorder=5,
            )  # fmt: skip


def _tie(
    axes: Axes,
    row: Interaction,
    strength: float,
    thickest: float,
    layout: _Layout,
    hubs: set[Place],
    theme: Theme,
) -> None:
    places = np.array([layout.at[head] for head in row.heads])
    sign = 1.0 if row.effect >= 0 else -1.0
    colour, gid = theme.sign(row.effect), f"of {' '.join(row.heads)}"
    if len(places) == 2:
        path = _arc(places, sign)
    else:
        hub = _hub(places, sign)
        while any(hypot(hub[0] - other[0], hub[1] - other[1]) < 0.2 for other in hubs):
            hub = (hub[0] + 0.23, hub[1])
        hubs.add(hub)
        ends = [point for place in places.tolist() for point in (hub, tuple(place))]
        path = Path(ends, [Path.MOVETO, Path.LINETO] * len(places))
        axes.scatter(*hub, s=16, marker="D", color=colour, linewidth=0, zorder=4, gid=gid)
    axes.add_patch(
        PathPatch(
            path, fill=False, edgecolor=colour, linewidth=0.5 + thickest * strength,
            alpha=0.35 + 0.5 * strength, capstyle="round", zorder=2 + strength, gid=gid,
        )
    )  # fmt: skip


def _arc(places: Float[np.ndarray, "two xy"], sign: float) -> Path:
    (x0, y0), (x1, y1) = places
    middle = places.mean(axis=0)
    if y0 == y1:
        # A quadratic curve rises to half the height of its control point.
        bend = np.array([0.0, 2 * sign * _height([x0, x1])])
    else:
        length = hypot(x1 - x0, y1 - y0)
        bend = 0.18 * sign * np.array([y1 - y0, x0 - x1]) * min(1.0, 3 / length)
    return Path([places[0], middle + bend, places[1]], [Path.MOVETO, Path.CURVE3, Path.CURVE3])


def _hub(places: Float[np.ndarray, "heads xy"], sign: float) -> Place:
    x, y = places.mean(axis=0)
    if len(set(places[:, 1].tolist())) == 1:
        y += 0.8 * sign * _height(places[:, 0].tolist())
    return float(x), float(y)
