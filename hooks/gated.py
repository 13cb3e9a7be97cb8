"""A model whose heads and MLPs are scaled by gates, for gradients with respect to the gates.

With gate g a part's output becomes g * output + (1 - g) * fill (Michel, Levy & Neubig 2019, eq. 4):
1 keeps it, 0 ablates it.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headspex.hooks.ablation import Hook
from headspex.hooks.decoder import UNCHANGED, Decoder, Edit
from headspex.hooks.fast import decoder_outputs, last_layer
from headspex.hooks.fill import Fill, Parts, at_places
from headspex.hooks.inputs import Pass, padded
from headspex.hooks.outputs import part_outputs
from headspex.hooks.switches import hook_name, mlp_hook_name

Gates = Float[Tensor, "rows layers switches"]  # each layer's heads, then its MLP
Logits = Float[Tensor, "rows places vocabulary"]
Places = Int[Tensor, "rows places"] | None  # positions that are read; None: all
Change = Callable[[Tensor], Tensor]


class GatedModel:
    """Logits under gates, which torch can differentiate.

    Args:
        bridge: a TransformerBridge; without a decoder it runs, with its own hooks.
        decoder: its model in parts, if that may replace it.
        more: hooks on the bridge besides, such as those that change its backward pass; with any,
            the decoder does not replace it.
    """

    def __init__(
        self, bridge: Any, decoder: Decoder | None, more: Sequence[tuple[str, Hook]] = ()
    ) -> None:
        self._bridge, self._more = bridge, more
        self._decoder = None if more else decoder
        self.device: torch.device = bridge.original_model.device
        self.n_ctx = int(bridge.original_model.config.max_position_embeddings)

    def of_inputs(
        self, inputs: Sequence[Pass], gates: Gates | None, places: Places, fill: Fill | None = None
    ) -> Logits:
        """As `logits`, of inputs in place of tokens."""
        return self.logits(padded([one.tokens for one in inputs]), gates, places, fill)

    def logits(
        self,
        tokens: Int[Tensor, "rows pos"],
        gates: Gates | None,
        places: Places,
        fill: Fill | None = None,
    ) -> Logits:
        """Logits at some places of each row.

        Args:
            tokens: padded on the right, which causal attention does not see.
            gates: of each row; None: the whole model.
            places: positions; None: all.
            fill: what replaces parts' outputs, as tensors; with one for each row, or one for all;
                None: zeros.
        """
        tokens = tokens.to(self.device)
        places = None if places is None else places.to(self.device)
        if self._decoder is not None:
            return _by_parts(self._decoder, tokens, gates, places, fill)
        return _by_hooks(self._bridge, tokens, gates, places, fill, self._more)

    @torch.no_grad()
    def outputs(self, tokens: Int[Tensor, "rows pos"], parts: Parts) -> Fill:
        """As `headspex.hooks.outputs.part_outputs`."""
        if self._decoder is None:
            return part_outputs(self._bridge, tokens, parts)
        return decoder_outputs(self._decoder, tokens, parts)


def _by_parts(
    decoder: Decoder,
    tokens: Int[Tensor, "rows pos"],
    gates: Gates | None,
    places: Int[Tensor, "rows places"] | None,
    fill: Fill | None,
) -> Logits:
    with torch.no_grad():
        x = decoder.embedded(tokens)
    for index in range(decoder.last + 1):
        at = places if index == decoder.last else None
        edit = UNCHANGED
        if gates is not None:
            edit = Edit(*_blends(gates[:, index], fill, index, at))
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
    fill: Fill | None,
    more: Sequence[tuple[str, Hook]],
) -> Logits:
    hooks = list(more)
    for layer in range(0 if gates is None else gates.shape[1]):
        assert gates is not None
        heads, mlp = _blends(gates[:, layer], fill, layer)
        hooks.append((hook_name(layer), changing(heads)))
        if mlp_hook_name(layer) in bridge.hook_dict:
            hooks.append((mlp_hook_name(layer), changing(mlp)))
    return hooked_logits(bridge, tokens, hooks, places)


def hooked_logits(
    bridge: Any,
    tokens: Int[Tensor, "rows pos"],
    hooks: Sequence[tuple[str, Hook]],
    places: Int[Tensor, "few places"] | None,
) -> Logits:
    """Logits of a bridge under hooks, at some places of its first rows; None: everywhere."""
    if places is not None:
        at = places[..., None].expand(-1, -1, int(bridge.cfg.d_model))
        # The vocabulary is large: unembed only the positions that are read.
        read = changing(lambda x: x[: len(at)].gather(1, at.to(x.device)))
        hooks = [*hooks, ("unembed.hook_in", read)]
    with warnings.catch_warnings(), bridge.hooks(fwd_hooks=list(hooks)):
        # Its norms say that, edited, they may round differently.
        warnings.filterwarnings("ignore", message="A forward hook edited hook_scale")
        logits: Tensor = bridge(tokens)
    return logits


def _blends(
    gates: Float[Tensor, "rows switches"],
    fill: Fill | None,
    layer: int,
    places: Int[Tensor, "rows places"] | None = None,
) -> tuple[Change, Change]:
    """What a layer's gates do to the outputs of its heads and its MLP, at some places or at all."""
    heads, mlps = (None, None) if fill is None else (fill.heads, fill.mlps)
    of_heads, of_mlp = (None if one is None else one[layer] for one in (heads, mlps))
    return (
        _blend(gates[:, None, :-1, None], of_heads, places),
        _blend(gates[:, None, -1:], of_mlp, places),
    )


def _blend(gates: Tensor, fill: Tensor | None, places: Tensor | None) -> Change:
    def blended(outputs: Tensor) -> Tensor:
        own = gates.to(outputs)
        if fill is None:
            return outputs * own
        return outputs * own + at_places(fill, outputs, places) * (1 - own)

    return blended


def changing(change: Change) -> Hook:
    """A hook that changes its value."""

    def apply(value: Tensor, hook: Any) -> Tensor:
        return change(value)

    return apply
