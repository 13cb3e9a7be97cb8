"""GIM: a backward pass in which interactions do not hide a part's effect (arXiv 2505.17630).

Edin et al. 2025. Attribution by plain gradients misses a part where others would make up for it:
attention that is saturated, products, and norms that shrink what is large. The forward pass stays
as it is, and

- the statistics of norms are constants;
- attention's softmax is differentiated at `TEMPERATURE`;
- a product's gradient is divided among its factors: values and attention patterns get half of it,
  queries and keys a half of the latter, and an MLP's gate and what it gates half each.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from headspex.errors import NoGradientError
from headspex.hooks.ablation import Hook
from headspex.hooks.gated import changing

TEMPERATURE = 2.0
# Shares of the gradient, by the hooks of a block.
OF_ATTENTION = {"attn.q.hook_out": 0.25, "attn.k.hook_out": 0.25, "attn.v.hook_out": 0.5}
OF_GATED_MLP = {"mlp.gate.hook_out": 0.5, "mlp.in.hook_out": 0.5}
SCALE = ".hook_scale"
SCORES, PATTERN = "attn.hook_attn_scores", "attn.hook_pattern"


def gim_hooks(bridge: Any) -> list[tuple[str, Hook]]:
    """Forward hooks that leave a bridge's outputs, to rounding, and change their gradients.

    Args:
        bridge: a TransformerBridge; of its MLPs only gated ones are changed.

    Raises:
        NoGradientError: the bridge lacks a hook that this needs, or one cannot change its norm.
    """
    known = bridge.hook_dict
    norms = [name for name in known if name.endswith(SCALE)]
    # The bridge cannot rebuild a norm without weights from what its hooks return.
    if bare := [name for name in norms if not _has_weight(bridge, name.removesuffix(SCALE))]:
        raise NoGradientError(
            f"GIM freezes the norm at {bare[0]}, which has no weights and cannot be changed in "
            "this model; take attribution without it"
        )
    hooks: list[tuple[str, Hook]] = [(name, changing(Tensor.detach)) for name in norms]
    for layer in range(int(bridge.cfg.n_layers)):
        block = f"blocks.{layer}."
        shares = dict(OF_ATTENTION)
        if all(block + name in known for name in OF_GATED_MLP):
            shares |= OF_GATED_MLP
        needed = (*(block + name for name in shares), block + SCORES, block + PATTERN)
        if absent := [name for name in needed if name not in known]:
            raise NoGradientError(
                f"GIM changes gradients at {absent[0]}, which this model does not have; take "
                "attribution without it"
            )
        hooks += [(block + name, changing(_shrunk(share))) for name, share in shares.items()]
        softmax = _Softmax()
        hooks += [(block + SCORES, changing(softmax.scored))]
        hooks += [(block + PATTERN, changing(softmax.softened))]
    return hooks


def _has_weight(bridge: Any, norm: str) -> bool:
    module = bridge
    for part in norm.split("."):
        module = module[int(part)] if part.isdecimal() else getattr(module, part)
    return getattr(module, "weight", None) is not None


def _shrunk(share: float) -> Callable[[Tensor], Tensor]:
    """The same value, with a share of its gradient."""
    return lambda value: share * value + (1 - share) * value.detach()


class _Softmax:
    """Attention patterns with the gradient of a softmax at `TEMPERATURE`.

    With s = softmax(x / T), T ds/dx is what the gradient of softmax(x) would be if its output were
    s.
    """

    def __init__(self) -> None:
        self._scores: Any = None

    def scored(self, scores: Float[Tensor, "batch head query key"]) -> Tensor:
        self._scores = scores
        return scores

    def softened(self, pattern: Float[Tensor, "batch head query key"]) -> Tensor:
        soft = TEMPERATURE * torch.softmax(self._scores.float() / TEMPERATURE, dim=-1).to(pattern)
        self._scores = None
        return pattern.detach() + soft - soft.detach()
