"""Norms of the weights with which heads and MLPs write to the residual stream."""

from typing import Any

import numpy as np
from jaxtyping import Float

from headspex.hooks.fingerprint import plain_state


def output_norms(bridge: Any) -> Float[np.ndarray, "layers switches"]:
    """Frobenius norms of each head's columns of `o_proj` and, last, of the layer's `down_proj`."""
    n_layers, n_heads = int(bridge.cfg.n_layers), int(bridge.cfg.n_heads)
    state = plain_state(bridge.original_model)
    rows = []
    for layer in range(n_layers):
        out = state[f"model.layers.{layer}.self_attn.o_proj.weight"].double().cpu()
        down = state[f"model.layers.{layer}.mlp.down_proj.weight"].double().cpu()
        heads = out.reshape(len(out), n_heads, -1).square().sum(dim=(0, 2)).sqrt()
        rows.append(np.append(heads.numpy(), float(down.norm())))
    return np.stack(rows)
