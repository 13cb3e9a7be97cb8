"""Greedy removal on the model, for sizes that leave few players.

Gates learn from sets that they draw. A gate at the bound of its logit is open one time in five, so
where few players are to be left, these sets are not like the ones that are wanted, and on
SmolLM2's indirect objects the ability was gone. From the last set that gates know, players are
therefore removed in rounds: of those that are left, the gradient at the set itself names the
players whose removal costs least, and the model scores each of these removals. When the cheapest is
made, the next few are scored again before another one goes (lazy greedy, Minoux 1978): two players
that stand in for each other cost nothing each, and all together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int

from headspex.gates.ascent import Gradient
from headspex.gates.hard_concrete import levels_of

# Scores of masks on the same questions, the higher the better.
Measure = Callable[
    [Bool[np.ndarray, "masks players"], Int[np.ndarray, " questions"]],
    Float[np.ndarray, "masks questions"],
]

FEW = 0.3  # share of players left; sizes that leave fewer are reached by greedy removal
ROUNDS = 7  # from one size to the next, at most
NAMED = 3  # removals scored in a round, for each player that goes
AGAIN = 2  # of these, scored again before each further player goes


@dataclass(frozen=True)
class Stage:
    """A greedy removal from one size to the next.

    Attributes:
        start, end: numbers of players removed before and after.
        n_players: in all.
    """

    start: int
    end: int
    n_players: int

    @property
    def rounds(self) -> list[tuple[int, int]]:
        """Of each round, how many players are named, and how many go."""
        n_rounds = min(ROUNDS, self.end - self.start)
        ends = np.linspace(self.start, self.end, n_rounds + 1).round().astype(int).tolist()
        return [(min(NAMED * (b - a), self.n_players - a), b - a) for a, b in pairwise(ends)]

    def passes(self, slope_passes: int) -> int:
        """Passes for each question of a round, of all rounds together.

        Args:
            slope_passes: cost of one question's gradient.
        """
        again = sum(
            min(AGAIN, named - gone) for named, made in self.rounds for gone in range(1, made)
        )
        return again + sum(slope_passes + named for named, _ in self.rounds)


def stages(sizes: Sequence[int], n_players: int) -> list[Stage]:
    """The greedy removals of a schedule.

    Args:
        sizes: numbers of players removed, ascending.
        n_players: in all.
    """
    before = n_players - round(FEW * n_players)
    far = [size for size in sizes if size > before]
    return [Stage(start, end, n_players) for start, end in pairwise([before, *far])]


def masks_without(
    sets: Sequence[Sequence[int]], n_players: int
) -> Bool[np.ndarray, "sets players"]:
    """The masks under which each set of players is off, and all others are on."""
    masks = np.ones((len(sets), n_players), dtype=np.bool_)
    for mask, removed in zip(masks, sets, strict=True):
        mask[list(removed)] = False
    return masks


def greedily(
    order: Sequence[int],
    stage: Stage,
    measure: Measure,
    gradient: Gradient,
    questions: Sequence[Int[np.ndarray, " questions"]],
) -> list[int]:
    """An order with greedy removal in place of its own where the stage says so.

    Args:
        order: of all players, first to go first.
        stage: the players before its start go as they are; those after its end are not ordered.
        measure: scores masks on the model.
        gradient: of the same score.
        questions: of each round, `ROUNDS` of them.
    """
    removed, left = list(order[: stage.start]), list(order[stage.start :])

    def by_cost(players: list[int], asked: Int[np.ndarray, " questions"]) -> list[int]:
        masks = masks_without([[*removed, player] for player in players], len(order))
        scores = measure(masks, asked).mean(axis=1)
        return [players[i] for i in np.argsort(-scores, kind="stable")]

    for (n_named, made), asked in zip(stage.rounds, questions, strict=False):
        levels = levels_of(masks_without([removed] * len(asked), len(order)))
        slopes = gradient(levels, asked).mean(axis=0)
        named = by_cost(sorted(left, key=lambda player: slopes[player])[:n_named], asked)
        for gone in range(made):
            if gone:
                named[:AGAIN] = by_cost(named[:AGAIN], asked)
            removed.append(named.pop(0))
            left.remove(removed[-1])
    return removed + left
