"""Masks x questions -> scores, in blocks that are stored as soon as they are measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from jaxtyping import Bool, Float, Int

from headspex.scores.block import BLOCK, Block
from headspex.scores.store import ScoreStore
from headspex.support.interrupt import defer_sigint

LogProbs = Float[np.ndarray, "rows choices"]


class Scorer(Protocol):
    """A model with its questions: scores the choices under each mask."""

    def __call__(
        self, masks: Bool[np.ndarray, "rows players"], questions: Int[np.ndarray, " rows"]
    ) -> LogProbs:
        """Log-probabilities of the choices; row i asks `questions[i]` under `masks[i]`."""


class Workers(Protocol):
    """Copies of a model, each measuring whole blocks."""

    def measure(self, blocks: Iterable[tuple[int, Block]]) -> Iterator[tuple[int, LogProbs]]:
        """The scores of numbered blocks, in order of completion.

        A caller that stops early loses the blocks that are still being measured.
        """


class ModelWorkers(Workers, Protocol):
    """Workers that take gradients, too."""

    def gradients(self, metric: str) -> Workers:
        """The same workers, measuring gradients; see `Judge.gradients_of_bits`."""


class InProcess:
    """Workers that are one: this process."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    def measure(self, blocks: Iterable[tuple[int, Block]]) -> Iterator[tuple[int, LogProbs]]:
        """The blocks in the given order."""
        for number, block in blocks:
            yield number, self._scorer(block.masks, block.questions)


@dataclass(frozen=True, eq=False)
class Passes(Sequence[Block]):
    """Passes in order, cut into blocks.

    Blocks do not depend on how many passes follow, so a larger budget continues where a smaller
    one ended.

    Attributes:
        masks: different masks.
        row: the index of each pass's mask.
        questions: the question of each pass.
        rows: of a block; None: `BLOCK`.
    """

    masks: Bool[np.ndarray, "masks players"]
    row: Int[np.ndarray, " passes"]
    questions: Int[np.ndarray, " passes"]
    rows: int | None = None

    @classmethod
    def of_each(
        cls,
        masks: Bool[np.ndarray, "masks players"],
        asked: Int[np.ndarray, "masks per_mask"],
        rows: int | None = None,
    ) -> Passes:
        """Each mask on its own questions."""
        return cls(masks, np.repeat(np.arange(len(masks)), asked.shape[1]), asked.ravel(), rows)

    @classmethod
    def of_all(
        cls, masks: Bool[np.ndarray, "masks players"], questions: Int[np.ndarray, " questions"]
    ) -> Passes:
        """Each mask on the same questions."""
        return cls.of_each(masks, np.tile(questions, (len(masks), 1)))

    def __len__(self) -> int:
        return -(-len(self.questions) // (self.rows or BLOCK))

    def __getitem__(self, number: Any) -> Any:
        if not 0 <= number < len(self):
            raise IndexError(number)
        size = self.rows or BLOCK
        rows = slice(number * size, (number + 1) * size)
        return Block(self.masks[self.row[rows]], self.questions[rows])


def evaluate(
    workers: Workers,
    blocks: Sequence[Block],
    *,
    store: ScoreStore,
    progress: Callable[[int], object] = lambda rows: None,
) -> LogProbs:
    """Scores of all rows of all blocks; blocks that are not stored are measured.

    A measured block is stored at once, and Ctrl-C waits until it is.

    Args:
        workers: measure blocks.
        blocks: such as `Passes`.
        store: keeps each measured block.
        progress: called with the number of rows of each finished block, and with 0 before the
            first block is measured.

    Returns:
        float32 log-probabilities, rows as given.
    """
    found = {}
    for number, block in enumerate(blocks):
        if (known := store.get(block)) is not None:
            found[number] = known
            progress(len(block))
    progress(0)
    missing = (number for number in range(len(blocks)) if number not in found)
    with defer_sigint() as checkpoint:
        for number, scores in workers.measure((number, blocks[number]) for number in missing):
            found[number] = np.asarray(scores, dtype=np.float32)
            store.add(blocks[number], found[number])
            progress(len(found[number]))
            checkpoint()
    return np.concatenate([found[number] for number in range(len(blocks))])
