"""Pictures of training samples that repeat each other, and of those that need each other."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from headspex.figures.style import style


class Pair(Protocol):
    """Two samples and their interaction."""

    @property
    def players(self) -> tuple[int, int]:
        """Their rows."""

    @property
    def interaction(self) -> float:
        """In units of the value."""

    @property
    def distance_rank(self) -> float:
        """Share of pairs that lie closer together."""


def pairs_figure(
    images: Float[np.ndarray, "samples height width ..."],
    labels: Int[np.ndarray, " samples"],
    kinds: Mapping[str, Sequence[Pair]],
) -> Figure:
    """A row of pairs for each kind, two pictures a pair, one above the other."""
    width = max(1, *(len(pairs) for pairs in kinds.values()))
    with style():
        figure = Figure(figsize=(1.15 * width + 0.4, 2.75 * len(kinds)))
        rows = figure.subfigures(len(kinds), 1, squeeze=False)[:, 0]
        for row, (kind, pairs) in zip(rows, kinds.items(), strict=True):
            row.suptitle(f"{kind} pairs", fontsize=10, x=0.02, ha="left")
            grid = row.subplots(2, width, squeeze=False)
            for axes in grid.ravel():
                axes.set_axis_off()
            for column, pair in enumerate(pairs):
                for axes, sample in zip(grid[:, column], pair.players, strict=True):
                    axes.imshow(images[sample], cmap="gray_r")
                    axes.set_title(
                        f"{sample}: {labels[sample]}",
                        fontsize=7,
                        fontweight="normal",
                        loc="center",
                        pad=2,
                    )
                grid[1, column].text(
                    0.5, -0.08, f"{pair.interaction:+.3f}\n{pair.distance_rank:.1%} lie closer",
                    transform=grid[1, column].transAxes, fontsize=7, ha="center", va="top",
                )  # fmt: skip
    return figure
