"""A checkpoint as a configuration and named weights, and two ways to remove heads from it.

Both ways leave their input alone, and return another checkpoint of a stock architecture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from headspex.errors import UsageError, argument
from headspex.export.shapes import Shape, kept_heads, shapes_within
from headspex.hooks.output_weights import output_weights

LLAMA, MISTRAL = "LlamaForCausalLM", "MistralForCausalLM"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A model as configuration and weights.

    Attributes:
        config: of transformers.
        architecture: the class, such as "LlamaForCausalLM".
        state: name -> weights, without a tied unembedding.
    """

    config: Any
    architecture: str
    state: Mapping[str, Tensor]

    @property
    def shape(self) -> Shape:
        """Its KV groups, and the query heads per group."""
        heads = int(self.config.num_attention_heads)
        groups = int(getattr(self.config, "num_key_value_heads", None) or heads)
        return Shape(groups, heads // groups)

    @property
    def d_head(self) -> int:
        """Width of a head."""
        size = getattr(self.config, "head_dim", None)
        return int(size or self.config.hidden_size // self.config.num_attention_heads)


@dataclass(frozen=True, eq=False)
class Removal:
    """What is removed, and how; as in `headspex.hooks.ablation_hooks`.

    Attributes:
        heads: True = the head stays.
        mlps: True = the layer's MLP stays.
        fill: the mean output of each head, for mean ablation.
        rescale: whether a layer's remaining heads are multiplied by H / kept.
    """

    heads: Bool[np.ndarray, "layers heads"]
    mlps: Bool[np.ndarray, " layers"]
    fill: Float[np.ndarray, "layers heads d_head"] | None = None
    rescale: bool = False


def zeroed(checkpoint: Checkpoint, removal: Removal) -> Checkpoint:
    """The same shapes, with zeros where heads and MLPs were.

    Columns of the projections from heads become zero. The constant of mean ablation goes into
    their biases. Rescaling is folded into the remaining columns.

    Raises:
        UsageError: rescale with a layer that keeps no head, means for an architecture without
            such a bias, or an architecture whose output weights have names of their own.
    """
    if removal.rescale and not removal.heads.any(axis=1).all():
        layer = int(np.flatnonzero(~removal.heads.any(axis=1))[0])
        raise UsageError(
            "rescale multiplies a layer's remaining heads by H / kept, but layer "
            f"{layer} of the mask keeps none; take a smaller sparsity"
        )
    if removal.fill is not None:
        checkpoint = with_attention_bias(checkpoint)
    state = dict(checkpoint.state)
    width = checkpoint.d_head
    names = output_weights(state, checkpoint.architecture, len(removal.heads))
    for layer in np.flatnonzero(~removal.heads.all(axis=1)).tolist():
        own, mask = names[layer], removal.heads[layer]
        weight = own.columns(state[own.heads])
        if removal.fill is not None:
            means = np.where(mask[:, None], 0.0, removal.fill[layer]).reshape(-1)
            added = weight.double() @ torch.from_numpy(means).double()
            bias = state[own.bias]
            state[own.bias] = (bias.double() + added).to(bias.dtype)
        scale = mask * (len(mask) / mask.sum() if removal.rescale else 1.0)
        columns = torch.from_numpy(np.repeat(scale, width)).double()
        scaled = (weight.double() * columns).to(weight.dtype)
        state[own.heads] = own.columns(scaled).contiguous()
    for layer in np.flatnonzero(~removal.mlps).tolist():
        for name in names[layer].mlp:
            state[name] = torch.zeros_like(state[name])
    return replace(checkpoint, state=state)


def shrunk(checkpoint: Checkpoint, removal: Removal) -> Checkpoint:
    """Heads cut out of the weights; layers that lost all of them are kept as zeros.

    Raises:
        UsageError: as `zeroed`; or layers would differ in shape, or no stock architecture has this
            number of heads (the nearest possible shape is named).
    """
    if not any(name.endswith("self_attn.q_proj.weight") for name in checkpoint.state):
        raise UsageError(
            f"fewer heads are cut from separate weights of queries, keys and values, which "
            f"{checkpoint.architecture} does not have; use --format zeroed"
        )
    kept = kept_heads(removal.heads, checkpoint.shape.groups)
    checkpoint = zeroed(checkpoint, removal)
    whole, width = checkpoint.shape, checkpoint.d_head
    groups = kept // whole.heads
    n_groups = len(set(groups[0].tolist()))
    config, architecture = _smaller(checkpoint, Shape(n_groups, kept.shape[1] // n_groups))
    state = dict(checkpoint.state)
    for layer, (heads, of_head) in enumerate(zip(kept, groups, strict=True)):
        empty = not removal.heads[layer].any()
        query, pair = _rows(heads, width), _rows(np.unique(of_head), width)
        for part, rows, axis in (
            ("q_proj.weight", query, 0), ("q_proj.bias", query, 0),
            ("k_proj.weight", pair, 0), ("k_proj.bias", pair, 0),
            ("v_proj.weight", pair, 0), ("v_proj.bias", pair, 0),
            ("o_proj.weight", query, 1),
        ):  # fmt: skip
            name = f"model.layers.{layer}.self_attn.{part}"
            if name in state:
                cut = state[name].index_select(axis, rows)
                state[name] = torch.zeros_like(cut) if empty else cut
    return Checkpoint(config, architecture, state)


def with_attention_bias(checkpoint: Checkpoint) -> Checkpoint:
    """The same function with biases in attention; new ones are zero.

    Raises:
        UsageError: no stock architecture of these weights has a bias in `o_proj`.
    """
    names = output_weights(
        checkpoint.state, checkpoint.architecture, int(checkpoint.config.num_hidden_layers)
    )
    if all(own.bias in checkpoint.state for own in names):
        return checkpoint
    config, architecture = checkpoint.config, checkpoint.architecture
    if architecture == MISTRAL:
        config, architecture = as_llama(config), LLAMA
    if not hasattr(config, "attention_bias"):
        raise UsageError(
            "mean ablation leaves a constant, which needs a bias in o_proj, but "
            f"{architecture} has none; use {argument('ablation')} zero, or --format mask"
        )
    state = dict(checkpoint.state)
    for layer in range(int(config.num_hidden_layers)):
        for part in ("q_proj", "k_proj", "v_proj", "o_proj"):
            name = f"model.layers.{layer}.self_attn.{part}"
            weight = state[f"{name}.weight"]
            state.setdefault(f"{name}.bias", weight.new_zeros(len(weight)))
    return Checkpoint(_changed(config, attention_bias=True), architecture, state)


def as_llama(config: Any) -> Any:
    """The configuration of a Llama that computes the same as this Mistral.

    Raises:
        UsageError: no Llama does.
    """
    from transformers import LlamaConfig

    if config.sliding_window is not None or config.hidden_size % config.num_attention_heads:
        raise UsageError(
            "mean ablation leaves a constant, which needs a bias in o_proj, but Mistral has none "
            "and no Llama has this sliding window or number of heads; use --format mask"
        )
    content = _content(config)
    del content["sliding_window"]
    return LlamaConfig(**content)


def _smaller(checkpoint: Checkpoint, shape: Shape) -> tuple[Any, str]:
    """Configuration and architecture of the same model with fewer heads."""
    from transformers import MistralConfig

    config, architecture = checkpoint.config, checkpoint.architecture
    heads = {
        "num_attention_heads": shape.per_layer,
        "num_key_value_heads": shape.groups,
        "head_dim": checkpoint.d_head,
    }
    if not hasattr(config, "head_dim"):
        raise UsageError(
            "fewer heads of the same width need the field head_dim, but the configuration of "
            f"{architecture} has none; use --format zeroed"
        )
    # In Llama and Gemma 2 the number of heads must divide the width; in the others it need not.
    if architecture in (MISTRAL, "Qwen3ForCausalLM") or not config.hidden_size % shape.per_layer:
        return _changed(config, **heads), architecture
    biased = any(name.endswith(".bias") for name in checkpoint.state)
    if architecture == LLAMA and not biased:
        # Mistral without its window computes the same, and allows any number of heads.
        content = _content(config)
        for absent in ("attention_bias", "mlp_bias", "pretraining_tp"):
            content.pop(absent, None)
        return MistralConfig(**{**content, **heads, "sliding_window": None}), MISTRAL
    possible = [s for s in shapes_within(checkpoint.shape) if not config.hidden_size % s.per_layer]
    near = min(possible, key=lambda s: (abs(s.per_layer - shape.per_layer), s))
    reason = (
        "mean ablation needs a bias in o_proj, which only Llama has, and Llama"
        if architecture == LLAMA
        else architecture
    )
    raise UsageError(
        f"{reason} needs a number of heads that divides its width {config.hidden_size}, but "
        f"{shape} has {shape.per_layer} heads; the nearest possible shape is {near}: use "
        f"--shape {near}, or --format zeroed"
    )


def _changed(config: Any, **fields: Any) -> Any:
    return type(config)(**{**_content(config), **fields})


def _content(config: Any) -> dict[str, Any]:
    content = config.to_dict()
    for absent in ("model_type", "architectures", "_name_or_path", "transformers_version"):
        content.pop(absent, None)
    return dict(content)


def _rows(heads: np.ndarray, width: int) -> Tensor:
    return torch.from_numpy((heads[:, None] * width + np.arange(width)).reshape(-1))
