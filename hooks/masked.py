"""transformers' own model under one mask, without the wrappers of TransformerLens."""

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor

from headspex.hooks.ablation import Hook
from headspex.hooks.offload import devices_of, is_offloaded
from headspex.hooks.plain import has_hooks
from headspex.hooks.stock import Stock
from headspex.hooks.switches import hook_name, mlp_hook_name


def is_in_one_place(bridge: Any) -> bool:
    """Whether a bridge's model is whole on one device, and nobody hooked any part of it."""
    model = bridge.original_model
    return (
        len(devices_of(model)) == 1
        and not any(map(is_offloaded, model.modules()))
        and not has_hooks(bridge)
    )


def hooked_copy(bridge: Any, hooks: Iterable[tuple[str, Hook]]) -> Any:
    """A copy of the model that runs ablation hooks, with the attention that transformers prefers.

    Weights are shared. Where parts are zeroed, outputs equal those of a checkpoint with zeroed
    output weights to the last bit. The copy has all methods of a transformers model.

    Args:
        bridge: a TransformerBridge for which `is_in_one_place` holds; it does not change.
        hooks: as `headspex.hooks.ablation_hooks` gives them.
    """
    original, found = bridge.original_model, dict(hooks)
    stock = Stock(original, original.get_correct_attn_implementation(None))
    for layer, block in enumerate(bridge.blocks):
        if (name := hook_name(layer)) in found:
            heads = _heads(found[name], bridge.hook_dict[name], int(bridge.cfg.n_heads))
            stock.copy_of(block.attn.o.original_component).register_forward_pre_hook(heads)
        if (name := mlp_hook_name(layer)) in found:
            mlp = _mlp(found[name], bridge.hook_dict[name])
            stock.copy_of(block.mlp.original_component).register_forward_hook(mlp)
    return stock.model


def _heads(hook: Hook, point: Any, n_heads: int) -> Callable[..., tuple[Tensor, ...]]:
    """Pre-hook of an output projection, whose input is the heads' outputs side by side."""

    def replaced(module: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        z, *others = inputs
        heads = z.reshape(*z.shape[:2], n_heads, -1)
        return (hook(heads, hook=point).reshape(z.shape), *others)

    return replaced


def _mlp(hook: Hook, point: Any) -> Callable[..., Any]:
    """Hook of an MLP; those of some families return more than their output."""

    def replaced(module: Any, inputs: Any, output: Any) -> Any:
        if isinstance(output, tuple):
            return (hook(output[0], hook=point), *output[1:])
        return hook(output, hook=point)

    return replaced
