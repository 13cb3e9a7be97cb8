"""Whether hooks on a bridge ablate what they should: a check instead of a list of families."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from headspex.errors import UsageError
from headspex.hooks.ablation import Ablation, hooks_of
from headspex.hooks.switches import hook_name, mlp_hook_name
from headspex.support.seeds import stream

TOKENS = 12  # of the input
# Both ways multiply the same numbers by 0 or 1, so they differ by rounding at most.
AGREE = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}  # share of the effect


def check_hooks(bridge: Any, name: str) -> None:
    """Check that hooks on a bridge remove single heads and whole MLPs.

    A head is removed when its part of the output projection gets zeros. So the logits under hooks
    must equal those where the projections' own inputs are zeroed, without the bridge's hooks.

    Args:
        bridge: a TransformerBridge.
        name: of the model, for errors.

    Raises:
        UsageError: a layer has no hook on its heads, or hooks remove something else.
    """
    layers = range(int(bridge.cfg.n_layers))
    if absent := [hook_name(k) for k in layers if hook_name(k) not in bridge.hook_dict]:
        raise UsageError(
            f"{name} cannot be ablated: its bridge has no {absent[0]}; "
            "take a model with attention in every layer"
        )
    rng = stream(0, "hook check")
    heads = torch.from_numpy(rng.random((len(layers), int(bridge.cfg.n_heads))) < 0.5)
    tokens = torch.from_numpy(rng.integers(int(bridge.cfg.d_vocab), size=(1, TOKENS)))
    heads[0, 0] = False
    _compare(bridge, name, "its heads", tokens, heads, torch.ones(len(layers), dtype=torch.bool))
    if all(mlp_hook_name(k) in bridge.hook_dict for k in layers):
        mlps = torch.from_numpy(rng.random(len(layers)) < 0.5)
        mlps[0] = False
        _compare(bridge, name, "its MLPs", tokens, torch.ones_like(heads), mlps)


@torch.no_grad()
def _compare(
    bridge: Any, name: str, what: str, tokens: Tensor, heads: Tensor, mlps: Tensor
) -> None:
    tokens = tokens.to(bridge.original_model.device)
    masks = torch.cat([heads, mlps[:, None]], dim=1)[None]
    with bridge.hooks(fwd_hooks=hooks_of(masks, Ablation())):
        hooked = bridge(tokens).float()
    whole = bridge(tokens).float()
    with _zeroed(bridge, heads, mlps):
        zeroed = bridge(tokens).float()
    effect = float((hooked - whole).abs().max())
    apart = float((hooked - zeroed).abs().max())
    # Negated, so that NaN is refused too.
    if not apart <= AGREE[bridge.original_model.dtype] * effect:
        raise UsageError(
            f"{name} cannot be ablated: with some of {what} off, hooks change its logits by "
            f"{effect:.2g}, but zeroed inputs of the output projections differ from that by "
            f"{apart:.2g}; take a model of another family (headspex models)"
        )


@contextmanager
def _zeroed(bridge: Any, heads: Tensor, mlps: Tensor) -> Iterator[None]:
    """Zero heads' parts of the output projections' inputs, and the outputs of MLPs."""
    handles = []
    for layer, (kept, with_mlp) in enumerate(zip(heads, mlps, strict=True)):
        block = bridge.blocks[layer]
        if not bool(kept.all()):
            projection = output_projection(block)
            columns = kept.repeat_interleave(int(bridge.cfg.d_head))
            handles.append(projection.register_forward_pre_hook(_times(columns)))
        if not bool(with_mlp):
            # Its last projection, as some bridges compute the rest of an MLP themselves; experts
            # have none in common.
            last = getattr(block.mlp, "out", block.mlp)
            handles.append(last.original_component.register_forward_hook(_nothing))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def output_projection(block: Any) -> nn.Module:
    """The projection of a bridge's block from heads to the residual stream, as transformers has it.

    Raises:
        UsageError: attention without such a projection.
    """
    wrapped = getattr(block.attn, "o", None)
    if wrapped is None:
        raise UsageError(
            f"{block.attn.name} has no output projection, whose inputs heads would be; take a "
            "model of another family (headspex models)"
        )
    module: nn.Module = wrapped.original_component
    return module


def _times(columns: Tensor) -> Any:
    def multiply(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return inputs[0] * columns.to(inputs[0]), *inputs[1:]

    return multiply


def _nothing(module: nn.Module, inputs: Any, output: Any) -> Any:
    if isinstance(output, tuple):
        return (torch.zeros_like(output[0]), *output[1:])
    return torch.zeros_like(output)
