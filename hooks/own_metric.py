"""A user's metric, called on logits and checked."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from headspex.errors import UsageError
from headspex.hooks.token_budget import out_of_memory
from headspex.tasks.game import Batch, EncodedPrompt


def metric_values(
    asked: Sequence[EncodedPrompt], logits: Float[Tensor, "batch pos vocabulary"]
) -> Float[Tensor, " batch"]:
    """The metric of some prompts of one length, with its gradient if it has one.

    Args:
        asked: the prompts; they have the same metric.
        logits: at all positions, or at the last one, as the metric wants them.

    Raises:
        UsageError: the metric raises, or returns anything but [batch] finite floats.
    """
    called, shape = asked[0].called, list(logits.shape)
    rule = f"{called} must return finite floats of shape [{len(asked)}] (batch)"
    try:
        values = asked[0].metric(logits, _batch(asked, logits.device))
    except Exception as error:  # whatever the user's own code raises
        if isinstance(error, RuntimeError | MemoryError) and out_of_memory(error):
            raise
        raise UsageError(
            f"{rule} for logits {shape} (batch, pos, vocab), but it raised "
            f"{type(error).__name__}: {error}"
        ) from error
    values = torch.as_tensor(values) if isinstance(values, np.ndarray | list) else values
    if not isinstance(values, Tensor):
        raise UsageError(f"{rule}, but it returned {type(values).__name__}")
    if tuple(values.shape) != (len(asked),):
        raise UsageError(f"{rule} for logits {shape}, but it returned shape {list(values.shape)}")
    if not bool(values.isfinite().all()):
        row = int((~values.isfinite()).nonzero()[0])
        raise UsageError(f"{rule}, but it returned {values[row]:g} for prompt {asked[row].index}")
    return values


def _batch(asked: Sequence[EncodedPrompt], device: torch.device) -> Batch:
    """What the metric gets beside the logits."""
    corrupted = None
    if all(one.corrupted is not None for one in asked):
        corrupted = torch.tensor([one.corrupted for one in asked], device=device)
    return Batch(
        torch.tensor([one.index for one in asked], device=device),
        torch.tensor([one.context for one in asked], device=device),
        corrupted,
        asked[0].tokenizer,
    )
