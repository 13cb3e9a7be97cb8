"""Trees as a source of terms."""

import numpy as np

from headspex.engine.methods.proxy import boosted_trees
from headspex.engine.observations import observe


def test_trees_find_an_and_of_three_that_has_weak_main_effects() -> None:
    rng = np.random.default_rng(0)
    masks = rng.random((1500, 12)) < 0.5
    values = np.prod(masks[:, [1, 4, 7]], axis=1) - 0.5 * np.prod(masks[:, [2, 3]], axis=1)
    fresh = rng.random((1000, 12)) < 0.5
    truth = fresh[:, [1, 4, 7]].all(axis=1) - 0.5 * fresh[:, [2, 3]].all(axis=1)
    spectrum = boosted_trees(observe(masks, values))
    assert 1 - np.var(spectrum.predict(fresh) - truth) / np.var(truth) > 0.95
    # An AND of three has the coefficient -1/8 on its triple.
    assert abs(spectrum.to_dict()[1, 4, 7] + 1 / 8) < 0.03


def test_trees_repeat_bit_for_bit() -> None:
    rng = np.random.default_rng(1)
    masks = rng.random((200, 10)) < 0.5
    data = observe(masks, rng.normal(size=200))
    assert boosted_trees(data, seed=3).to_json() == boosted_trees(data, seed=3).to_json()
