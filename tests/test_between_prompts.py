"""EAP-IG's node scores: against gradients by outputs in transformers' own model."""

from typing import Any

import numpy as np
import pytest
import torch
from made_questions import LETTERS
from torch import Tensor

from headspex.errors import UsageError
from headspex.hooks.between_prompts import BetweenPrompts
from headspex.hooks.gated import GatedModel
from headspex.hooks.gradients import GateGradients, Gradients
from headspex.tasks import EncodedQuestion

_RNG = np.random.default_rng(5)
ROWS = [tuple(_RNG.integers(3, 300, length).tolist()) for length in (14, 14, 9, 9)]
QUESTIONS = [
    EncodedQuestion(ROWS[0], LETTERS, corrupted=ROWS[1]),
    EncodedQuestion(ROWS[2], LETTERS, corrupted=ROWS[3]),
]
LAYERS, SWITCHES = 3, 5


def scored(model: Any, questions: list[EncodedQuestion] = QUESTIONS) -> Gradients:
    """Of the first letter's log-probability, at gates of 1."""
    first = np.tile(np.eye(len(LETTERS))[0], (len(questions), 1))
    gates = np.ones((len(questions), LAYERS, SWITCHES))
    return GateGradients(model).of(questions, gates, lambda values, rows: first[rows])


def outputs(model: Any, embedded: Tensor) -> tuple[list[Tensor], Tensor]:
    """Inputs of the output projections, then outputs of the MLPs, and the log-probability."""
    found: list[Tensor] = []

    def before(_: Any, args: Any) -> None:
        found.append(args[0])

    def after(_: Any, args: Any, output: Any) -> None:
        found.append(output)

    hooks = [b.self_attn.o_proj.register_forward_pre_hook(before) for b in model.model.layers]
    hooks += [b.mlp.register_forward_hook(after) for b in model.model.layers]
    logits = model(inputs_embeds=embedded).logits[0, -1]
    for hook in hooks:
        hook.remove()
    return found[::2] + found[1::2], logits.log_softmax(-1)[LETTERS[0][0]]


@pytest.mark.parametrize("share", [0.2, 0.7])
def test_a_gate_s_derivative_is_the_difference_of_outputs_times_the_gradient_between(
    share: float, plain_llama: Any, llama_bridge: Any
) -> None:
    found = scored(BetweenPrompts(llama_bridge, share)).by_gate
    for question, row in zip(QUESTIONS, found, strict=True):
        both = (question.context, question.corrupted)
        clean, corrupted = (plain_llama.get_input_embeddings()(torch.tensor([one])) for one in both)
        apart = [
            a - b
            for a, b in zip(
                outputs(plain_llama, clean)[0], outputs(plain_llama, corrupted)[0], strict=True
            )
        ]
        between = (corrupted + share * (clean - corrupted)).requires_grad_()
        parts, score = outputs(plain_llama, between)
        slopes = torch.autograd.grad(score, parts)
        worth = [slope * one for slope, one in zip(slopes, apart, strict=True)]
        heads = [one.reshape(*one.shape[:2], 4, -1).sum((0, 1, 3)) for one in worth[:LAYERS]]
        expected = torch.cat(
            [torch.stack(heads), torch.stack([one.sum() for one in worth[LAYERS:]])[:, None]], dim=1
        ).numpy()
        np.testing.assert_allclose(row, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_ends_of_the_way_are_the_two_prompts(share: float, llama_bridge: Any) -> None:
    ends = [one.context if share else one.corrupted or () for one in QUESTIONS]
    alone = [EncodedQuestion(end, LETTERS) for end in ends]
    expected = scored(GatedModel(llama_bridge, None), alone).values
    found = scored(BetweenPrompts(llama_bridge, share)).values
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_prompt_without_a_corrupted_one_is_refused(llama_bridge: Any) -> None:
    alone = [EncodedQuestion(ROWS[0], LETTERS)]
    with pytest.raises(UsageError, match="needs a corrupted prompt for each prompt"):
        scored(BetweenPrompts(llama_bridge, 0.5), alone)
