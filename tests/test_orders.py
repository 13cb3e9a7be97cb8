"""Importances from the model: gradients against finite differences, norms and losses by hand."""

import copy
from typing import Any

import numpy as np
import pytest
import torch

from headspex.comparison.orders import ORDERS, Known, leave_one_out, magnitude, shapley_values
from headspex.engine.spectrum import Spectrum
from headspex.hooks.importance import gate_gradients, output_norms
from headspex.players import Players
from headspex.tasks.prompts import EncodedQuestion

QUESTIONS = [
    EncodedQuestion((1, 5, 9, 30, 7), ((11,), (12,), (13, 14))),
    EncodedQuestion((2, 8), ((40,), (41,), (42, 3))),
    EncodedQuestion(tuple(range(3, 90)), ((50,), (51,), (52, 4))),
]
ANSWERS = [0, 2, 1]


def log_prob(model: Any, question: EncodedQuestion, answer: int) -> float:
    continuation = question.continuations[answer]
    tokens = torch.tensor([(*question.context, *continuation)])
    with torch.no_grad():
        values = model(tokens).logits.double().log_softmax(-1)[0]
    start = len(question.context) - 1
    return float(sum(values[start + i, token] for i, token in enumerate(continuation)))


def test_gate_gradients_are_finite_differences_of_the_log_probability(
    plain_llama: Any, llama_bridge: Any
) -> None:
    found = gate_gradients(llama_bridge, QUESTIONS, ANSWERS)
    assert found.shape == (3, 3, 5)
    step = 1e-3
    for layer, switch in ((0, 1), (1, 3), (2, 0), (0, 4), (2, 4)):
        for number, (question, answer) in enumerate(zip(QUESTIONS, ANSWERS, strict=True)):
            values = []
            for gate in (1 + step, 1 - step):
                model = copy.deepcopy(plain_llama).double()
                block = model.model.layers[layer]
                if switch == 4:
                    block.mlp.down_proj.weight.data *= gate
                else:
                    block.self_attn.o_proj.weight.data[:, 8 * switch : 8 * switch + 8] *= gate
                values.append(log_prob(model, question, answer))
            expected = (values[0] - values[1]) / (2 * step)
            assert found[number, layer, switch] == pytest.approx(expected, abs=2e-3, rel=1e-2)


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
    return Known(judge, np.arange(3), "accuracy", spectrum)


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
