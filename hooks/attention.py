"""Attention as transformers' modules call it, with masks and with stored keys and values.

transformers passes queries, keys and values of every decoder through one interface, and the result
goes to the output projection: here heads are ablated, whatever the family.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from headspex.hooks.stock import IMPLEMENTATION

States = Float[Tensor, "states pos width"]
Heads = Float[Tensor, "states pos head d_head"]
KeysValues = tuple[
    Float[Tensor, "states kv_head pos d_head"], Float[Tensor, "states kv_head pos d_head"]
]


@dataclass(eq=False)
class Call:
    """What one layer is asked to do.

    Attributes:
        queries: positions of the queries, int [1 or states, pos].
        past: keys and values of the tokens before, per state or one for all.
        known: keys and values of all tokens; those of the call itself are ignored.
        replaced: what replaces the heads' outputs.
        replaced_mlp: what replaces the MLP's output.
        only_keys: stop before the attention.
        found: keys and values of the call itself, as it leaves them here.
    """

    queries: Int[Tensor, "states pos"]
    past: KeysValues | None = None
    known: KeysValues | None = None
    replaced: Callable[[Heads], Heads] | None = None
    replaced_mlp: Callable[[States], States] | None = None
    only_keys: bool = False
    found: KeysValues | None = None


class KeysFoundError(Exception):
    """Ends a layer of which only keys and values are wanted."""


_call: ContextVar[Call] = ContextVar("call")


@contextmanager
def attending(call: Call) -> Iterator[Call]:
    """Layers that run inside the block do what `call` asks for."""
    token = _call.set(call)
    try:
        yield call
    finally:
        _call.reset(token)


def register() -> None:
    """Make the attention known to transformers."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    AttentionInterface.register(IMPLEMENTATION, _attention)
    AttentionMaskInterface.register(IMPLEMENTATION, _no_mask)


def _attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Any,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **others: Any,
) -> tuple[Heads, None]:
    """Heads' outputs before the output projection; arguments as transformers passes them."""
    call = _call.get()
    call.found = (key, value)
    if call.only_keys:
        raise KeysFoundError
    if call.known is not None:
        key, value = call.known
    elif call.past is not None:
        key, value = joined(call.past, call.found)
    seen = _seen(call.queries, key.shape[2], sliding_window)
    if softcap is None and s_aux is None:
        z = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=seen, is_causal=seen is None, scale=scaling,
            enable_gqa=key.shape[1] != query.shape[1],
        )  # fmt: skip
    else:
        z = _by_parts(query, key, value, seen, scaling, softcap, s_aux)
    z = z.transpose(1, 2)
    return (z if call.replaced is None else call.replaced(z)).contiguous(), None


def joined(past: KeysValues, own: KeysValues) -> KeysValues:
    """Keys and values of a prefix, per state or one for all, and of what follows it."""
    (k, v), (past_k, past_v) = own, past
    states = len(k)
    return (
        torch.cat((past_k.expand(states, -1, -1, -1), k), dim=2),
        torch.cat((past_v.expand(states, -1, -1, -1), v), dim=2),
    )


def edited_mlp(module: Any, inputs: Any, output: Any) -> Any:
    """Forward hook of an MLP: its output as the call wants it."""
    replaced = _call.get().replaced_mlp
    if replaced is None:
        return None
    if isinstance(output, tuple):
        return (replaced(output[0]), *output[1:])
    return replaced(output)


def _seen(
    queries: Int[Tensor, "states pos"], keys: int, window: int | None
) -> Bool[Tensor, "states 1 pos keys"] | None:
    """Which keys each query attends to; None if these are those up to its own, in order."""
    cut = window is not None and keys > window
    if not cut and len(queries) == 1 and queries.shape[1] == keys:
        return None
    at, queries = torch.arange(keys, device=queries.device), queries[:, None, :, None]
    seen = at <= queries
    return seen if window is None or not cut else seen & (at > queries - window)


def _by_parts(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    seen: Tensor | None,
    scaling: float | None,
    softcap: float | None,
    sinks: Tensor | None,
) -> Float[Tensor, "states head pos d_head"]:
    """Attention with a bound on its scores (Gemma 2), or sinks (GPT-OSS); torch has neither."""
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    scores = query @ key.transpose(2, 3) * (scaling or query.shape[-1] ** -0.5)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if seen is None:
        seen = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    scores = scores.masked_fill(~seen, -torch.inf)
    if sinks is None:
        return scores.float().softmax(dim=-1).to(value.dtype) @ value
    sink = sinks.reshape(1, -1, 1, 1).expand(len(scores), -1, scores.shape[2], 1)
    weights = torch.cat([scores, sink.to(scores)], dim=-1).softmax(dim=-1)[..., :-1]
    return weights.to(value.dtype) @ value


def _no_mask(*inputs: Any, **others: Any) -> None:
    return None
