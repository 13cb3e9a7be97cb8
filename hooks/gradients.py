"""Gradients of scores by the gates that switch heads and MLPs."""

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

BATCH = 8  # questions that are differentiated together, at most
TOKENS = 8_192  # of these, to begin with: all activations are kept until the way back

# From log-probabilities of the choices of some questions, and where these questions are among all,
# to the derivatives of their scores by them.
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

    A gate multiplies a head's output, and lets in as much of its fill as it keeps out of the head
    (Michel, Levy & Neubig 2019, eq. 4, without the absolute value). It stands at 1 where a mask
    keeps the head, and at 0 where not.

    Args:
        bridge: a TransformerBridge.
        encoded: questions, none of them `greedy`.
        derivatives: of scores, by the log-probabilities of choices; absent ones are -inf.
        keep_masks, keep_mlps: as in `headspex.hooks.ablation_hooks`, one for each question or all.
        fill: float [n_layers, n_heads, d_head], what takes a head's place; None: zeros.

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

    No row of a batch touches another, nor the gates of another.
    """
    inputs = [(row, one) for row, some in enumerate(asked) for one in some]
    tokens = torch.zeros(len(inputs), max(len(one.tokens) for _, one in inputs), dtype=torch.long)
    for line, (_, one) in zip(tokens, inputs, strict=True):
        line[: len(one.tokens)] = torch.tensor(one.tokens)  # no real token looks to the right
    own = gates[[row for row, _ in inputs]]
    hooks = []
    for layer in range(gates.shape[1]):
        instead = None if fill is None else fill[layer]
        hooks += [
            (hook_name(layer), _gate(own[:, layer, None, :-1, None], instead)),
            (mlp_hook_name(layer), _gate(own[:, layer, None, -1:], None)),
        ]
    with bridge.hooks(fwd_hooks=hooks):
        logits = bridge(tokens.to(bridge.original_model.device))
    # Several answers may be read off one place: each place is normalized once.
    places = sorted({(line, at) for line, (_, one) in enumerate(inputs) for _, at, _ in one.reads})
    number = {place: i for i, place in enumerate(places)}
    lines, positions = map(list, zip(*places, strict=True))
    log_probs = logits[lines, positions].float().log_softmax(dim=-1)
    reads = sorted(
        ((row, choice), number[line, at], token)
        for line, (row, one) in enumerate(inputs)
        for choice, at, token in one.reads
    )
    answers, of_place, wanted = map(list, zip(*reads, strict=True))
    lengths = Counter(answers)  # as sorted
    sums = [part.sum() for part in log_probs[of_place, wanted].split(list(lengths.values()))]
    return list(lengths), torch.stack(sums)


def _gate(gate: torch.Tensor, fill: torch.Tensor | None) -> Any:
    def apply(value: torch.Tensor, hook: Any) -> torch.Tensor:
        own = gate.to(value)
        return value * own if fill is None else value * own + fill.to(value) * (1 - own)

    return apply
