"""Layer x head importance; MLPs and other units stand in the place of heads."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from headspex.figures.style import DIVERGING, style


def head_importance(
    importance: Float[np.ndarray, "layers heads"],
    *,
    layers: Sequence[int],
    unit: str = "score",
    player: str = "head",
    names: Sequence[str] | None = None,
) -> Figure:
    """A tile per head: what having it on changes in the score, on average over the sampled masks.

    Args:
        importance: effect of each head; positive = the head helps. NaN = not switched.
        layers: the layer number of each row.
        unit: what the value is, for the colour bar.
        player: what a tile is.
        names: of the columns; numbers by default.
    """
    rows, columns = importance.shape
    with style():
        figure = Figure(figsize=(min(2.2 + 0.38 * columns, 11), min(1.6 + 0.32 * rows, 10)))
        axes = figure.add_subplot()
        reach = float(np.nanmax(np.abs(importance), initial=0.0)) or 1.0
        tiles = axes.imshow(
            importance, cmap=DIVERGING, vmin=-reach, vmax=reach, aspect="auto", origin="lower"
        )
        axes.set(xlabel=player, ylabel="layer", title=f"What each {player} adds")
        names = names or list(map(str, range(columns)))
        axes.set_xticks(_ticks(columns), [names[column] for column in _ticks(columns)])
        axes.set_yticks(_ticks(rows), [str(layers[row]) for row in _ticks(rows)])
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        figure.colorbar(tiles, ax=axes, label=f"effect on {unit}")
    return figure


def _ticks(count: int) -> list[int]:
    """At most about sixteen positions, evenly spaced from 0."""
    return list(range(0, count, -(-count // 16)))
