"""Importances from the model: norms and losses by hand."""

from typing import Any

import numpy as np
import pytest

from headspex.comparison.orders import ORDERS, Known, leave_one_out, magnitude, shapley_values
from headspex.engine.spectrum import Spectrum
from headspex.hooks.output_weights import output_norms
from headspex.players import Players


def test_norms_are_those_of_the_columns_that_write(plain_llama: Any, llama_bridge: Any) -> None:
    found = output_norms(llama_bridge)
    block = plain_llama.model.layers[1]
    expected = block.self_attn.o_proj.weight[:, 16:24].double().norm()
    assert found[1, 2] == pytest.approx(float(expected), rel=1e-6)
    assert found[1, 4] == pytest.approx(float(block.mlp.down_proj.weight.norm()), rel=1e-6)


class FakeJudge:
    """A judge whose scores are a spectrum's."""

    def __init__(self, players: Players, spectrum: Spectrum) -> None:
        self.players, self._spectrum = players, spectrum

    def ask_all(self, masks: np.ndarray, questions: np.ndarray, **_: Any) -> dict[str, np.ndarray]:
        values = self._spectrum.predict(masks)
        return {"accuracy": np.repeat(values[:, None], len(questions), axis=1)}

    def output_norms(self) -> np.ndarray:
        return np.arange(10.0).reshape(2, 5)


def known(unit: str = "head") -> Known:
    players = Players.of_unit(unit, 2, 4, n_kv_heads=2)
    rng = np.random.default_rng(0)
    table = {(i,): float(rng.normal()) for i in range(len(players))} | {(0, 1): 2.0}
    spectrum = Spectrum.from_dict(table, n_players=len(players), keep=0.7)
    judge: Any = FakeJudge(players, spectrum)
    return Known(judge, np.arange(3), "accuracy", "logprob", spectrum)


def test_leave_one_out_is_what_the_score_loses() -> None:
    given = known()
    whole = np.ones((9, 8), dtype=bool)
    whole[np.arange(1, 9), np.arange(8)] = False
    values = given.spectrum.predict(whole)
    np.testing.assert_allclose(leave_one_out(given), values[0] - values[1:], atol=1e-12)


def test_shapley_values_add_up_to_the_whole() -> None:
    given = known()
    ends = given.spectrum.predict(np.array([[True] * 8, [False] * 8]))
    assert shapley_values(given).sum() == pytest.approx(ends[0] - ends[1])


def test_players_of_several_heads_have_the_norm_of_all_their_columns() -> None:
    np.testing.assert_allclose(magnitude(known()), [0, 1, 2, 3, 5, 6, 7, 8])
    np.testing.assert_allclose(
        magnitude(known("kv-group,mlp")), [1, 13**0.5, 4, 61**0.5, 113**0.5, 9]
    )


def test_every_order_says_what_it_costs() -> None:
    costs = {name: order.passes(48, 100) for name, order in ORDERS.items()}
    assert costs == {"shapley": 0, "gradient": 300, "leave-one-out": 4900, "magnitude": 0}
