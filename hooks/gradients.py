"""Gradients of scores with respect to gates on heads and MLPs."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from headspex.errors import RoomError, argument
from headspex.hooks.inputs import Pass, passes
from headspex.hooks.switches import as_tensor, check_switches, hook_name, mlp_hook_name
from headspex.hooks.token_budget import out_of_memory
from headspex.tasks.prompts import EncodedQuestion

BATCH = 8  # questions per backward pass, at most
TOKENS = 8_192  # per backward pass, to begin with: it needs all activations

# (log-probabilities of some questions' choices, slice of these questions among all) -> derivatives
# of their scores with respect to the log-probabilities.
Derivatives = Callable[
    [Float[np.ndarray, "questions choices"], slice], Float[np.ndarray, "questions choices"]
]


def gate_gradients(
    bridge: Any,
    encoded: Sequence[EncodedQuestion],
    derivatives: Derivatives,
    *,
    keep_masks: Any = None,
    keep_mlps: Any = None,
    fill: Any = None,
) -> Float[np.ndarray, "questions layers switches"]:
    """d score / d gate of every head and, as the last switch, of the layer's MLP.

    With gate g the head's output becomes g * output + (1 - g) * fill (Michel, Levy & Neubig 2019,
    eq. 4, without the absolute value). g is 1 where a mask keeps the head, else 0.

    Args:
        bridge: a TransformerBridge.
        encoded: questions, none of them `greedy`.
        derivatives: of scores with respect to log-probabilities of choices; absent ones are -inf.
        keep_masks, keep_mlps: as in `headspex.hooks.ablation_hooks`, one for each question or all.
        fill: float [n_layers, n_heads, d_head], replaces the head's output; None: zeros.

    Raises:
        RoomError: a single question does not fit into memory.
    """
    n_ctx = int(bridge.original_model.config.max_position_embeddings)
    masks = check_switches(bridge, keep_masks, keep_mlps).float().expand(len(encoded), -1, -1)
    asked = [passes(one, n_ctx) for one in encoded]
    longest = max((len(one.tokens) for some in asked for one in some), default=1)
    batch = max(1, min(BATCH, TOKENS // longest))
    found, done = [np.zeros((0, *masks.shape[1:]))], 0
    while done < len(asked):
        part = slice(done, done + batch)
        gates = masks[part].clone().requires_grad_()
        try:
            answers, log_probs = _log_probs(bridge, asked[part], gates, as_tensor(fill))
            rows, choices = map(list, zip(*answers, strict=True))
            values = np.full((len(gates), max(choices) + 1), -np.inf)
            values[rows, choices] = log_probs.detach().double().cpu().numpy()
            weights = torch.from_numpy(derivatives(values, part)[rows, choices]).to(log_probs)
            (gradient,) = torch.autograd.grad(log_probs @ weights, gates)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            if batch == 1:
                raise RoomError(
                    "the gradient of a single prompt does not fit into memory beside the model; "
                    f"take a smaller dtype ({argument('dtype')} bfloat16), another device, or "
                    "shorter prompts"
                ) from error
            batch //= 2
        else:
            found.append(gradient.double().cpu().numpy())
            done += batch
    return np.concatenate(found)


def _log_probs(
    bridge: Any,
    asked: Sequence[Sequence[Pass]],
    gates: Float[torch.Tensor, "questions layers switches"],
    fill: torch.Tensor | None,
) -> tuple[list[tuple[int, int]], Float[torch.Tensor, " answers"]]:
    """(question, choice) of every answer, and its log-probability.

    Rows of a batch are independent, and so are their gates.
    """
    inputs = [(row, one) for row, some in enumerate(asked) for one in some]
    tokens = torch.zeros(len(inputs), max(len(one.tokens) for _, one in inputs), dtype=torch.long)
    for line, (_, one) in zip(tokens, inputs, strict=True):
        line[: len(one.tokens)] = torch.tensor(one.tokens)  # attention is causal: no mask needed
    own = gates[[row for row, _ in inputs]]
    hooks = []
    for layer in range(gates.shape[1]):
        layer_fill = None if fill is None else fill[layer]
        hooks += [
            (hook_name(layer), _gate(own[:, layer, None, :-1, None], layer_fill)),
            (mlp_hook_name(layer), _gate(own[:, layer, None, -1:], None)),
        ]
    with bridge.hooks(fwd_hooks=hooks):
        logits = bridge(tokens.to(bridge.original_model.device))
    # Several answers may be read at one position: normalize each position once.
    places = sorted({(line, at) for line, (_, one) in enumerate(inputs) for _, at, _ in one.reads})
    number = {place: i for i, place in enumerate(places)}
    lines, positions = map(list, zip(*places, strict=True))
    log_probs = logits[lines, positions].float().log_softmax(dim=-1)
    reads = sorted(
        ((row, choice), number[line, at], token)
        for line, (row, one) in enumerate(inputs)
        for choice, at, token in one.reads
    )
    answers, of_place, targets = map(list, zip(*reads, strict=True))
    lengths = Counter(answers)  # in sorted order
    sums = [part.sum() for part in log_probs[of_place, targets].split(list(lengths.values()))]
    return list(lengths), torch.stack(sums)


def _gate(gate: torch.Tensor, fill: torch.Tensor | None) -> Any:
    def apply(value: torch.Tensor, hook: Any) -> torch.Tensor:
        own = gate.to(value)
        return value * own if fill is None else value * own + fill.to(value) * (1 - own)

    return apply
