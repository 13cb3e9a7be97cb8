"""The fast forward pass: Llama under many masks at once, without what an answer does not need.

The same numbers as the bridge to float rounding (a test compares them), sooner, because
- what lies below the first ablated head is computed once per question, not once per mask;
- attention is torch's fused kernel;
- the last layer and the vocabulary are computed at the answer's positions only.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from headspex.hooks.ablation import replaced


@dataclass(frozen=True, eq=False)
class Layer:
    """One block's weights, [out, in] as torch keeps them; biases may be None."""

    q: tuple[Tensor, Tensor | None]
    k: tuple[Tensor, Tensor | None]
    v: tuple[Tensor, Tensor | None]
    o: tuple[Tensor, Tensor | None]
    gate: tuple[Tensor, Tensor | None]
    up: tuple[Tensor, Tensor | None]
    down: tuple[Tensor, Tensor | None]
    attention_norm: Tensor
    mlp_norm: Tensor


@dataclass(frozen=True, eq=False)
class Llama:
    """Views of a Llama's weights; nothing is copied, so later edits of the model are seen."""

    layers: tuple[Layer, ...]
    embedding: Tensor
    final_norm: Tensor
    unembedding: Tensor
    rotary: Any  # transformers' rotary module: (x, position ids) -> cos, sin
    d_head: int
    epsilon: float


def llama_weights(model: Any, state: dict[str, Tensor]) -> Llama | None:
    """The weights of a transformers model, or None where this forward pass does not apply."""
    config = model.config
    if type(model).__name__ != "LlamaForCausalLM" or config.hidden_act != "silu":
        return None

    def linear(layer: int, name: str) -> tuple[Tensor, Tensor | None]:
        prefix = f"model.layers.{layer}.{name}"
        return state[f"{prefix}.weight"], state.get(f"{prefix}.bias")

    rotary = model.model.rotary_emb
    return Llama(
        layers=tuple(
            Layer(
                q=linear(i, "self_attn.q_proj"),
                k=linear(i, "self_attn.k_proj"),
                v=linear(i, "self_attn.v_proj"),
                o=linear(i, "self_attn.o_proj"),
                gate=linear(i, "mlp.gate_proj"),
                up=linear(i, "mlp.up_proj"),
                down=linear(i, "mlp.down_proj"),
                attention_norm=state[f"model.layers.{i}.input_layernorm.weight"],
                mlp_norm=state[f"model.layers.{i}.post_attention_layernorm.weight"],
            )
            for i in range(config.num_hidden_layers)
        ),
        embedding=state["model.embed_tokens.weight"],
        final_norm=state["model.norm.weight"],
        unembedding=state["lm_head.weight"],
        rotary=getattr(rotary, "_original_component", rotary),
        d_head=int(getattr(config, "head_dim", None)
                   or config.hidden_size // config.num_attention_heads),
        epsilon=float(config.rms_norm_eps),
    )  # fmt: skip


def logits_at(
    llama: Llama,
    tokens: Tensor,
    sequence: Tensor,
    positions: Tensor,
    keep: Tensor | None,
    fill: Tensor | None,
    rescale: bool,
) -> Tensor:
    """Logits at a few positions of many (sequence, mask) pairs.

    Args:
        llama: weights.
        tokens: int [sequences, pos], right-padded, all different.
        sequence: int [rows], which sequence each row asks.
        positions: int [rows, answers], where logits are wanted.
        keep: bool [rows, n_layers, n_heads], or None for the whole model.
        fill: float [n_layers, n_heads, d_head] for mean ablation.
        rescale: as in `ablation_hooks`.

    Returns:
        float [rows, answers, vocabulary].
    """
    x = llama.embedding[tokens]
    cos, sin = llama.rotary(x, torch.arange(tokens.shape[1], device=x.device)[None])
    whole = torch.ones(len(llama.layers), dtype=torch.bool) if keep is None else (
        keep.all(dim=2).all(dim=0).cpu()
    )  # fmt: skip
    last, shared = len(llama.layers) - 1, True
    for index, layer in enumerate(llama.layers):
        h = _norm(x, layer.attention_norm, llama.epsilon)
        k = _rotate(_heads(h, layer.k, llama.d_head), cos, sin)
        v = _heads(h, layer.v, llama.d_head)
        if index < last:
            q = _rotate(_heads(h, layer.q, llama.d_head), cos, sin)
            z = functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        if shared and (index == last or not whole[index]):
            # From here on rows that ask the same question differ in their masks.
            x, k, v = x[sequence], k[sequence], v[sequence]
            h = h[sequence] if index == last else h
            z = z[sequence] if index < last else z
            shared = False
        if index == last:
            x, h = _take(x, positions), _take(h, positions)
            z = _attend_at(h, k, v, layer, positions, cos, sin, llama.d_head)
        z = z.transpose(1, 2)
        if keep is not None and not whole[index]:
            z = replaced(z, keep[:, index], None if fill is None else fill[index], rescale)
        x = x + functional.linear(z.flatten(2), *layer.o)
        h = _norm(x, layer.mlp_norm, llama.epsilon)
        x = x + functional.linear(
            functional.silu(functional.linear(h, *layer.gate)) * functional.linear(h, *layer.up),
            *layer.down,
        )
    return functional.linear(_norm(x, llama.final_norm, llama.epsilon), llama.unembedding)


def _norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    # In float32 whatever the model's type, as transformers does.
    y = x.float()
    y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + epsilon)
    return weight * y.to(x.dtype)


def _heads(h: Tensor, weights: tuple[Tensor, Tensor | None], d_head: int) -> Tensor:
    """[batch, pos, width] -> [batch, head, pos, d_head]."""
    heads = functional.linear(h, *weights)
    return heads.view(*heads.shape[:2], -1, d_head).transpose(1, 2)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions of [batch, head, pos, d_head]; cos, sin [batch or 1, pos, d_head]."""
    left, right = x.chunk(2, dim=-1)
    return x * cos[:, None] + torch.cat((-right, left), dim=-1) * sin[:, None]


def _take(x: Tensor, positions: Tensor) -> Tensor:
    """[rows, pos, width] -> [rows, answers, width]."""
    return x.gather(1, positions[..., None].expand(-1, -1, x.shape[-1]))


def _attend_at(
    h: Tensor, k: Tensor, v: Tensor, layer: Layer, positions: Tensor, cos: Tensor, sin: Tensor,
    d_head: int,
) -> Tensor:  # fmt: skip
    """Attention of a few queries per row to all keys up to each: [rows, head, answers, d_head]."""
    q = _rotate(_heads(h, layer.q, d_head), cos[0][positions], sin[0][positions])
    visible = torch.arange(k.shape[2], device=k.device) <= positions[:, None, :, None]
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=visible, enable_gqa=True)
