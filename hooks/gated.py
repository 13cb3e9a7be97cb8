"""A model whose heads and MLPs are scaled by gates, for gradients with respect to the gates.

With gate g a part's output becomes g * output + (1 - g) * fill (Michel, Levy & Neubig 2019, eq. 4):
1 keeps it, 0 ablates it.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headspex.hooks.ablation import Hook, head_outputs
from headspex.hooks.attention import Heads
from headspex.hooks.decoder import UNCHANGED, Decoder, Edit
from headspex.hooks.fast import last_layer, outputs_of_heads
from headspex.hooks.switches import hook_name, mlp_hook_name

Gates = Float[Tensor, "rows layers switches"]  # each layer's heads, then its MLP
Logits = Float[Tensor, "rows places vocabulary"]


class GatedModel:
    """Logits under gates, which torch can differentiate.

    Args:
        bridge: a TransformerBridge; without a decoder it runs, with its own hooks.
        decoder: its model in parts, if that may replace it.
    """

    def __init__(self, bridge: Any, decoder: Decoder | None) -> None:
        self._bridge, self._decoder = bridge, decoder
        self.device: torch.device = bridge.original_model.device
        self.n_ctx = int(bridge.original_model.config.max_position_embeddings)

    def logits(
        self,
        tokens: Int[Tensor, "rows pos"],
        gates: Gates | None,
        places: Int[Tensor, "rows places"] | None,
        fill: Tensor | None = None,
    ) -> Logits:
        """Logits at some places of each row.

        Args:
            tokens: padded on the right, which causal attention does not see.
            gates: of each row; None: the whole model.
            places: positions; None: all.
            fill: float [layers, heads, d_head] or [layers, rows, pos, heads, d_head], what replaces
                heads' outputs; None: zeros.
        """
        tokens = tokens.to(self.device)
        places = None if places is None else places.to(self.device)
        if self._decoder is not None:
            return _by_parts(self._decoder, tokens, gates, places, fill)
        return _by_hooks(self._bridge, tokens, gates, places, fill)

    @torch.no_grad()
    def outputs_of_heads(
        self, tokens: Int[Tensor, "rows pos"]
    ) -> Float[Tensor, "layers rows pos head d_head"]:
        """As `headspex.hooks.head_outputs`."""
        if self._decoder is None:
            return head_outputs(self._bridge, tokens)
        return outputs_of_heads(self._decoder, tokens)


def _by_parts(
    decoder: Decoder,
    tokens: Int[Tensor, "rows pos"],
    gates: Gates | None,
    places: Int[Tensor, "rows places"] | None,
    fill: Tensor | None,
) -> Logits:
    with torch.no_grad():
        x = decoder.embedded(tokens)
    for index in range(decoder.last + 1):
        at = places if index == decoder.last else None
        edit = UNCHANGED
        if gates is not None:
            edit = Edit(_blend(gates, index, fill, at), gates[:, index, -1])
        if at is None:
            x, _ = decoder.layer(x, index, edit)
        else:
            x = last_layer(decoder, x, at, decoder.keys_values(x, index), edit)
    return decoder.logits(x)


def _by_hooks(
    bridge: Any,
    tokens: Int[Tensor, "rows pos"],
    gates: Gates | None,
    places: Int[Tensor, "rows places"] | None,
    fill: Tensor | None,
) -> Logits:
    hooks: list[tuple[str, Hook]] = []
    for layer in range(0 if gates is None else gates.shape[1]):
        assert gates is not None
        hooks.append((hook_name(layer), _hook(_blend(gates, layer, fill))))
        if mlp_hook_name(layer) in bridge.hook_dict:
            hooks.append((mlp_hook_name(layer), _hook(_scale(gates[:, layer, -1]))))
    if places is not None:
        at = places[..., None].expand(-1, -1, int(bridge.cfg.d_model))
        # The vocabulary is large: unembed only the positions that are read.
        hooks.append(("unembed.hook_in", _hook(lambda x: x.gather(1, at.to(x.device)))))
    with bridge.hooks(fwd_hooks=hooks):
        logits: Tensor = bridge(tokens)
    return logits


def _blend(
    gates: Gates,
    layer: int,
    fill: Tensor | None,
    places: Int[Tensor, "rows places"] | None = None,
) -> Callable[[Heads], Heads]:
    """Head outputs under the layer's gates, at some places or at all."""

    def blended(z: Heads) -> Heads:
        gate = gates[:, layer, None, :-1, None].to(z)
        if fill is None:
            return z * gate
        own = fill[layer].to(z)
        if own.ndim == 4 and places is not None:
            at = places.to(z.device)[..., None, None].expand(-1, -1, *own.shape[2:])
            own = own.gather(1, at)
        return z * gate + own * (1 - gate)

    return blended


def _scale(gates: Float[Tensor, " rows"]) -> Callable[[Tensor], Tensor]:
    return lambda out: out * gates.to(out)[:, None, None]


def _hook(change: Callable[[Tensor], Tensor]) -> Hook:
    def apply(value: Tensor, hook: Any) -> Tensor:
        return change(value)

    return apply
