"""Few players are enumerated, many are fitted."""

from typing import Any

import numpy as np
import pytest

from headspex.engine.effects import strongest
from headspex.engine.search import all_masks, exact_spectrum, search
from headspex.errors import UsageError
from headspex.schedules.removal_curve import mean_values, removal_curves, removal_orders


def test_exact_spectrum_gives_back_every_value() -> None:
    values = np.random.default_rng(0).normal(size=2**7)
    assert np.allclose(exact_spectrum(values).predict(all_masks(7)), values, atol=1e-12)


def test_exact_spectrum_of_an_and_gate_matches_hand_computed_coefficients() -> None:
    # m0 m1 = (1 - chi0)(1 - chi1) / 4, and the third player does nothing.
    masks = all_masks(3)
    found = exact_spectrum(masks[:, 0] & masks[:, 1]).to_dict()
    assert found == {(): 0.25, (0,): -0.25, (1,): -0.25, (0, 1): 0.25}


def test_a_budget_for_all_masks_buys_the_exact_spectrum() -> None:
    asked: list[int] = []

    def value(masks: np.ndarray) -> np.ndarray:
        asked.append(len(masks))
        return np.asarray(masks[:, 0] * 2.0 - masks[:, 1] * masks[:, 2])

    found = search(value, 5, budget=32)
    assert (found.exact, asked) == (True, [32])
    assert np.allclose(found.spectrum.predict(found.masks), found.values)
    assert not search(value, 5, budget=31).exact


def test_the_strongest_effect_of_an_and_gate_is_what_its_players_add_together() -> None:
    masks = all_masks(4)
    spectrum = exact_spectrum(3.0 * (masks[:, 1] & masks[:, 3]))
    (pair,) = strongest(spectrum, 5, least_order=2)
    assert pair.players == (1, 3)
    assert np.isclose(pair.effect, 3.0)  # f(11) - f(10) - f(01) + f(00)
    # The variance of 3 AND is 9 (1/4 - 1/16), the pair's square (3/4)^2.
    assert np.isclose(pair.share, (3 / 4) ** 2 / (9 * 3 / 16))


def test_greedy_removal_takes_backups_together_where_the_lasso_splits_them() -> None:
    def value(masks: np.ndarray) -> np.ndarray:
        backup = masks[:, 0] | masks[:, 1]
        return np.asarray(3.0 * backup + masks[:, 2:5] @ [1.2, 1.0, 0.9])

    found = search(value, 6, budget=64)
    points = removal_curves(value, removal_orders(found))
    assert mean_values(points)["proxyspex"] <= mean_values(points)["lasso"]
    assert all(p.value == value(np.ones((1, 6), bool))[0] for p in points if p.n_removed == 0)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"seed": -1}, "seed must be a whole number"),
        ({"budget": 8.0}, "budget must be a whole number"),
        ({"keep": 1.5}, "strictly between 0 and 1"),
    ],
)
def test_an_enumeration_refuses_what_a_search_refuses(wrong: Any, sentence: str) -> None:
    asked: list[np.ndarray] = []

    def value(masks: np.ndarray) -> np.ndarray:
        asked.append(masks)
        return np.asarray(masks.sum(axis=1))

    with pytest.raises(UsageError, match=sentence):
        search(value, 3, **{"budget": 8, **wrong})
    assert not asked
