"""Random masks."""

import numpy as np
from jaxtyping import Bool

from headspex.engine.characters import Keep, keep_vector
from headspex.errors import UsageError
from headspex.support.seeds import stream
from headspex.support.validation import whole

ORDERED = 16  # players, at most, for which all masks are enumerated: 65,536 masks are quick
ROUNDS = 200  # redraws before the missing masks count as too unlikely


def draw_masks(
    count: int,
    n_players: int,
    *,
    keep: Keep = 0.5,
    seed: int | np.random.Generator = 0,
) -> Bool[np.ndarray, "masks players"]:
    """Draw `count` different masks, every player kept independently with probability `keep`.

    Duplicates are redrawn. No mask is included on purpose, not even the full or the empty one. If
    fewer than `count` masks exist, all 2^n are returned, so the result has min(count, 2^n) rows.

    Args:
        count: number of masks, at least 1.
        n_players: columns, at least 1.
        keep: one probability, or one per player, inside (0, 1).
        seed: a number, or a generator to continue.

    Raises:
        UsageError: `count` or `n_players` not a whole number of 1 or more, an invalid seed, or
            `keep` outside (0, 1).
    """
    n_players, count = whole("n_players", n_players, 1), whole("masks to draw", count, 1)
    p = keep_vector(keep, n_players)
    rng = seed if isinstance(seed, np.random.Generator) else stream(seed, "drawn masks")
    # Beyond half of all masks, redrawing takes long: put all of them in random order instead. If
    # that is cheap, do it always: then the first masks of a seed do not depend on `count`.
    if n_players <= ORDERED or (n_players <= 24 and count > 2 ** (n_players - 1)):
        return _weighted_order(n_players, p, rng)[:count]
    drawn = np.zeros((0, n_players), dtype=bool)
    for _ in range(ROUNDS):
        drawn = _different(np.concatenate([drawn, rng.random((count - len(drawn), n_players)) < p]))
        if len(drawn) == count:
            return drawn
    if n_players <= 24:
        return _different(np.concatenate([drawn, _weighted_order(n_players, p, rng)]))[:count]
    raise UsageError(
        f"only {len(drawn)} of {count} different masks were drawn: keep is so close to 0 or 1 that "
        "almost all masks are the same; ask for fewer masks, or a keep nearer to 0.5"
    )


def _different(masks: Bool[np.ndarray, "some players"]) -> Bool[np.ndarray, "fewer players"]:
    """The first of every set of equal rows, in the order drawn."""
    first = np.unique(np.packbits(masks, axis=1), axis=0, return_index=True)[1]
    return masks[np.sort(first)]


def _weighted_order(
    n_players: int, p: np.ndarray, rng: np.random.Generator
) -> Bool[np.ndarray, "all players"]:
    """All masks, in an order drawn without replacement in proportion to their probabilities."""
    numbers = np.arange(2**n_players, dtype=np.uint32)
    masks = (numbers[:, None] >> np.arange(n_players, dtype=np.uint32) & 1).astype(bool)
    log_probability = masks @ np.log(p) + ~masks @ np.log(1 - p)
    # Gumbel's trick: sorting by log-probability + Gumbel noise draws without replacement.
    return masks[np.argsort(-(log_probability + rng.gumbel(size=len(masks))))]
