"""Which masks of a run are asked which questions: drawn before any of them is."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from headspex.plan import Plan
from headspex.sampling import draw_masks
from headspex.spread import assign_questions, mask_values


@dataclass(frozen=True, eq=False)
class Sample:
    """The masks of a run and their questions.

    Questions are numbered: the search questions first, the held-out ones after them.

    Attributes:
        masks: of the search, True = the player stays on.
        asked: search questions of each mask.
        fresh: other masks, none of which was searched.
        search, heldout: the questions of each half.
    """

    masks: Bool[np.ndarray, "masks players"]
    asked: Int[np.ndarray, "masks per_mask"]
    fresh: Bool[np.ndarray, "fresh players"]
    search: Int[np.ndarray, " search"]
    heldout: Int[np.ndarray, " heldout"]

    @property
    def questions(self) -> Int[np.ndarray, " questions"]:
        """Both halves, as fresh masks are asked them."""
        return np.concatenate([self.search, self.heldout])

    def values(self, scores: Float[np.ndarray, "first per_mask"]) -> Float[np.ndarray, " first"]:
        """What the answers of the first masks of the search say about each of them.

        Nothing is taken from the masks after them: so are the values of a smaller search.
        """
        return mask_values(scores, self.asked[: len(scores)], len(self.search))


def draw_sample(plan: Plan, *, keep: float, seed: int) -> Sample:
    """Draw masks, each player kept with probability `keep`, and deal questions to them."""
    drawn = draw_masks(
        plan.n_masks + plan.n_fresh, plan.n_players, keep=keep, seed=stream(seed, "masks")
    )
    # All are different, so none of the fresh masks was searched. Where they are nearly all
    # masks there are, they come likeliest first: hence the shuffle.
    drawn = stream(seed, "fresh").permutation(drawn)
    masks, fresh = drawn[: plan.n_masks], drawn[plan.n_masks :]
    asked = assign_questions(
        len(masks), plan.n_search, plan.questions_per_mask, rng=stream(seed, "asked")
    )
    numbers = np.arange(plan.n_search + plan.n_heldout)
    return Sample(masks, asked, fresh, numbers[: plan.n_search], numbers[plan.n_search :])


def stream(seed: int, name: str) -> np.random.Generator:
    """Independent random numbers for each purpose, so that one never shifts another."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])
