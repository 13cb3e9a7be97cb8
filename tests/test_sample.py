"""Which masks are asked which questions."""

import numpy as np

from headspex.plan import Plan
from headspex.sample import Sample, draw_sample, stream
from headspex.spread import mask_values

PLAN = Plan(
    n_players=12,
    n_search=20,
    n_heldout=15,
    n_masks=90,
    n_fresh=30,
    questions_per_mask=3,
    sizes=(2,),
)


def _sample() -> Sample:
    return draw_sample(PLAN, keep=0.7, seed=4)


def test_no_fresh_mask_was_searched_and_no_mask_is_drawn_twice() -> None:
    sample = _sample()
    assert sample.masks.shape == (90, 12)
    assert len({mask.tobytes() for mask in [*sample.masks, *sample.fresh]}) == 120


def test_the_search_asks_search_questions_only_and_fresh_masks_are_asked_all() -> None:
    sample = _sample()
    assert set(np.unique(sample.asked)) <= set(sample.search)
    assert not set(sample.search) & set(sample.heldout)
    np.testing.assert_array_equal(sample.questions, np.arange(35))


def test_the_first_masks_have_the_values_of_a_search_that_ended_with_them() -> None:
    sample = _sample()
    scores = np.random.default_rng(0).normal(size=sample.asked.shape)
    changed = scores.copy()
    changed[45:] += 10
    expected = mask_values(scores[:45], sample.asked[:45], 20)
    np.testing.assert_array_equal(sample.values(changed[:45]), expected)


def test_the_same_seed_draws_the_same_sample() -> None:
    for name in ("masks", "asked", "fresh"):
        np.testing.assert_array_equal(getattr(_sample(), name), getattr(_sample(), name))
    assert stream(4, "masks").random() != stream(4, "asked").random()
