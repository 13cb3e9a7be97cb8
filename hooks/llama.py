"""The Llama family's forward pass on plain tensors, in parts.

Equal to the bridge up to float rounding; `headspex.hooks.fast` combines the parts and skips what
answers do not need.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from headspex.hooks.fingerprint import plain_state

# Mistral without a sliding window is a Llama under another name.
FAMILY = ("LlamaForCausalLM", "MistralForCausalLM")
# The others change the rotation with the length of the longest input in the batch.
ROPES = ("default", "linear", "llama3", "yarn")
_NAMES = {
    "q": "self_attn.q_proj",
    "k": "self_attn.k_proj",
    "v": "self_attn.v_proj",
    "o": "self_attn.o_proj",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
    "attention_norm": "input_layernorm",
    "mlp_norm": "post_attention_layernorm",
}
_OUTER = ("model.embed_tokens.weight", "model.norm.weight", "lm_head.weight")

States = Float[Tensor, "states pos width"]
Heads = Float[Tensor, "states pos head d_head"]
KeysValues = tuple[
    Float[Tensor, "states kv_head pos d_head"], Float[Tensor, "states kv_head pos d_head"]
]


@dataclass(frozen=True, eq=False)
class Layer:
    """One block's weights, [out, in] as torch keeps them."""

    q: Tensor
    k: Tensor
    v: Tensor
    o: Tensor
    gate: Tensor
    up: Tensor
    down: Tensor
    attention_norm: Tensor
    mlp_norm: Tensor

    @property
    def device(self) -> torch.device:
        """Where this block is computed."""
        return self.q.device


@dataclass(frozen=True, eq=False)
class Rope:
    """Rotary embedding: cos and sin [pos, d_head], or [states, pos, d_head] if states differ.

    The first half of `sin` is negated, for `turned`.
    """

    cos: Tensor
    sin: Tensor

    def at(self, positions: Tensor | slice) -> "Rope":
        """The rows of these positions; a tensor [states, pos] gives each state its own."""
        return Rope(self.cos[positions], self.sin[positions])

    def turned(self, x: Heads) -> Heads:
        """The heads rotated by their positions."""
        left, right = x.chunk(2, dim=-1)
        swapped = torch.cat((right, left), dim=-1)
        return (x * self.cos[..., None, :]).addcmul_(swapped, self.sin[..., None, :])


@dataclass(frozen=True, eq=False)
class Llama:
    """A Llama's weights by reference, so in-place edits of the model take effect."""

    layers: tuple[Layer, ...]
    embedding: Tensor
    final_norm: Tensor
    unembedding: Tensor
    ropes: dict[torch.device, Rope]  # one for each device that holds a layer
    d_head: int
    epsilon: float

    @property
    def last(self) -> int:
        """The last layer."""
        return len(self.layers) - 1


def refusal(model: Any) -> str | None:
    """Why this forward pass does not apply to a transformers model; None if it does."""
    config, name = model.config, type(model).__name__
    if name not in FAMILY:
        return f"{name} is not of the Llama family"
    if getattr(config, "quantization_config", None) is not None:
        return "its weights are quantised"
    if getattr(config, "sliding_window", None) is not None:
        return "it attends to a sliding window"
    if config.hidden_act != "silu":
        return f"its activation is {config.hidden_act}"
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    if rope not in ROPES:
        return f"its positions are of the type {rope}"
    state = plain_state(model)
    known = {*_OUTER} | {
        f"model.layers.{layer}.{name}.weight"
        for layer in range(config.num_hidden_layers)
        for name in _NAMES.values()
    }
    if differing := sorted(state.keys() ^ known):
        return f"it is not the plain architecture: {differing[0]}"
    if any(w.is_meta or not w.is_floating_point() for w in state.values()):
        return "its weights are quantised or not in memory"
    return None


