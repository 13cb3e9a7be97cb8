"""The weights with which heads and MLPs write to the residual stream, by name."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from headspex.errors import UsageError
from headspex.hooks.fingerprint import own_name, plain_state
from headspex.hooks.load_in import is_quantised, plain_weight

_LAYER = r"(?:^|.*\.)(?:layers|h|blocks)\.(\d+)\."
_HEADS = re.compile(
    _LAYER
    + r"(?:self_attn|attn|attention|self_attention)\.(?:o_proj|out_proj|c_proj|dense)\.weight"
)
_MLP = re.compile(
    _LAYER + r"(?:mlp|feed_forward|block_sparse_moe)\."
    r"(?:.*\.)?(?:down_proj|c_proj|dense_4h_to_h|fc2|w2|output_linear)(?:_bias|\.weight|\.bias)?"
)
# Their modules keep weights as [in, out], those of all others as [out, in].
_TRANSPOSED = ("GPT2LMHeadModel",)


@dataclass(frozen=True)
class OutputWeights:
    """Names of a layer's output weights.

    Attributes:
        heads: of the projection from the heads' outputs.
        mlp: of the last projection of the MLP, its biases included; of all experts, if there are
            several.
        transposed: whether `heads` is [in, out] instead of [out, in].
    """

    heads: str
    mlp: tuple[str, ...]
    transposed: bool

    @property
    def bias(self) -> str:
        """The name that the projection's bias has, if there is one."""
        return self.heads.removesuffix("weight") + "bias"

    def columns(self, weight: Tensor) -> Tensor:
        """The projection as [out, in], a view."""
        return weight.T if self.transposed else weight


def output_weights(
    names: Iterable[str], architecture: str, n_layers: int
) -> tuple[OutputWeights, ...]:
    """The output weights of every layer.

    Args:
        names: of all weights of a model.
        architecture: the class, such as "LlamaForCausalLM".
        n_layers: of the model.

    Raises:
        UsageError: the weights have other names.
    """
    heads: dict[int, str] = {}
    mlps: dict[int, list[str]] = {}
    for name in names:
        if found := _HEADS.fullmatch(name):
            heads[int(found[1])] = name
        elif found := _MLP.fullmatch(name):
            mlps.setdefault(int(found[1]), []).append(name)
    if absent := [layer for layer in range(n_layers) if layer not in heads or layer not in mlps]:
        raise UsageError(
            f"headspex does not know the names of the output weights of {architecture}, such as "
            f"those of layer {absent[0]}; use --format mask"
        )
    return tuple(
        OutputWeights(heads[layer], tuple(mlps[layer]), architecture in _TRANSPOSED)
        for layer in range(n_layers)
    )


def quantised_modules(model: nn.Module) -> dict[str, nn.Module]:
    """Modules with quantised weights, by the weights' names."""
    return {
        own_name(f"{name}.weight"): module
        for name, module in model.named_modules()
        if "weight" in module._parameters and is_quantised(module)
    }


def output_norms(bridge: Any) -> Float[np.ndarray, "layers switches"]:
    """Frobenius norms of each head's columns of its projection and, last, of the layer's MLP's."""
    rows = []
    for names, heads, read in _layers(bridge):
        mlp = [read(name).norm() for name in names.mlp if "bias" not in name]
        rows.append([*heads.square().sum(dim=(0, 2)).sqrt(), torch.stack(mlp).norm()])
    return np.array(rows, dtype=np.float64)


def column_norms(bridge: Any, order: float) -> Float[np.ndarray, "layers heads d_head"]:
    """The norm, of some order, of each column of the projections from the heads' outputs."""
    return np.stack(
        [
            torch.linalg.vector_norm(heads, ord=order, dim=0).numpy()
            for _, heads, _ in _layers(bridge)
        ]
    )


def _layers(
    bridge: Any,
) -> Iterator[tuple[OutputWeights, Float[Tensor, "out heads d_head"], Callable[[str], Tensor]]]:
    """Of each layer the weights' names, the projection from its heads, and what reads the rest."""
    plain, n_heads = bridge.original_model, int(bridge.cfg.n_heads)
    state, packed = plain_state(plain), quantised_modules(plain)

    def read(name: str) -> Tensor:
        module = packed.get(name)
        return (state[name] if module is None else plain_weight(module)).double().cpu()

    for names in output_weights(state, type(plain).__name__, int(bridge.cfg.n_layers)):
        out = names.columns(read(names.heads))
        yield names, out.reshape(len(out), n_heads, -1), read
