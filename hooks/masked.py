"""transformers' own model under one mask, without the wrappers of TransformerLens."""

from typing import Any

from jaxtyping import Bool
from torch import Tensor, nn

from headspex.hooks.ablation import Ablation, check_ablation
from headspex.hooks.offload import devices_of, is_offloaded
from headspex.hooks.plain import has_hooks
from headspex.hooks.stock import Stock
from headspex.hooks.switches import check_switches


def is_in_one_place(bridge: Any) -> bool:
    """Whether a bridge's model is whole on one device, and nobody hooked any part of it."""
    model = bridge.original_model
    return (
        len(devices_of(model)) == 1
        and not any(map(is_offloaded, model.modules()))
        and not has_hooks(bridge)
    )


def masked_model(
    bridge: Any,
    keep_masks: Any = None,
    keep_mlps: Any = None,
    *,
    ablation: str = "zero",
    fill: Any = None,
    rescale: bool = False,
) -> Any:
    """The model under a mask, with the attention that transformers takes if nobody asks for one.

    Its outputs equal those of a checkpoint with zeroed output weights to the last bit, where parts
    are zeroed, and it has all methods of a transformers model. The bridge does not change.

    Args:
        bridge: a TransformerBridge for which `is_in_one_place` holds.
        keep_masks: one, bool [n_layers, n_heads]; None for all heads.
        keep_mlps: bool [n_layers]; None for all MLPs.
        ablation, fill, rescale: as in `headspex.hooks.ablated`.

    Raises:
        UsageError: as `ablated`.
    """
    masks = check_switches(bridge, keep_masks, keep_mlps)
    how = check_ablation(bridge, masks, ablation, fill, rescale)
    original = bridge.original_model
    stock = Stock(original, original.get_correct_attn_implementation(None))
    for layer, row in enumerate(masks[0]):
        block = bridge.blocks[layer]
        if not bool(row[:-1].all()):
            projection = stock.copy_of(block.attn.o.original_component)
            projection.register_forward_pre_hook(_Heads(how, row[None, :-1], layer))
        if not bool(row[-1]):
            mlp = stock.copy_of(block.mlp.original_component)
            mlp.register_forward_hook(_MLP(how, row[-1:], layer))
    return stock.model


class _Heads:
    """Forward pre-hook of the output projection: its input is the heads' outputs, side by side."""

    def __init__(self, ablation: Ablation, mask: Bool[Tensor, "1 heads"], layer: int) -> None:
        self._ablation, self._mask, self._layer = ablation, mask, layer

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        z, *others = inputs
        heads = z.reshape(*z.shape[:2], self._mask.shape[1], -1)
        return (self._ablation.replaced(heads, self._mask, self._layer).reshape(z.shape), *others)


class _MLP:
    """Forward hook of an MLP; those of some families return more than their output."""

    def __init__(self, ablation: Ablation, mask: Bool[Tensor, " 1"], layer: int) -> None:
        self._ablation, self._mask, self._layer = ablation, mask, layer

    def __call__(self, module: nn.Module, inputs: Any, output: Any) -> Any:
        out, *others = output if isinstance(output, tuple) else (output,)
        replaced = self._ablation.replaced_mlp(out, self._mask, self._layer)
        return (replaced, *others) if isinstance(output, tuple) else replaced
