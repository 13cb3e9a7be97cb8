"""The masks of a run and their questions, all drawn before any is asked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from headspex.budget.allocation import Allocation
from headspex.budget.pilot import draw_pilot
from headspex.budget.plan import Plan
from headspex.engine.observations import Observations, observe
from headspex.engine.sampling import draw_masks
from headspex.scores.spread import assign_questions, mask_values
from headspex.support.seeds import stream


@dataclass(frozen=True, eq=False)
class Sample:
    """The masks of a run and their questions.

    Questions are numbered, search questions first, then held-out ones.

    Attributes:
        masks: of the search, True = the player stays on; those of the pilot come first.
        row, asked: mask and search question of each pass of the search, mask by mask.
        n_known: number of passes, the first ones, that the pilot has scored.
        keep: the probability that a mask keeps a player.
        fresh: masks outside the search.
        fresh_search, fresh_heldout: a few random questions of either half for each fresh mask.
        watched: further masks, for looks during the search.
        watched_search: search questions for each watched mask.
        search, heldout: the questions of each half.
        compared: held-out questions on which other methods are judged.
    """

    masks: Bool[np.ndarray, "masks players"]
    row: Int[np.ndarray, " passes"]
    asked: Int[np.ndarray, " passes"]
    n_known: int
    keep: float
    fresh: Bool[np.ndarray, "fresh players"]
    fresh_search: Int[np.ndarray, "fresh of_search"]
    fresh_heldout: Int[np.ndarray, "fresh of_heldout"]
    watched: Bool[np.ndarray, "watched players"]
    watched_search: Int[np.ndarray, "watched of_search"]
    search: Int[np.ndarray, " search"]
    heldout: Int[np.ndarray, " heldout"]
    compared: Int[np.ndarray, " compared"]

    @property
    def fresh_asked(self) -> Int[np.ndarray, "fresh of_both"]:
        """Questions of each fresh mask: search questions, then held-out ones."""
        return np.concatenate([self.fresh_search, self.fresh_heldout], axis=1)

    @property
    def ends(self) -> Int[np.ndarray, " masks"]:
        """Cumulative number of passes up to each mask, inclusive."""
        return np.cumsum(np.bincount(self.row, minlength=len(self.masks)))

    def observed(self, scores: Float[np.ndarray, " passes"]) -> Observations:
        """Mask values from the first passes, weighted by their number of answers.

        Later masks have no influence, so these are the values of a smaller search.
        """
        row, asked = self.row[: len(scores)], self.asked[: len(scores)]
        weights = np.bincount(row).astype(float)
        masks = self.masks[: len(weights)]
        values = mask_values(scores, row, asked, len(self.search), masks)
        return observe(masks, values, keep=self.keep, weights=weights)


def draw_sample(plan: Plan, allocation: Allocation, *, seed: int) -> Sample:
    """Draw masks, each player kept with the chosen probability, and deal questions to them.

    A larger search begins with the smaller one and is judged on the same fresh masks.
    """
    keep = allocation.keep
    pilot = draw_pilot(plan, allocation.n_pilot, keep=keep, seed=seed)
    n_unseen = plan.n_fresh + plan.n_watched
    drawn = draw_masks(
        allocation.n_masks + n_unseen, plan.n_players, keep=keep, seed=stream(seed, "masks")
    )
    n_others = allocation.n_masks - len(pilot.masks)
    others = _without(drawn, pilot.masks)[: n_unseen + n_others]
    # All masks differ, so no fresh mask is searched. Fresh masks come first, so that neither they
    # nor the first searched masks depend on how many follow.
    fresh, watched, searched = np.split(others, [plan.n_fresh, n_unseen])
    dealt = assign_questions(
        n_others, plan.n_search, allocation.questions_per_mask, rng=stream(seed, "asked")
    )
    parts = (pilot.asked, dealt)
    counts = np.concatenate([np.full(len(part), part.shape[1]) for part in parts])
    numbers = np.arange(plan.n_search + plan.n_heldout)
    search, heldout = np.split(numbers, [plan.n_search])

    def deal(
        half: Int[np.ndarray, " half"], masks: int, each: int, rng: np.random.Generator
    ) -> Int[np.ndarray, "masks each"]:
        dealt = assign_questions(masks, len(half), each, rng=rng)
        return np.asarray(half[dealt])

    return Sample(
        masks=np.concatenate([pilot.masks, searched]),
        row=np.repeat(np.arange(allocation.n_masks), counts),
        asked=np.concatenate([part.ravel() for part in parts]),
        n_known=pilot.asked.size,
        keep=keep,
        fresh=fresh,
        fresh_search=deal(
            search, len(fresh), plan.fresh_search, stream(seed, "fresh search questions")
        ),
        fresh_heldout=deal(
            heldout, len(fresh), plan.fresh_heldout, stream(seed, "fresh held-out questions")
        ),
        watched=watched,
        watched_search=deal(
            search, len(watched), plan.fresh_search, stream(seed, "watched questions")
        ),
        search=search,
        heldout=heldout,
        # Evenly spaced in the file's order, so that all subjects are included.
        compared=heldout[np.arange(plan.n_compared) * plan.n_heldout // plan.n_compared],
    )


def _without(
    masks: Bool[np.ndarray, "masks players"], others: Bool[np.ndarray, "others players"]
) -> Bool[np.ndarray, "fewer players"]:
    known = {row.tobytes() for row in others}
    return masks[[row.tobytes() not in known for row in masks]]
