"""Masks x questions -> scores, in blocks that are kept as soon as they are measured."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float, Int

from headspex.store import ScoreStore

BLOCK = 1_024  # rows measured between two visits to the store: about a second on a laptop


class Scorer(Protocol):
    """A model with its questions: what the choices are worth under each mask."""

    def __call__(
        self, masks: Bool[np.ndarray, "rows players"], questions: Int[np.ndarray, " rows"]
    ) -> Float[np.ndarray, "rows choices"]:
        """Log-probabilities of the choices; row i asks `questions[i]` under `masks[i]`."""


def evaluate(
    scorer: Scorer,
    masks: Bool[np.ndarray, "rows players"],
    questions: Int[np.ndarray, " rows"],
    *,
    store: ScoreStore,
    progress: Callable[[int], object] = lambda rows: None,
) -> Float[np.ndarray, "rows choices"]:
    """Scores of all rows, measured where the store lacks them.

    A block with any row missing is measured whole; where a row was stored, the stored value counts.

    Args:
        scorer: measures a block of rows.
        masks: one per row.
        questions: one per row.
        store: keeps each block once it is measured.
        progress: told the number of rows that each block finished.

    Returns:
        float32 log-probabilities, rows as given.
    """
    blocks = []
    for start in range(0, len(questions), BLOCK):
        rows = slice(start, start + BLOCK)
        known = store.get(masks[rows], questions[rows])
        # A block is measured whole, so that the rows it is padded with do not depend on the past.
        if any(row is None for row in known):
            measured = np.asarray(scorer(masks[rows], questions[rows]), dtype=np.float32)
            store.add(masks[rows], questions[rows], measured)
            known = store.get(masks[rows], questions[rows])
        found = [row for row in known if row is not None]
        blocks.append(np.stack(found))
        progress(len(found))
    return np.concatenate(blocks)
