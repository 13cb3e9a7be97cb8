"""Exchanges at the sizes that count: gates may be half open, players may not.

Learned gates share what two halves can do together, so the set they leave at a size may lack a
player that only matters when it is whole. At each size the last players to go and the next ones are
tried on the model: what each gains when it is put back, and what each costs when it goes. The most
promising exchanges are then scored themselves, and the best is made if its gain is twice its
standard error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

WINDOW = 5  # players tried on either side of a size
TRIED = 3  # exchanges scored
MASKS = 1 + 2 * WINDOW + TRIED  # scored at each size, at most
ERRORS = 2.0  # standard errors that an exchange has to gain

# Scores of masks on the same questions, the higher the better.
Measure = Callable[
    [Bool[np.ndarray, "masks players"], Int[np.ndarray, " questions"]],
    Float[np.ndarray, "masks questions"],
]


@dataclass(frozen=True, eq=False)
class Exchanged:
    """An order after exchanges, and the passes they took."""

    order: tuple[int, ...]
    passes: int


def exchanged(
    order: Sequence[int],
    measure: Measure,
    sizes: Sequence[int],
    questions: Sequence[Int[np.ndarray, " questions"]],
) -> Exchanged:
    """Exchange two players across each size, from the smallest on, where that helps.

    Sets at smaller sizes stay as they are.

    Args:
        order: of all players, first to go first.
        measure: scores masks on the model.
        sizes: numbers of players removed, ascending, 1 to all but one.
        questions: that are asked at each size, two or more.
    """
    found, passes, before = list(order), 0, 0
    for size, asked in zip(sizes, questions, strict=True):
        last, following = found[max(before, size - WINDOW) : size], found[size : size + WINDOW]
        mask = np.ones(len(found), dtype=np.bool_)
        mask[found[:size]] = False
        single = [_flipped(mask, player) for player in (*last, *following)]
        scores = measure(np.array([mask, *single]), asked)
        gains = scores[1:].mean(axis=1) - scores[0].mean()
        pairs = [
            (gains[i] + gains[len(last) + j], i, j)
            for i in range(len(last))
            for j in range(len(following))
        ]
        best = sorted(pairs, reverse=True)[:TRIED]
        swapped = measure(
            np.array([_flipped(mask, last[i], following[j]) for _, i, j in best]), asked
        )
        passes += len(asked) * (1 + len(single) + len(best))
        better = swapped - scores[0]
        error = better.std(axis=1, ddof=1) / np.sqrt(len(asked))
        sure = better.mean(axis=1) - ERRORS * error
        if sure.max() > 0:
            _, i, j = best[int(sure.argmax())]
            back, gone = last[i], following[j]
            found.remove(gone)
            found.remove(back)
            found.insert(size - 1, gone)
            found.insert(size, back)
        before = size
    return Exchanged(tuple(found), passes)


def _flipped(mask: Bool[np.ndarray, " players"], *players: int) -> Bool[np.ndarray, " players"]:
    other = mask.copy()
    other[list(players)] ^= True
    return other
