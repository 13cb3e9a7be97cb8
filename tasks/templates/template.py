"""A template: how the prompts of a built-in task are drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from headspex.tasks.pairs import Pair
from headspex.tasks.templates.draw import Draw, Pools


@dataclass(frozen=True)
class Template:
    """How the prompts of a built-in task are drawn.

    Attributes:
        name: of the task.
        summary: what is asked, in one line.
        source: the paper whose task it follows.
        pools: words by the name of their pool. Search and held-out prompts share none of them.
        ways: to draw a pair, for tokenizers that cut numbers differently; of those that fit a
            tokenizer equally well the first is taken.
        metric: the task's own.
    """

    name: str
    summary: str
    source: str
    pools: Pools
    ways: tuple[Callable[[Draw], Pair], ...]
    metric: str = "logit-diff"

    def draw(self, part: str) -> Draw:
        """The draws of "search" or "heldout"."""
        return Draw.of(self.name, self.pools, part)

    def example(self) -> Pair:
        """A pair that needs no tokenizer: some tokenizers would take another."""
        return self.ways[0](self.draw("search"))
