"""Importances from the model: norms and losses by hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from headspex.comparison.activation_orders import (
    activation_norm,
    flap_scores,
    magnitude,
    places_within,
    wanda,
)
from headspex.comparison.attribution_orders import attribution, gradient_importance
from headspex.comparison.known import Known
from headspex.comparison.orders import ORDERS, greedy, leave_one_out, shapley_values
from headspex.engine.spectrum import Spectrum
from headspex.errors import UsageError
from headspex.hooks.activations import HeadStatistics
from headspex.hooks.output_weights import column_norms, output_norms
from headspex.players import Players
from headspex.scores.block import SLOPE_PASSES


def test_norms_are_those_of_the_columns_that_write(plain_llama: Any, llama_bridge: Any) -> None:
    found = output_norms(llama_bridge)
    block = plain_llama.model.layers[1]
    expected = block.self_attn.o_proj.weight[:, 16:24].double().norm()
    assert found[1, 2] == pytest.approx(float(expected), rel=1e-6)
    assert found[1, 4] == pytest.approx(float(block.mlp.down_proj.weight.norm()), rel=1e-6)


def test_columns_have_their_own_norms(plain_llama: Any, llama_bridge: Any) -> None:
    weight = plain_llama.model.layers[1].self_attn.o_proj.weight[:, 16 + 5].double()
    assert column_norms(llama_bridge, 2)[1, 2, 5] == pytest.approx(float(weight.norm()))
    assert column_norms(llama_bridge, 1)[1, 2, 5] == pytest.approx(float(weight.abs().sum()))


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

    def head_statistics(self, questions: np.ndarray) -> HeadStatistics:
        assert questions.tolist() == [0, 1, 2]
        square = np.arange(1.0, 17.0).reshape(2, 4, 2) ** 2
        return HeadStatistics(square, square, np.arange(8.0).reshape(2, 4))

    def column_norms(self, order: float) -> np.ndarray:
        return np.where(np.arange(4)[None, :, None] == 1, 100.0, 1.0) * np.ones((2, 4, 2))

    @contextmanager
    def progress(self, total: int, what: str) -> Iterator[Any]:
        yield lambda done: None

    def gate_gradients(self, gates: np.ndarray, questions: np.ndarray, **_: Any) -> np.ndarray:
        np.testing.assert_array_equal(gates, 1)
        return np.where(questions[:, None] == 0, -4.0, 1.0) * np.arange(gates.shape[1])


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


def test_greedy_removal_takes_the_best_set_of_one_player_fewer_at_every_step() -> None:
    given = known()
    order, left = np.argsort(greedy(given)), set(range(8))
    for gone in order[:-1]:
        scores = {}
        for one in left:
            mask = np.isin(np.arange(8), list(left - {one}))
            scores[one] = given.spectrum.predict(mask[None])[0]
        assert gone == max(scores, key=lambda one: scores[one])
        left.remove(gone)


def test_shapley_values_add_up_to_the_whole() -> None:
    given = known()
    ends = given.spectrum.predict(np.array([[True] * 8, [False] * 8]))
    assert shapley_values(given).sum() == pytest.approx(ends[0] - ends[1])


def test_players_of_several_heads_have_the_norm_of_all_their_columns() -> None:
    np.testing.assert_allclose(magnitude(known()), [0, 1, 2, 3, 5, 6, 7, 8])
    np.testing.assert_allclose(
        magnitude(known("kv-group,mlp")), [1, 13**0.5, 4, 61**0.5, 113**0.5, 9]
    )


def test_attribution_is_the_mean_gradient_and_gradient_importance_that_of_its_size() -> None:
    np.testing.assert_allclose(attribution(known()), -2 / 3 * np.arange(8))
    np.testing.assert_allclose(gradient_importance(known()), 2 * np.arange(8))


def test_players_of_several_heads_have_the_norms_of_their_outputs_added_up() -> None:
    np.testing.assert_allclose(activation_norm(known()), np.arange(8))
    np.testing.assert_allclose(activation_norm(known("kv-group")), [1, 5, 9, 13])


@pytest.mark.parametrize("name", ["flap", "wanda", "activation-norm"])
def test_what_ranks_heads_is_not_asked_of_mlps(name: str) -> None:
    with pytest.raises(UsageError, match="this run removes MLPs too"):
        ORDERS[name].importance(known("head,mlp"))


def test_wanda_takes_as_many_heads_from_every_layer() -> None:
    order = np.argsort(wanda(known()))
    # Sizes rise with the head, but the weights of head 1 are a hundred times as large.
    assert order.tolist() == [0, 4, 2, 6, 3, 7, 1, 5]


def test_places_within_a_layer_are_shared_by_layers_of_any_score() -> None:
    found = places_within(np.array([3.0, 1.0, 30.0, 40.0, 20.0]), np.array([0, 0, 1, 1, 1]))
    assert np.floor(found).tolist() == [1, 0, 1, 2, 0]
    assert np.argsort(found).tolist() == [1, 4, 0, 2, 3]


def test_flap_standardises_fluctuations_within_a_layer() -> None:
    rng = np.random.default_rng(4)
    variance, norms = rng.random((2, 3, 4)), rng.random((2, 3, 4))
    found = flap_scores(HeadStatistics(variance, variance, variance[..., 0]), norms)
    for layer in range(2):
        raw = [(variance[layer].ravel()[j] * norms[layer].ravel()[j] ** 2) ** 2 for j in range(12)]
        standard = (np.array(raw) - np.mean(raw)) / np.std(raw, ddof=1)
        np.testing.assert_allclose(found[layer], standard.reshape(3, 4).mean(axis=1))


class SumJudge:
    """A judge whose score is a weighted sum of the gates, and a level of each question's own."""

    def __init__(self, weights: np.ndarray) -> None:
        self.weights, self.passes = weights, 0

    def ask(self, masks: np.ndarray, asked: np.ndarray, **_: Any) -> dict[str, np.ndarray]:
        self.passes += asked.size
        return {"own": (masks @ self.weights)[:, None] + 5.0 * asked}

    def ask_all(self, masks: np.ndarray, asked: np.ndarray, **_: Any) -> dict[str, np.ndarray]:
        return self.ask(masks, np.tile(asked, (len(masks), 1)))

    def gate_gradients(self, gates: np.ndarray, questions: np.ndarray, **_: Any) -> np.ndarray:
        self.passes += SLOPE_PASSES * len(questions)
        return np.tile(self.weights, (len(questions), 1))

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
    "leave-one-out", "few-off", "greedy",
)  # fmt: skip
LEARNED = ("gates", "causal-gating", "uniform-gates")


