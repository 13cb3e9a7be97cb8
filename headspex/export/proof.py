"""Does an exported folder do what the mask does? Its logits against those of the hooked model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int

from headspex.errors import UsageError
from headspex.export.checkpoint import Removal
from headspex.hooks.ablation import ablated
from headspex.hooks.loading import LoadedModel
from headspex.hooks.pretrained import read_weights
from headspex.hooks.trust import TOLERANCE

ROWS, LENGTH = 4, 48  # random tokens that both are asked


@torch.no_grad()
def hooked_logits(model: LoadedModel, removal: Removal) -> Float[torch.Tensor, "rows pos vocab"]:
    """What the whole model says to random tokens with hooks in place of what is removed."""
    mean = removal.fill is not None
    with ablated(
        model.bridge, removal.heads, keep_mlps=removal.mlps, fill=removal.fill,
        ablation="mean" if mean else "zero", rescale=removal.rescale,
    ) as masked:  # fmt: skip
        logits: torch.Tensor = masked(_tokens(model.bridge.original_model))
    return logits.float().cpu()


@torch.no_grad()
def check_exported(
    model: Any, expected: Float[torch.Tensor, "rows pos vocab"], dtype: torch.dtype
) -> float:
    """The largest difference of a logit; logits differ by rounding alone.

    Args:
        model: the exported one, read back by transformers, in float32.
        expected: of the hooked model, in float32.
        dtype: in which the weights are stored.

    Raises:
        UsageError: the two are different models.
    """
    found = float((model(_tokens(model)).logits.float().cpu() - expected).abs().max())
    # Written so that NaN is refused too.
    if not found <= TOLERANCE[dtype] * max(1.0, float(expected.abs().max())):
        raise UsageError(
            f"the exported model must answer as the hooked one, but logits differ by {found:.2g}; "
            "nothing was written: please report the model"
        )
    return found


def read_back(folder: Path, dtype: torch.dtype) -> Any:
    """The model as a stranger reads it, every weight known and none left over.

    Raises:
        UsageError: it cannot be read.
    """
    from headspex.hooks.pretrained import read_config
    from headspex.hooks.sources import Source

    source = Source(str(folder), str(folder), None, on_hub=False)
    return read_weights(source, read_config(source), dtype)


def _tokens(model: Any) -> Int[torch.Tensor, "rows pos"]:
    config = model.config
    shape = ROWS, min(LENGTH, int(config.max_position_embeddings))
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(int(config.vocab_size), shape, generator=generator)
    return tokens.to(model.device)
