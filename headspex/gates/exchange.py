"""One order from several proposals, and exchanges, at the sizes that count.

Learned gates may be half open, players may not: a set that gates leave at a size may lack a player
that only matters when it is whole, and where the ability is gone they tell nothing. So the model
decides, size by size. At the smallest size, where effects add up, a proposal more comes from what
players cost alone; where few players are left, one comes from greedy removal. Of the proposals,
each going on from the players that are gone already, the first is followed unless another is better
by its standard error (after greedy removal on more questions). Then the last players to go and the
next ones are tried: what each gains when it is put back, and what each costs when it goes. The best
one, two and three to come back take the places of as many that go; of these exchanges the best is
made, if it too gains its standard error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float, Int

from headspex.gates.ascent import Gradient
from headspex.gates.greedy import Measure, Stage, greedily, masks_without

WINDOW = 5  # players tried on either side of a size; ten found no better exchanges
TRIED = 3  # exchanges scored: of one player, of two, of three
MASKS = 1 + 2 * WINDOW + TRIED  # scored at each size for a single proposal, at most
# Players whose cost alone is measured, as a multiple of the smallest size. With SmolLM2 on indirect
# objects (seed 10) the KL divergence with 10 % of the heads removed fell from .012 to .009 or .010;
# of the next sizes, each going on from the last, none gained by it.
ALONE = 2
# Standard errors that a change has to gain. Two of them left good exchanges unmade.
ERRORS = 1.0


@dataclass(frozen=True, eq=False)
class Asked:
    """Questions of every choice.

    Attributes:
        at_sizes: at each size, two or more.
        alone: of single players, before the smallest size.
        rounds: of each round of greedy removal, `headspex.gates.greedy.ROUNDS` of them.
        removals: after each greedy removal, of the choice between proposals, two or more.
    """

    at_sizes: Sequence[Int[np.ndarray, " questions"]]
    alone: Int[np.ndarray, " questions"]
    rounds: Sequence[Int[np.ndarray, " questions"]]
    removals: Sequence[Int[np.ndarray, " questions"]]


@dataclass(frozen=True, eq=False)
class Exchanged:
    """An order of all players, first to go first, and the passes it took to find."""

    order: tuple[int, ...]
    passes: int


def exchanged(
    proposals: Sequence[Sequence[int]],
    measure: Measure,
    gradient: Gradient,
    sizes: Sequence[int],
    questions: Asked,
    *,
    greedy: Sequence[Stage],
    slope_passes: int,
) -> Exchanged:
    """Follow the best proposal to each size, from the smallest on, and exchange players there.

    Sets at smaller sizes stay as they are.

    Args:
        proposals: orders of all players; the first is followed unless another is better.
        measure: scores masks on the model.
        gradient: of the same score.
        sizes: numbers of players removed, ascending, 1 to all but one; one at least.
        questions: that are asked.
        greedy: removals that each propose an order at the size where they end.
        slope_passes: cost of one question's gradient.
    """
    order, passes, before = list(proposals[0]), 0, 0
    removals = {
        stage.end: (stage, choice) for stage, choice in zip(greedy, questions.removals, strict=True)
    }

    def scored(
        sets: Sequence[Sequence[int]], asked: Int[np.ndarray, " questions"]
    ) -> Float[np.ndarray, "sets questions"]:
        return measure(masks_without(sets, len(order)), asked)

    few = order[: ALONE * sizes[0]]
    left = scored([[one] for one in few], questions.alone).mean(axis=1)
    cheapest = [few[i] for i in np.argsort(-left, kind="stable")]
    passes += len(few) * len(questions.alone)
    for size, asked in zip(sizes, questions.at_sizes, strict=True):
        orders = [_continued(order[:before], one) for one in proposals]
        if not before:
            orders.append(_continued(cheapest, order))
        choice = asked
        if size in removals:
            stage, choice = removals[size]
            orders.append(greedily(orders[0], stage, measure, gradient, questions.rounds))
            passes += len(questions.rounds[0]) * stage.passes(slope_passes) + len(asked)
        ahead = scored([one[:size] for one in orders], choice)
        chosen = _best(ahead - ahead[0])
        order = orders[chosen]
        now = ahead[chosen] if choice is asked else scored([order[:size]], asked)[0]
        order, took = _exchanged_at(order, size, now, partial(scored, asked=asked), before=before)
        passes += len(choice) * len(orders) + len(asked) * took
        before = size
    return Exchanged(tuple(order), passes)


def _exchanged_at(
    order: Sequence[int],
    size: int,
    now: Float[np.ndarray, " questions"],
    scored: Callable[[Sequence[Sequence[int]]], Float[np.ndarray, "sets questions"]],
    *,
    before: int,
) -> tuple[list[int], int]:
    """An order after the best exchange at a size, and how many sets were scored for it.

    Args:
        order: of all players, first to go first.
        size: number of players removed.
        now: scores of the set as it is.
        scored: scores sets of removed players.
        before: players that have to stay removed.
    """
    removed, following = list(order[:size]), order[size : size + WINDOW]
    last = removed[max(before, size - WINDOW) :]
    single = [_exchange(removed, [one], []) for one in last]
    single += [_exchange(removed, [], [one]) for one in following]
    gains = scored(single).mean(axis=1) - now.mean()
    back = [last[i] for i in np.argsort(-gains[: len(last)], kind="stable")]
    gone = [following[i] for i in np.argsort(-gains[len(last) :], kind="stable")]
    most = min(TRIED, len(back), len(gone))
    tried = [removed, *(_exchange(removed, back[:n], gone[:n]) for n in range(1, most + 1))]
    gained = scored(tried[1:]) - now
    made = _best(np.concatenate([np.zeros((1, len(now))), gained]))
    return _continued(tried[made], order), len(single) + most


def _best(gains: Float[np.ndarray, "changes questions"]) -> int:
    """The change that most surely gains, if one does; the first, no change, if none."""
    error = gains.std(axis=1, ddof=1) / np.sqrt(gains.shape[1])
    sure = gains.mean(axis=1) - ERRORS * error
    return int(sure.argmax()) if sure.max() > 0 else 0


def _continued(removed: Sequence[int], order: Sequence[int]) -> list[int]:
    """The players that are removed, and then the others in an order."""
    return [*removed, *(one for one in order if one not in removed)]


def _exchange(removed: Sequence[int], back: Sequence[int], gone: Sequence[int]) -> list[int]:
    return [*(one for one in removed if one not in back), *gone]