@pytest.mark.parametrize("name", FROM_SCORES)
def test_players_that_matter_more_go_later_within_the_passes_it_names(name: str) -> None:
    weights = np.random.default_rng(1).permutation(np.linspace(-1.0, 1.0, 20))
    judge: Any = SumJudge(weights)
    spectrum = Spectrum.from_dict({(0,): 1.0}, n_players=20, keep=0.7)
    inputs = Known(judge, np.arange(30), "own", "own", "own", 0.1, spectrum, 6_000, NO_STORE)
    found = ORDERS[name].importance(inputs)
    assert found[weights > 0].min() > found[weights < 0].max()
    if name not in LEARNED:  # of players that all help much, it does not matter which goes first
        assert spearmanr(found, weights).statistic > 0.95
    assert judge.passes <= ORDERS[name].passes(20, 30, 6_000) + 30  # and the whole model's
    assert judge.passes <= 6_000 + 30


def test_effects_of_either_sign_count_where_the_model_is_matched() -> None:
    given = replace(known(), metric="kl")
    np.testing.assert_allclose(attribution(given), 2 / 3 * np.arange(8))


@pytest.mark.parametrize("name", sorted({*FROM_SCORES} - {"few-off"}))
def test_too_few_passes_are_refused(name: str) -> None:
    judge: Any = SumJudge(np.ones(20))
    spectrum = Spectrum.from_dict({(0,): 1.0}, n_players=20, keep=0.7)
    inputs = Known(judge, np.arange(30), "kl", "kl", "kl", 0.1, spectrum, 2, NO_STORE)
    with pytest.raises(UsageError, match=r"but may take 2; give more by order_budget"):
        ORDERS[name].importance(inputs)


def test_every_order_says_what_it_costs() -> None:
    costs = {name: order.passes(48, 100, 4_000) for name, order in ORDERS.items()}
    assert costs == {
        "shapley": 0, "gradient": 300, "attribution": 300, "gim": 300,
        "eap-ig": 2_500, "flap": 100, "wanda": 100,
        "activation-norm": 100, "integrated-gradients": 3_000, "gradients-at-masks": 3_999,
        "gates": 3_990, "causal-gating": 3_990, "uniform-gates": 3_990, "leave-one-out": 49 * 81,
        "greedy": 1_175 * 3,
        "lasso-refined": 4_000, "refined-alone": 4_000, "few-off": 4_000, "magnitude": 0,
    }  # fmt: skip
