"""Groups of layers in figures, such as 0-2,13-15,29-31."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from headspex.errors import UsageError
from headspex.players import Players, format_layers, parse_layers


def default_ranges(layers: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """The groups of adjacent layers; a single group is split into thirds."""
    cuts = np.flatnonzero(np.diff(layers) > 1) + 1
    runs = np.split(np.asarray(layers), cuts)
    if len(runs) == 1:
        runs = [part for part in np.array_split(runs[0], 3) if len(part)]
    return tuple(tuple(part.tolist()) for part in runs)


def parse_ranges(text: str, players: Players) -> tuple[tuple[int, ...], ...]:
    """The groups in text such as "0-2,13-15", separated by commas.

    Raises:
        UsageError: bad syntax, or layers that the run did not switch.
    """
    ranges = tuple(parse_layers(part, players.n_layers) for part in text.split(","))
    for layers in ranges:
        if not set(layers) <= set(players.layers):
            raise UsageError(
                f"--ranges must lie within the switched layers, {format_layers(players.layers)}, "
                f"but has {format_layers(layers)}"
            )
    return ranges
