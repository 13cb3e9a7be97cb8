"""Which masks are asked which questions."""

from dataclasses import replace

import numpy as np
import pytest
from made_plans import made_plan
from planted_scores import one_run

from headspex.budget.allocation import Allocation
from headspex.budget.pilot import draw_pilot
from headspex.budget.sample import Sample, draw_sample
from headspex.engine.methods.growth import grow
from headspex.scores.spread import mask_values
from headspex.support.seeds import stream

PLAN = made_plan(
    n_players=12, n_search=20, n_heldout=15, n_fresh=30, sizes=(2,), search_budget=1_000
)  # fmt: skip
ALLOCATION = Allocation(keep=0.7, questions_per_mask=3, n_masks=90, n_pilot=20)


def _sample() -> Sample:
    return draw_sample(PLAN, ALLOCATION, seed=4)


def test_no_fresh_mask_was_searched_and_no_mask_is_drawn_twice() -> None:
    sample = _sample()
    assert sample.masks.shape == (90, 12)
    assert len({mask.tobytes() for mask in [*sample.masks, *sample.fresh]}) == 120


def test_the_search_asks_search_questions_only_and_fresh_masks_a_few_of_both_halves() -> None:
    sample = _sample()
    assert set(np.unique(sample.asked)) <= set(sample.search)
    np.testing.assert_array_equal(sample.search, np.arange(20))
    np.testing.assert_array_equal(sample.heldout, np.arange(20, 35))
    assert sample.fresh_asked.shape == (30, PLAN.fresh_search + PLAN.fresh_heldout)
    assert set(np.unique(sample.fresh_search)) == set(sample.search)
    assert set(np.unique(sample.fresh_heldout)) == set(sample.heldout)
    assert all(len(set(row)) == len(row) for row in sample.fresh_asked.tolist())


def test_other_methods_are_asked_held_out_questions_from_everywhere_in_the_file() -> None:
    assert _sample().compared.tolist() == [20, 21, 23, 24, 26, 27, 29, 30, 32, 33]
    everything = replace(PLAN, n_compared=15)
    sample = draw_sample(everything, ALLOCATION, seed=4)
    np.testing.assert_array_equal(sample.compared, sample.heldout)


def test_the_first_masks_have_the_values_of_a_search_that_ended_with_them() -> None:
    sample = _sample()
    scores = np.random.default_rng(0).normal(size=sample.asked.shape)
    changed = scores.copy()
    end = sample.ends[44]
    changed[end:] += 10
    expected = mask_values(
        scores[:end], sample.row[:end], sample.asked[:end], 20, sample.masks[:45]
    )
    data = sample.observed(changed[:end])
    np.testing.assert_array_equal(data.values, expected)
    np.testing.assert_array_equal(data.masks, sample.masks[:45])


def test_the_masks_of_the_pilot_come_first_with_the_questions_it_asked_and_count_by_them() -> None:
    sample, pilot = _sample(), draw_pilot(PLAN, 20, keep=0.7, seed=4)
    np.testing.assert_array_equal(sample.masks[:20], pilot.masks)
    np.testing.assert_array_equal(sample.asked[: sample.n_known], pilot.asked.ravel())
    assert sample.n_known == 20 * 8
    assert len(sample.row) == 20 * 8 + 70 * 3
    weights = sample.observed(np.zeros(len(sample.row))).weights
    assert weights[0] / weights[-1] == 8 / 3


def test_the_same_seed_draws_the_same_sample() -> None:
    for name in ("masks", "asked", "fresh"):
        np.testing.assert_array_equal(getattr(_sample(), name), getattr(_sample(), name))
    assert stream(4, "masks").random() != stream(4, "asked").random()


@pytest.mark.parametrize(("n_players", "n_masks"), [(12, 1_500), (12, 4_060), (40, 900)])
def test_a_larger_search_begins_with_the_smaller_one_and_has_the_same_fresh_masks(
    n_players: int, n_masks: int
) -> None:
    plan = replace(PLAN, n_players=n_players)
    small = draw_sample(plan, ALLOCATION, seed=4)
    large = draw_sample(plan, replace(ALLOCATION, n_masks=n_masks), seed=4)
    assert len(large.masks) == n_masks
    np.testing.assert_array_equal(large.masks[:90], small.masks)
    np.testing.assert_array_equal(large.asked[: len(small.asked)], small.asked)
    np.testing.assert_array_equal(large.fresh, small.fresh)


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("per_mask", [1, 4])
@pytest.mark.parametrize("answers", [2, 30])
def test_planted_pairs_keep_their_size_and_their_intervals_cover_them(
    binary: bool, per_mask: int, answers: int
) -> None:
    # Through the path of a run: effects of questions once swallowed a share of every interaction.
    runs = [
        one_run(seed, grow, binary=binary, answers=answers, per_mask=per_mask, n_masks=500)
        for seed in range(60)
    ]
    ratios = np.array([ratio for ratio, _ in runs])
    assert abs(ratios.mean() - 1) < 3 * ratios.std() / np.sqrt(60) + 0.01
    covered = np.mean([hit for _, hits in runs for hit in hits])
    assert 0.9 < covered < 0.99  # of 180 that cover with 95 %, three standard errors
