"""The masks of SPEX: a few subspaces over GF(2), each translated by the parity checks of a code.

A group holds x = l M + shift + delay, where l runs over all strings of b bits, M is random and the
delays are 0 and the parity checks of a BCH code (arXiv 2502.13870).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from headspex.engine.sampling import draw_masks
from headspex.engine.spex.bch import BCHCode, parities
from headspex.errors import UsageError
from headspex.support.seeds import stream
from headspex.support.validation import whole

GROUPS = 3  # at least: with fewer, two terms that collide in one group may collide in all
LEAST_BITS = 2  # of a bin's number: more bins at the expense of the order lost ten order-5 terms


@dataclass(frozen=True, eq=False)
class SpexDesign:
    """The masks to score, and their structure.

    Attributes:
        masks: all different, True = the player stays on; those of the groups, then random ones up
            to the budget. A complete design has all 2^n, and no groups.
        code: decodes sets of up to `code.order` players.
        generators: M of each group, one row per bit of l.
        rows: the row of `masks` of each group, delay and l; the first delay is 0.
    """

    masks: Bool[np.ndarray, "samples players"]
    code: BCHCode
    generators: Bool[np.ndarray, "groups bits players"]
    rows: Int[np.ndarray, "groups delays bins"]

    @property
    def n_players(self) -> int:
        """Columns of a mask."""
        return int(self.masks.shape[1])

    @property
    def complete(self) -> bool:
        """Whether all 2^n masks are scored; row i is then the number i in binary."""
        return not len(self.rows)


def spex_design(n_players: int, *, budget: int, max_order: int = 5, seed: int = 0) -> SpexDesign:
    """Choose the masks to score: at most `budget`, none twice.

    A budget of 2^n gives all masks. A budget too small for `max_order` gives a code of lower order,
    see `code.order`.

    Args:
        n_players: columns, at least 1.
        budget: masks, at least `smallest_budget(n_players)`.
        max_order: size of the largest sets that the code decodes.
        seed: fixes the masks.

    Raises:
        UsageError: an argument that is not a whole number, or is below its minimum.
    """
    n_players, budget = whole("n_players", n_players, 1), whole("budget", budget, 1)
    max_order, rng = whole("max_order", max_order, 1), stream(seed, "spex masks")
    if budget < smallest_budget(n_players):
        raise UsageError(
            f"SPEX needs at least {smallest_budget(n_players)} masks of {n_players} players, but "
            f"the budget is {budget}; raise it or use the engine proxyspex, which needs fewer"
        )
    order = min(max_order, n_players)
    if budget >= 2**n_players:
        masks = _bit_strings(n_players)
        none = np.zeros((0, 0, n_players), dtype=bool)
        return SpexDesign(masks, BCHCode(n_players, order), none, none.astype(np.int64))
    while budget < _least(BCHCode(n_players, order)):
        order -= 1
    code = BCHCode(n_players, order)
    n_bins = budget // (1 + len(code.checks))
    bits = (n_bins // GROUPS).bit_length() - 1
    generators = np.stack([_full_rank(bits, n_players, rng) for _ in range(n_bins >> bits)])
    # Without shifts every group would hold the empty mask.
    shifts = rng.random((len(generators), 1, n_players)) < 0.5
    strings = _bit_strings(bits)
    points = np.stack([parities(strings, generator.T) for generator in generators]) ^ shifts
    delays = np.concatenate([np.zeros((1, n_players), dtype=bool), code.checks])
    moved = points[:, None] ^ delays[:, None]
    masks, rows = _different(moved.reshape(-1, n_players))
    spare = draw_masks(budget, n_players, seed=rng)
    masks = _different(np.concatenate([masks, spare]))[0][:budget]
    return SpexDesign(masks, code, generators, rows.reshape(moved.shape[:3]))


def smallest_budget(n_players: int) -> int:
    """The fewest masks for SPEX: a code of order 1, or all 2^n masks."""
    return int(min(2**n_players, _least(BCHCode(n_players, 1))))


def _least(code: BCHCode) -> int:
    return (1 + len(code.checks)) * (GROUPS << LEAST_BITS)


def _bit_strings(bits: int) -> Bool[np.ndarray, "strings bits"]:
    """All strings; the first bit is the least."""
    return (np.arange(2**bits)[:, None] >> np.arange(bits) & 1).astype(bool)


def _full_rank(
    bits: int, n_players: int, rng: np.random.Generator
) -> Bool[np.ndarray, "bits players"]:
    """Linearly independent rows, so that all points of a group differ."""
    while True:
        rows = rng.random((bits, n_players)) < 0.5
        if parities(_bit_strings(bits)[1:], rows.T).any(axis=1).all():
            return rows


def _different(
    masks: Bool[np.ndarray, "some players"],
) -> tuple[Bool[np.ndarray, "fewer players"], Int[np.ndarray, " some"]]:
    """The first of each set of equal rows, in order, and the new place of each row."""
    _, first, which = np.unique(
        np.packbits(masks, axis=1), axis=0, return_index=True, return_inverse=True
    )
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return masks[first[order]], place[which.reshape(-1)]
