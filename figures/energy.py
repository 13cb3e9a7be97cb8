"""Interaction energy between layers, and its split into linear, within and across."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from headspex.figures.style import LIGHT, WIDTH, Theme, below, opacities, style, ticks

Split = tuple[float, float, float]  # shares of single players, within a layer, across layers
_LEGIBLE = 0.06  # smallest part of a bar with a number in it


def layer_interaction_energy(
    matrix: Float[np.ndarray, "layers layers"],
    *,
    layers: Sequence[int],
    splits: Mapping[str, Split],
    basis: str,
    players: str = "heads",
    theme: Theme = LIGHT,
) -> Figure:
    """Energy of interactions by layer x layer, beside bars of the whole energy.

    Args:
        matrix: share of the energy between each pair of layers, symmetric; the diagonal is within
            a layer. Terms of single players are not in it.
        layers: the layer number of each row.
        splits: bars, by name: shares of single players, of terms inside a layer, and between
            layers; such as {"all": ..., "0-2": ...}. Without any energy they are all 0.
        basis: the measure that the shares are of, as in "p = 0.8".
        players: name of the units.
        theme: the colours.
    """
    with style(theme):
        figure = Figure(figsize=(WIDTH, 3.3))
        picture, bars = figure.subplots(1, 2, width_ratios=[1.35, 1])
        _tiles(figure, picture, matrix, layers, theme)
        picture.set_title(f"Interaction energy ({basis})")
        parts = _bars(bars, splits, theme)
        below(figure, parts, [f"single {players}", "within a layer", "across layers"], columns=3)
    return figure


def _tiles(
    figure: Figure,
    axes: Axes,
    matrix: Float[np.ndarray, "layers layers"],
    layers: Sequence[int],
    theme: Theme,
) -> None:
    """Draw the lower triangle of the symmetric matrix."""
    most = float(matrix.max(initial=0.0)) * 100 or 1.0  # no interactions: a scale to 1 %
    norm = PowerNorm(0.5, 0, most)
    for row, column in np.argwhere(np.tri(len(matrix), dtype=bool)).tolist():
        share = float(matrix[row, column])
        axes.add_patch(
            Rectangle(
                (column - 0.47, row - 0.47), 0.94, 0.94, facecolor=theme.blue, linewidth=0,
                alpha=float(norm(share * 100)), gid=f"between {layers[column]} {layers[row]}",
            )
        )  # fmt: skip
        if row == column:  # the edge of the triangle
            axes.plot(
                [column - 0.5, column + 0.5, column + 0.5], [row + 0.5, row + 0.5, row - 0.5],
                color=theme.faint, linewidth=0.6,
            )  # fmt: skip
    marks = ticks(len(layers), 8)
    names = [str(layers[mark]) for mark in marks]
    axes.set_xticks(marks, names)
    axes.set_yticks(marks, names)
    edge = len(layers) - 0.4
    axes.set(xlabel="layer", ylabel="layer", xlim=(-0.6, edge), ylim=(-0.6, edge))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(
        ScalarMappable(norm, opacities(theme.blue)), ax=axes, label="% of all energy, root scale",
        aspect=18, pad=0.02,
    )  # fmt: skip
    even = [most * step**2 / 16 for step in range(5)]
    bar.set_ticks(even, labels=[f"{share:.2g}" for share in even])
    bar.outline.set_visible(False)


def _bars(axes: Axes, splits: Mapping[str, Split], theme: Theme) -> list[Any]:
    shares = 100 * np.array(list(splits.values())).reshape(-1, 3)
    places, parts = np.arange(len(shares)), []
    bottom = np.zeros(len(shares))
    for own, colour in zip(shares.T, (theme.grey, theme.orange, theme.sky), strict=True):
        bar = axes.bar(places, own, bottom=bottom, width=0.72, color=colour, linewidth=0)
        parts.append(bar)
        for place, share, base in zip(places, own, bottom, strict=True):
            if share >= 100 * _LEGIBLE:
                axes.annotate(
                    f"{share:.0f}", (place, base + share / 2), ha="center", va="center",
                    fontsize=8, color="#ffffff" if colour == theme.grey else "#000000",
                )  # fmt: skip
        bottom = bottom + own
    axes.set_xticks(places, list(splits), fontsize=8)
    axes.set(xlim=(-0.6, max(len(places), 3) - 0.4))  # a lone bar does not fill the axes
    axes.set(ylim=(0, 100), xlabel="layers", title="Its split, %")
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="x", length=0)
    return parts
