"""How fast a machine scores masks: a few are scored as a run would, and timed.

A pass costs what its company makes of it: questions under one mask share the beginning, masks that
agree on their first layers share these, small blocks cost what starting a block costs. So each part
of a run is tried in blocks like its own.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Int

from headspex.scores.block import BLOCK, Block

FEW, GROWTH = 4, 4  # rows of the first block, and by what each next one is larger

Ask = Callable[[Block], object]
Clock = Callable[[], float]
Pairs = Callable[[int], tuple[Block, Block]]  # so many rows of two masks' blocks, same questions


def pace(ask: Ask, pairs: Pairs, *, most: int, patience: float, clock: Clock) -> float:
    """Seconds of a row in blocks of `most` rows, from smaller ones, which grow.

    They grow until the next one should outlast `patience`. What counts is a last block, of other
    masks on the questions of the one before: what no mask changes is kept by then, as it is for
    nearly all of a run. Its first quarter tells what a block costs apart from its rows.

    Args:
        ask: scores a block.
        pairs: makes two blocks of about so many rows.
        most: rows of a block of the run.
        patience: seconds of the longest block. All together take less than three times as much,
            unless the first ones take longer.
        clock: tells seconds.
    """
    wanted = min(FEW, most)
    while True:
        one, other = pairs(wanted)
        if GROWTH * _seconds(ask, one, clock) > patience or wanted == most:
            break
        wanted = min(most, GROWTH * wanted)
    rows, whole = len(other), _seconds(ask, other, clock)
    quarter = rows // GROWTH
    if rows >= most or not quarter:
        return whole / rows
    part = _seconds(ask, Block(other.masks[:quarter], other.questions[:quarter]), clock)
    each = min(max(0.0, whole - part) / (rows - quarter), whole / rows)
    return (whole + each * (most - rows)) / most


def random_pairs(
    n_players: int,
    questions: Int[np.ndarray, " questions"],
    *,
    per_mask: int,
    keep: float,
    rng: np.random.Generator,
) -> Pairs:
    """Random masks, each on its own few questions."""
    per_mask = min(per_mask, len(questions))

    def pairs(rows: int) -> tuple[Block, Block]:
        n_masks = -(-rows // per_mask)
        asked = [rng.choice(questions, per_mask, replace=False) for _ in range(n_masks)]
        together = np.concatenate(asked)[:rows]
        row = np.repeat(np.arange(n_masks), per_mask)[:rows]
        return _both(lambda: (rng.random((n_masks, n_players)) < keep)[row], together)

    return pairs


def step_pairs(
    n_players: int,
    questions: Int[np.ndarray, " questions"],
    *,
    candidates: int,
    keep: float,
    rng: np.random.Generator,
) -> Pairs:
    """A step of a walk: a mask with one more player off, or another one, on the same questions."""

    def pairs(rows: int) -> tuple[Block, Block]:
        some = rng.choice(questions, min(len(questions), max(1, rows // candidates)), replace=False)

        def masks() -> Bool[np.ndarray, "rows players"]:
            tried = np.tile(rng.random(n_players) < keep, (candidates, 1))
            tried[np.arange(candidates), rng.integers(n_players, size=candidates)] = False
            return np.repeat(tried, len(some), axis=0)

        return _both(masks, np.tile(some, candidates))

    return pairs


def _both(
    masks: Callable[[], Bool[np.ndarray, "rows players"]], questions: Int[np.ndarray, " rows"]
) -> tuple[Block, Block]:
    return Block(masks()[:BLOCK], questions[:BLOCK]), Block(masks()[:BLOCK], questions[:BLOCK])


def _seconds(ask: Ask, block: Block, clock: Clock) -> float:
    begin = clock()
    ask(block)
    return clock() - begin