def llama_weights(model: Any, length: int) -> Llama:
    """The weights of a transformers model that `refusal` accepts.

    Args:
        model: stays on its device, or on its devices where a device_map spread it.
        length: tokens of the longest input.
    """
    config, state = model.config, plain_state(model)
    embedding, final_norm, unembedding = (state[name] for name in _OUTER)
    layers = tuple(
        Layer(
            **{
                field: state[f"model.layers.{layer}.{name}.weight"]
                for field, name in _NAMES.items()
            }
        )
        for layer in range(config.num_hidden_layers)
    )
    rotary = getattr(model.model.rotary_emb, "_original_component", model.model.rotary_emb)
    home = rotary.inv_freq.device
    cos, sin = rotary(final_norm.to(home), torch.arange(length, device=home)[None])
    sin[..., : sin.shape[-1] // 2] *= -1
    return Llama(
        layers=layers,
        embedding=embedding,
        final_norm=final_norm,
        unembedding=unembedding,
        ropes={
            device: Rope(cos[0].to(device), sin[0].to(device))
            for device in {layer.device for layer in layers}
        },
        d_head=layers[0].q.shape[0] // int(config.num_attention_heads),
        epsilon=float(config.rms_norm_eps),
    )


def embedded(tokens: Int[Tensor, "states pos"], llama: Llama) -> States:
    """The residual stream before the first layer."""
    return functional.embedding(tokens.to(llama.embedding.device), llama.embedding)


def attend(
    x: States,
    llama: Llama,
    index: int,
    past: KeysValues | None = None,
    at: Int[Tensor, "states answers"] | None = None,
) -> tuple[States, Heads, KeysValues]:
    """Attention of one layer, up to the heads' outputs before W_O.

    Args:
        x: the residual stream before the layer.
        llama: weights.
        index: the layer.
        past: keys and values of the tokens before `x`, per state or one for all.
        at: positions in `x` to compute queries for; None: all.

    Returns:
        The residual stream and the heads' outputs at the queries, and the keys and values of `x`.
    """
    layer = llama.layers[index]
    x = x.to(layer.device)
    h = norm(x, layer.attention_norm, llama.epsilon)
    start = 0 if past is None else past[0].shape[2]
    turn, end = llama.ropes[layer.device], start + x.shape[1]
    own = _keys_values(h, layer, llama.d_head, turn.at(slice(start, end)))
    kv = own if past is None else _joined(past, own)
    seen = None
    if at is not None:
        at = at.to(layer.device)
        x, h, queries = _take(x, at), _take(h, at), at + start
        seen = torch.arange(end, device=x.device) <= queries[:, None, :, None]
        turn = turn.at(queries)
    else:
        turn = turn.at(slice(start, end))
        if past is not None:
            rows = torch.arange(start, end, device=x.device)
            seen = torch.arange(end, device=x.device) <= rows[:, None]
    q = turn.turned(_heads(functional.linear(h, layer.q), llama.d_head)).transpose(1, 2)
    z = functional.scaled_dot_product_attention(
        q, *kv, attn_mask=seen, is_causal=seen is None, enable_gqa=True
    )
    return x, z.transpose(1, 2), own


def keys_values(x: States, llama: Llama, index: int) -> KeysValues:
    """Keys and values of one layer, for `x` that begins at position 0."""
    layer = llama.layers[index]
    h = norm(x.to(layer.device), layer.attention_norm, llama.epsilon)
    turn = llama.ropes[layer.device].at(slice(0, x.shape[1]))
    return _keys_values(h, layer, llama.d_head, turn)


def rest_of_layer(
    x: States,
    z: Heads,
    llama: Llama,
    index: int,
    with_mlp: Bool[Tensor, " states"] | None = None,
) -> States:
    """The residual stream after a layer, from the one before it and the heads' outputs.

    `with_mlp` marks the states that go through the MLP; None: all.
    """
    layer = llama.layers[index]
    x = x + functional.linear(z.flatten(2), layer.o)
    if with_mlp is None:
        return x.add_(_mlp(x, layer, llama.epsilon))
    on = with_mlp.nonzero().flatten().to(x.device)
    return x.index_add_(0, on, _mlp(x[on], layer, llama.epsilon))


def log_probs(x: States, llama: Llama) -> Float[Tensor, "states pos vocabulary"]:
    """Log-probabilities of the whole vocabulary, in the model's own dtype."""
    x = norm(x.to(llama.final_norm.device), llama.final_norm, llama.epsilon)
    logits = functional.linear(x.to(llama.unembedding.device), llama.unembedding)
    return torch.log_softmax(logits, dim=-1)


def norm(x: States, weight: Tensor, epsilon: float) -> States:
    """RMSNorm, in float32 whatever the model's dtype, as in transformers."""
    y = x.float()
    y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + epsilon)
    return weight * y.to(x.dtype)


def _mlp(x: States, layer: Layer, epsilon: float) -> States:
    h = norm(x, layer.mlp_norm, epsilon)
    gate = functional.silu(functional.linear(h, layer.gate), inplace=True)
    return functional.linear(gate.mul_(functional.linear(h, layer.up)), layer.down)


def _heads(x: States, d_head: int) -> Heads:
    return x.view(*x.shape[:2], -1, d_head)


def _keys_values(h: States, layer: Layer, d_head: int, turn: Rope) -> KeysValues:
    k = turn.turned(_heads(functional.linear(h, layer.k), d_head))
    v = _heads(functional.linear(h, layer.v), d_head)
    return k.transpose(1, 2), v.transpose(1, 2)


def _joined(past: KeysValues, own: KeysValues) -> KeysValues:
    (k, v), (past_k, past_v) = own, past
    states = len(k)
    return (
        torch.cat((past_k.expand(states, -1, -1, -1), k), dim=2),
        torch.cat((past_v.expand(states, -1, -1, -1), v), dim=2),
    )


def _take(x: States, at: Int[Tensor, "states answers"]) -> States:
    return x.gather(1, at[..., None].expand(-1, -1, x.shape[-1]))
