"""How long fits take: a law that was measured once, and how much slower this machine is now."""

from __future__ import annotations

import time
from collections.abc import Callable

from threadpoolctl import threadpool_limits

from headspex.engine.fit import fit_spectrum
from headspex.engine.sampling import draw_masks
from headspex.engine.uncertainty import intervals
from headspex.support.seeds import stream

# CPU seconds: (factor, exponent of the masks, exponent of the players / 48), least squares in
# logarithms. Measured on one core of an AMD EPYC cloud machine over the shipped run (48 players)
# and over its layers 4-5 (16), with the first 100, 300, ... of their masks, and over planted pairs
# of 16, 48 and 144 players; up to 22,000 masks. What a fit takes hangs on what it finds: single
# fits were up to 1.9 times as fast or as slow, single intervals 3 times.
FIT = (0.115, 0.44, 0.34)
INTERVALS = (0.027, 0.61, 0.40)

MASKS, PLAYERS = 100, 48  # of the game that tells how slow a machine is
REFERENCE = 1.1  # seconds that it takes on the core above


def fit_seconds(n_masks: int, n_players: int) -> float:
    """Of a fit, where slowness is 1."""
    return _law(FIT, n_masks, n_players)


def interval_seconds(n_masks: int, n_players: int) -> float:
    """Of the intervals of its terms, where slowness is 1."""
    return _law(INTERVALS, n_masks, n_players)


def slowness(*, threads: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """How many times as long as there the engine takes here and now; about a second's work.

    Args:
        threads: of xgboost.
        clock: tells seconds.
    """
    rng = stream(0, "slowness")
    masks = draw_masks(MASKS, PLAYERS, keep=0.7, seed=rng)
    pairs = ~masks[:, : PLAYERS // 2] & ~masks[:, PLAYERS // 2 :]
    values = masks @ rng.random(PLAYERS) - 2 * pairs.sum(axis=1) + rng.normal(size=MASKS)
    with threadpool_limits(1):
        begin = clock()
        spectrum = fit_spectrum(masks, values, keep=0.7, threads=threads)
        intervals(masks, values, spectrum.terms, keep=0.7)
        return (clock() - begin) / REFERENCE


def _law(law: tuple[float, float, float], n_masks: int, n_players: int) -> float:
    factor, by_masks, by_players = law
    return float(factor * n_masks**by_masks * (n_players / PLAYERS) ** by_players)
