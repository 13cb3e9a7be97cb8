"""Outputs of heads and MLPs by hooks on a TransformerBridge, and their means: fills of ablation."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from headspex.errors import UsageError
from headspex.hooks.fill import Fill, Parts
from headspex.hooks.switches import hook_name, mlp_hook_name

BOTH = Parts()


@torch.no_grad()
def part_outputs(bridge: Any, tokens: Int[Tensor, "batch pos"], parts: Parts = BOTH) -> Fill:
    """Every head's and MLP's output on some prompts: the fill of resample ablation.

    Args:
        bridge: a TransformerBridge.
        tokens: the corrupted prompts, as long as the clean ones.
        parts: whose outputs are wanted.

    Returns:
        heads [n_layers, batch, pos, n_heads, d_head], mlps [n_layers, batch, pos, d_model].
    """
    found: dict[str, Tensor] = {}

    def record(outputs: Tensor, name: str) -> None:
        found[name] = outputs.detach()

    _run(bridge, tokens, parts, record)
    fills = {
        kind: torch.stack([found[name].to(found[names[0]].device) for name in names])
        for kind, names in _hooks(bridge, parts)
    }
    return Fill(**fills)


def head_outputs(
    bridge: Any, tokens: Int[Tensor, "batch pos"]
) -> Float[Tensor, "n_layers batch pos n_heads d_head"]:
    """Every head's output on some prompts: the fill of resample ablation of heads alone.

    Args:
        bridge: a TransformerBridge.
        tokens: the corrupted prompts, as long as the clean ones.
    """
    found: Tensor = part_outputs(bridge, tokens, Parts(mlps=False)).heads
    return found


def mean_outputs(
    bridge: Any,
    tokens: Int[Tensor, "sequences pos"],
    lengths: Int[Tensor, " sequences"],
    *,
    parts: Parts = BOTH,
    per_position: bool = False,
    batch_size: int = 64,
    progress: Callable[[int], object] = lambda sequences: None,
) -> Fill:
    """Mean output of every head and MLP over all tokens except padding: the fill of mean ablation.

    Args:
        bridge: a TransformerBridge.
        tokens: padded on the right.
        lengths: tokens of each sequence without padding.
        parts: whose means are wanted.
        per_position: means over the sequences at each position instead.
        batch_size: sequences per forward pass.
        progress: is told the number of sequences of each finished batch.

    Returns:
        float32, summed in float64: heads [n_layers, n_heads, d_head] and mlps [n_layers, d_model];
        per position heads [n_layers, pos, n_heads, d_head] and mlps [n_layers, pos, d_model].

    Raises:
        UsageError: shapes that do not fit, or a sequence without tokens.
    """
    tokens, lengths = torch.as_tensor(tokens), torch.as_tensor(lengths)
    sums: dict[str, Tensor] = {}

    def add(outputs: Tensor, name: str, real: Bool[Tensor, "batch pos"]) -> None:
        if name not in sums:
            shape = [int(lengths.max())] * per_position + list(outputs.shape[2:])
            sums[name] = torch.zeros(shape, dtype=torch.float64)
        if per_position:
            own = outputs.double() * real[(..., *[None] * (outputs.ndim - 2))]
            sums[name][: own.shape[1]] += own.sum(0).cpu()
        else:
            sums[name].add_(outputs[real].double().sum(0).cpu())

    each_output(bridge, tokens, lengths, add, parts=parts, batch_size=batch_size, progress=progress)
    count = lengths.sum().double().cpu()
    if per_position:
        count = (torch.arange(int(lengths.max())) < lengths[:, None].cpu()).sum(0).double()
    means = {}
    for kind, names in _hooks(bridge, parts):
        total = torch.stack([sums[name] for name in names])
        own = count[(..., *[None] * (total.ndim - 1 - count.ndim))]
        means[kind] = (total / own).float()
    return Fill(**means)


@torch.no_grad()
def each_output(
    bridge: Any,
    tokens: Int[Tensor, "sequences pos"],
    lengths: Int[Tensor, " sequences"],
    told: Callable[[Tensor, str, Bool[Tensor, "batch pos"]], object],
    *,
    parts: Parts = BOTH,
    batch_size: int = 64,
    progress: Callable[[int], object] = lambda sequences: None,
) -> None:
    """Run the model on some sequences, and tell every part's output on each batch.

    `told` gets outputs [batch, pos, ...], the name of their hook, and which tokens are no padding.
    Other arguments and errors are those of `mean_outputs`.
    """
    tokens, lengths = torch.as_tensor(tokens), torch.as_tensor(lengths)
    _check_lengths(tokens, lengths)
    for start in range(0, len(tokens), batch_size):
        own = lengths[start : start + batch_size].cpu()
        real = torch.arange(int(own.max()))[None] < own[:, None]

        def tell(outputs: Tensor, name: str, real: Bool[Tensor, "batch pos"] = real) -> None:
            told(outputs, name, real.to(outputs.device))

        _run(bridge, tokens[start : start + batch_size, : real.shape[1]], parts, tell)
        progress(len(own))


def mean_activations(
    bridge: Any,
    tokens: Int[Tensor, "sequences pos"],
    lengths: Int[Tensor, " sequences"],
    *,
    batch_size: int = 64,
) -> Float[Tensor, "n_layers n_heads d_head"]:
    """Mean output of every head over all tokens except padding: the fill for heads alone.

    Arguments and errors are those of `mean_outputs`.
    """
    parts = Parts(mlps=False)
    found = mean_outputs(bridge, tokens, lengths, parts=parts, batch_size=batch_size)
    means: Tensor = found.heads
    return means


def _hooks(bridge: Any, parts: Parts) -> Iterator[tuple[str, list[str]]]:
    """Each kind of part, as a field of `Fill`, with the hooks on its outputs by layer."""
    layers = range(int(bridge.cfg.n_layers))
    if parts.heads:
        yield "heads", [hook_name(layer) for layer in layers]
    if parts.mlps:
        yield "mlps", [mlp_hook_name(layer) for layer in layers]


def _run(bridge: Any, tokens: Tensor, parts: Parts, told: Callable[[Tensor, str], object]) -> None:
    """Run the bridge, and tell the outputs of parts with the name of their hook."""

    def teller(name: str) -> Callable[..., Tensor]:
        def tell(outputs: Tensor, hook: Any) -> Tensor:
            told(outputs, name)
            return outputs

        return tell

    hooks = [(name, teller(name)) for _, names in _hooks(bridge, parts) for name in names]
    hooks.append(("unembed.hook_in", _first_position))  # the logits are not used
    with bridge.hooks(fwd_hooks=hooks):
        bridge(tokens.to(bridge.original_model.device))


def _first_position(x: Tensor, hook: Any) -> Tensor:
    return x[:, :1]


def _check_lengths(tokens: Tensor, lengths: Tensor) -> None:
    if tokens.ndim != 2 or lengths.shape != tokens.shape[:1]:
        raise UsageError(
            f"tokens must be [sequences, pos] and lengths [sequences], but they have shapes "
            f"{list(tokens.shape)} and {list(lengths.shape)}"
        )
    if len(tokens) == 0 or int(lengths.min()) < 1 or int(lengths.max()) > tokens.shape[1]:
        raise UsageError(
            f"every sequence needs 1 to {tokens.shape[1]} real tokens, but lengths are "
            f"{lengths.tolist()[:8]}; leave empty sequences out"
        )
