"""How much heads matter by the model's weights and gradients, without ablating any."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from headspex.hooks.fingerprint import plain_state
from headspex.hooks.inputs import passes
from headspex.hooks.switches import hook_name, mlp_hook_name
from headspex.tasks.prompts import EncodedQuestion

BATCH = 8  # questions that are differentiated together


def gate_gradients(
    bridge: Any, encoded: Sequence[EncodedQuestion], answers: Sequence[int]
) -> Float[np.ndarray, "questions layers switches"]:
    """d log p(right answer) / d gate of every head and, as the last switch, of the layer's MLP.

    A gate multiplies a head's output and stands at 1 (Michel, Levy & Neubig 2019, eq. 4, where the
    importance is the mean of the absolute value).

    Args:
        bridge: a TransformerBridge.
        encoded: questions.
        answers: the right choice of each.
    """
    n_layers, n_heads = int(bridge.cfg.n_layers), int(bridge.cfg.n_heads)
    n_ctx = int(bridge.original_model.config.max_position_embeddings)
    found = []
    for start in range(0, len(encoded), BATCH):
        part = [
            _right(question, answer, n_ctx)
            for question, answer in zip(
                encoded[start : start + BATCH], answers[start : start + BATCH], strict=True
            )
        ]
        gates = torch.ones(len(part), n_layers, n_heads + 1, requires_grad=True)
        (gradient,) = torch.autograd.grad(_log_prob(bridge, part, gates), gates)
        found.append(gradient.double().numpy())
    return np.concatenate(found)


def output_norms(bridge: Any) -> Float[np.ndarray, "layers switches"]:
    """Frobenius norm of each head's columns of `o_proj` and, last, of the layer's `down_proj`."""
    n_layers, n_heads = int(bridge.cfg.n_layers), int(bridge.cfg.n_heads)
    state = plain_state(bridge.original_model)
    rows = []
    for layer in range(n_layers):
        out = state[f"model.layers.{layer}.self_attn.o_proj.weight"].double().cpu()
        down = state[f"model.layers.{layer}.mlp.down_proj.weight"].double().cpu()
        heads = out.reshape(len(out), n_heads, -1).square().sum(dim=(0, 2)).sqrt()
        rows.append(np.append(heads.numpy(), float(down.norm())))
    return np.stack(rows)


def _right(
    question: EncodedQuestion, answer: int, n_ctx: int
) -> tuple[tuple[int, ...], list[tuple[int, int]]]:
    """The input of the right answer, and (position, token) of what is read off it."""
    for one in passes(question, n_ctx):
        reads = [(position, token) for choice, position, token in one.reads if choice == answer]
        if reads:
            return one.tokens, reads
    raise AssertionError("every answer is read off some input")


def _log_prob(
    bridge: Any, part: Sequence[tuple[tuple[int, ...], list[tuple[int, int]]]], gates: torch.Tensor
) -> torch.Tensor:
    """Summed over the questions; no row of a batch touches another, nor the gates of another."""
    device = bridge.original_model.device
    tokens = torch.zeros(len(part), max(len(row) for row, _ in part), dtype=torch.long)
    for line, (row, _) in zip(tokens, part, strict=True):
        line[: len(row)] = torch.tensor(row)  # padded on the right, where no real token looks
    hooks = []
    for layer in range(gates.shape[1]):
        hooks += [
            (hook_name(layer), _gate(gates[:, layer, None, :-1, None])),
            (mlp_hook_name(layer), _gate(gates[:, layer, None, -1:])),
        ]
    with bridge.hooks(fwd_hooks=hooks):
        log_probs = bridge(tokens.to(device)).float().log_softmax(dim=-1)
    reads = [(row, at, token) for row, (_, some) in enumerate(part) for at, token in some]
    rows, positions, wanted = zip(*reads, strict=True)
    total: torch.Tensor = log_probs[list(rows), list(positions), list(wanted)].sum()
    return total


def _gate(gate: torch.Tensor) -> Any:
    def apply(value: torch.Tensor, hook: Any) -> torch.Tensor:
        return value * gate.to(value)

    return apply
