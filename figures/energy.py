"""Interaction energy between layers, and its split into linear, within and across."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from headspex.figures.style import BLUE, GREEN, ORANGE, SEQUENTIAL, style

_LABEL = 11.0  # height of a label of two lines, in % of the bar


def layer_interaction_energy(
    matrix: Float[np.ndarray, "layers layers"],
    *,
    layers: Sequence[int],
    linear: float,
    within: float,
    across: float,
    basis: str,
    players: str = "heads",
) -> Figure:
    """Where the interactions live: a layer x layer picture beside the bar of the whole energy.

    Args:
        matrix: share of the energy between each pair of layers, symmetric; the diagonal is within
            a layer. Terms of single players are not in it.
        layers: the layer number of each row.
        linear, within, across: shares of single players, and of terms inside a layer and between
            layers.
        basis: the measure that the shares are of, as in "p = 0.8".
        players: what the columns of masks are.
    """
    with style():
        figure = Figure(figsize=(7.2, 3.6))
        picture, bar = figure.subplots(1, 2, width_ratios=[3, 1.25])
        # A pair of layers stands twice in the symmetric matrix; half of the picture says it once.
        lower = np.where(np.tri(len(matrix), dtype=bool), matrix, np.nan) * 100
        most = float(matrix.max(initial=0.0)) * 100 or 1.0  # no interactions: a scale to 1 %
        tiles = picture.imshow(lower, cmap=SEQUENTIAL, origin="lower", norm=PowerNorm(0.5, 0, most))
        ticks = list(range(0, len(layers), -(-len(layers) // 12)))
        names = [str(layers[tick]) for tick in ticks]
        picture.set_xticks(ticks, names)
        picture.set_yticks(ticks, names)
        picture.set(xlabel="layer", ylabel="layer", title=f"Interaction energy ({basis})")
        picture.tick_params(length=0)
        picture.spines[:].set_visible(False)
        figure.colorbar(tiles, ax=picture, label="% of all energy (root scale)")
        split = {f"single {players}": linear, "within a layer": within, "across layers": across}
        _stack(bar, split)
    return figure


def _stack(axes: Axes, shares: Mapping[str, float]) -> None:
    bottom, free = 0.0, 0.0
    for (name, share), colour in zip(shares.items(), (BLUE, ORANGE, GREEN), strict=True):
        axes.bar(0, share * 100, bottom=bottom, width=0.5, color=colour)
        # Thin parts push their labels up, so that none lies on another.
        height = max(bottom + share * 50, free)
        axes.annotate(
            f"{name}\n{share:.0%}", (0.3, height), va="center", fontsize=8, color=colour,
            annotation_clip=False,
        )  # fmt: skip
        bottom, free = bottom + share * 100, height + _LABEL
    axes.set(xlim=(-0.3, 1.1), ylim=(0, 100), xticks=[], ylabel="% of all energy", title="Split")
    axes.spines["bottom"].set_visible(False)
