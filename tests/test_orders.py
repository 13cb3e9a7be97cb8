"""Importances from the model: norms and losses by hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from headspex.comparison.known import Known
from headspex.comparison.orders import ORDERS, leave_one_out, magnitude, shapley_values
from headspex.engine.spectrum import Spectrum
from headspex.errors import UsageError
from headspex.hooks.output_weights import output_norms
from headspex.players import Players
from headspex.scores.block import SLOPE_PASSES


def test_norms_are_those_of_the_columns_that_write(plain_llama: Any, llama_bridge: Any) -> None:
    found = output_norms(llama_bridge)
    block = plain_llama.model.layers[1]
    expected = block.self_attn.o_proj.weight[:, 16:24].double().norm()
    assert found[1, 2] == pytest.approx(float(expected), rel=1e-6)
    assert found[1, 4] == pytest.approx(float(block.mlp.down_proj.weight.norm()), rel=1e-6)


NO_STORE: Any = None


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
    return Known(
        judge, np.arange(3), "accuracy", "logprob", "logprob", 0.1, spectrum, 3_000, NO_STORE
    )


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


class SumJudge:
    """A judge whose score is a weighted sum of the gates, and a level of each question's own."""

    def __init__(self, weights: np.ndarray) -> None:
        self.weights, self.passes = weights, 0

    def ask(self, masks: np.ndarray, asked: np.ndarray, **_: Any) -> dict[str, np.ndarray]:
        self.passes += asked.size
        return {"kl": (masks @ self.weights)[:, None] + 5.0 * asked}

    def ask_all(self, masks: np.ndarray, asked: np.ndarray, **_: Any) -> dict[str, np.ndarray]:
        return self.ask(masks, np.tile(asked, (len(masks), 1)))

    def stored_gradients(
        self, levels: np.ndarray, questions: np.ndarray, *, progress: Any, **_: Any
    ) -> np.ndarray:
        self.passes += SLOPE_PASSES * len(questions)
        progress(SLOPE_PASSES * len(questions))
        return np.tile(self.weights, (len(questions), 1))

    @contextmanager
    def progress(self, total: int, what: str) -> Iterator[Any]:
        yield lambda done: None


FROM_SCORES = (
    "integrated-gradients", "gradients-at-masks", "gates", "causal-gating", "uniform-gates",
    "leave-one-out", "few-off",
)  # fmt: skip
LEARNED = ("gates", "causal-gating", "uniform-gates")


@pytest.mark.parametrize("name", FROM_SCORES)
def test_players_that_matter_more_go_later_within_the_passes_it_names(name: str) -> None:
    weights = np.random.default_rng(1).permutation(np.linspace(-1.0, 1.0, 20))
    judge: Any = SumJudge(weights)
    spectrum = Spectrum.from_dict({(0,): 1.0}, n_players=20, keep=0.7)
    inputs = Known(judge, np.arange(30), "kl", "kl", "kl", 0.1, spectrum, 6_000, NO_STORE)
    found = ORDERS[name].importance(inputs)
    assert found[weights > 0].min() > found[weights < 0].max()
    if name not in LEARNED:  # of players that all help much, it does not matter which goes first
        assert spearmanr(found, weights).statistic > 0.95
    assert judge.passes <= ORDERS[name].passes(20, 30, 6_000) + 30  # and the whole model's
    assert judge.passes <= 6_000 + 30


@pytest.mark.parametrize("name", sorted({*FROM_SCORES} - {"few-off"}))
def test_too_few_passes_are_refused(name: str) -> None:
    judge: Any = SumJudge(np.ones(20))
    spectrum = Spectrum.from_dict({(0,): 1.0}, n_players=20, keep=0.7)
    inputs = Known(judge, np.arange(30), "kl", "kl", "kl", 0.1, spectrum, 2, NO_STORE)
    with pytest.raises(UsageError, match=r"took 2$"):
        ORDERS[name].importance(inputs)


def test_every_order_says_what_it_costs() -> None:
    costs = {name: order.passes(48, 100, 4_000) for name, order in ORDERS.items()}
    assert costs == {
        "shapley": 0, "gradient": 300, "integrated-gradients": 3_000, "gradients-at-masks": 3_999,
        "gates": 3_990, "causal-gating": 3_990, "uniform-gates": 3_990, "leave-one-out": 49 * 81,
        "few-off": 4_000, "magnitude": 0,
    }  # fmt: skip
