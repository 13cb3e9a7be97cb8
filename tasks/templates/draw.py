"""Words of a template, in two halves, and drawing from one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from headspex.support.seeds import stream

PARTS = ("search", "heldout")
Pools = Mapping[str, Sequence[str]]
T = TypeVar("T")


@dataclass(frozen=True)
class Draw:
    """Draws of one part of a task.

    Attributes:
        rng: random numbers of this task and part.
        pools: this part's half of the words.
    """

    rng: np.random.Generator
    pools: Pools

    @classmethod
    def of(cls, name: str, pools: Pools, part: str) -> Draw:
        """The draws of a task's part, the same at every call."""
        own = {pool: _half(words, pool, PARTS.index(part)) for pool, words in pools.items()}
        return cls(stream(0, f"paired prompts: {name}, {part}"), own)

    def words(self, pool: str, count: int) -> list[str]:
        """Different words of a pool."""
        return self.some(self.pools[pool], count)

    def word(self, pool: str) -> str:
        """A word of a pool."""
        return self.one(self.pools[pool])

    def some(self, among: Sequence[T], count: int) -> list[T]:
        """Different things in random order."""
        return [among[i] for i in self.rng.permutation(len(among))[:count]]

    def one(self, among: Sequence[T]) -> T:
        """One thing."""
        return among[int(self.rng.integers(len(among)))]


def listed(text: str) -> tuple[str, ...]:
    """Words or phrases that are separated by commas."""
    return tuple(word.strip() for word in text.split(","))


def _half(words: Sequence[str], pool: str, number: int) -> list[str]:
    """Every other word of the shuffled pool: the halves share none."""
    order = stream(0, f"halves of a pool of words: {pool}").permutation(len(words))
    return [words[i] for i in sorted(order[number::2])]
