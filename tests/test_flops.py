"""What masks and questions cost, counted by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from headspex.budget.flops import ENGINE_FLOPS, MaskCosts, mask_costs
from headspex.hooks.inputs import plan_inputs
from headspex.tasks import EncodedQuestion

CONFIG = SimpleNamespace(
    hidden_size=8, num_attention_heads=2, num_key_value_heads=1, head_dim=4,
    intermediate_size=16, num_hidden_layers=3, vocab_size=50,
)  # fmt: skip
ANSWERS = ((1,), (2,))


def _layer(tokens: int) -> int:
    # q and o: 8 x 8 each; k and v: 8 x 4 each; three matrices of 8 x 16 in the MLP.
    weights = 64 + 64 + 32 + 32 + 3 * 128
    return 2 * tokens * weights + 2 * tokens * tokens * 8  # scores and sums, half of the square


def test_questions_that_share_nothing_make_starting_free_but_for_the_engine() -> None:
    inputs = plan_inputs([EncodedQuestion((3, 4, 5), ANSWERS), EncodedQuestion((6,), ANSWERS)], 99)
    costs = mask_costs(CONFIG, inputs, first=0, n_players=6)
    expected = (3 * _layer(3) + 3 * _layer(1)) / 2 + 2 * 8 * 50
    assert costs.question == expected
    np.testing.assert_allclose(costs.of_mask(np.array([2])), 6 * ENGINE_FLOPS + 2 * expected)


def test_layers_below_the_first_ablated_one_cost_nothing() -> None:
    inputs = plan_inputs([EncodedQuestion((3, 4, 5), ANSWERS)], 99)
    costs = mask_costs(CONFIG, inputs, first=2, n_players=2)
    assert costs.question == _layer(3) + 2 * 8 * 50


def test_a_beginning_that_all_questions_share_is_paid_once_a_mask() -> None:
    shots = tuple(range(10, 40))
    several = [EncodedQuestion((*shots, number), ANSWERS) for number in (3, 4, 5)]
    costs = mask_costs(CONFIG, plan_inputs(several, 99), first=0, n_players=2)
    one, three = costs.of_mask(np.array([1, 3]))
    assert three - one == pytest.approx(2 * costs.question)
    begun = 3 * _layer(30) + 2 * 8 * 50 + 2 * ENGINE_FLOPS
    assert costs.start() == pytest.approx(begun / costs.question)


def test_of_several_beginnings_a_mask_starts_those_that_its_questions_meet() -> None:
    costs = MaskCosts(0.0, 0.0, np.array([1.0, 1.0]), np.array([2, 2]), n_questions=4)
    # Two of four questions: both from one half with probability 2 x 1/6.
    np.testing.assert_allclose(costs.of_mask(np.arange(1, 5)), [1, 10 / 6, 2, 2])
