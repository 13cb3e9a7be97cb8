"""Layer x head importance; also of MLPs and other units."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from headspex.figures.style import LIGHT, WIDTH, Theme, opacities, style, ticks


def head_importance(
    importance: Float[np.ndarray, "layers heads"],
    *,
    layers: Sequence[int],
    unit: str = "score",
    player: str = "head",
    names: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    theme: Theme = LIGHT,
) -> Figure:
    """A tile per head: its mean effect on the score over the sampled masks.

    Args:
        importance: effect of each head; positive = the head helps. NaN = not switched.
        layers: the layer number of each row.
        unit: of the value, for the colour bar.
        player: name of a tile's unit.
        names: of the columns; numbers by default.
        labels: of the tiles, row by row, such as "L3H1"; the page links heads by them.
        theme: the colours.
    """
    rows, columns = importance.shape
    width = min(WIDTH, 1.9 + 0.42 * columns)
    with style(theme):
        # Tiles are at most square; two columns alone would be towers.
        tile = min(0.34, (width - 1.3) / columns)
        figure = Figure(figsize=(width, max(1.7, min(1.0 + tile * rows, 7))))
        axes = figure.add_subplot()
        reach = float(np.nanmax(np.abs(importance), initial=0.0)) or 1.0
        for number, effect in enumerate(importance.ravel().tolist()):
            if np.isnan(effect):
                continue
            row, column = divmod(number, columns)
            axes.add_patch(
                Rectangle(
                    (column - 0.47, row - 0.47), 0.94, 0.94, facecolor=theme.sign(effect),
                    alpha=abs(effect) / reach, linewidth=0,
                    gid=None if labels is None else f"of {labels[number]}",
                )
            )  # fmt: skip
        _grid(axes, importance, theme)
        axes.set(xlim=(-0.5, columns - 0.5), ylim=(-0.5, rows - 0.5))
        axes.set(xlabel=player, ylabel="layer", title=f"What each {player} adds")
        names = names or list(map(str, range(columns)))
        axes.set_xticks(ticks(columns), [names[column] for column in ticks(columns)])
        axes.set_yticks(ticks(rows), [str(layers[row]) for row in ticks(rows)])
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        scale = ScalarMappable(Normalize(-reach, reach), opacities(theme.blue, theme.orange))
        bar = figure.colorbar(scale, ax=axes, label=f"effect on {unit}", aspect=14, pad=0.02)
        bar.outline.set_visible(False)
        bar.ax.locator_params(nbins=5)
    return figure


def _grid(axes: Axes, importance: Float[np.ndarray, "layers heads"], theme: Theme) -> None:
    """A thin frame around each switched tile, so that a zero is not a gap."""
    rows, columns = importance.shape
    switched = ~np.isnan(importance)
    for row in np.flatnonzero(switched.any(axis=1)):
        axes.hlines([row - 0.5, row + 0.5], -0.5, columns - 0.5, theme.faint, linewidth=0.3)
    for column in np.flatnonzero(switched.any(axis=0)):
        axes.vlines([column - 0.5, column + 0.5], -0.5, rows - 0.5, theme.faint, linewidth=0.3)
