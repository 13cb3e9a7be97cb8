"""Score items in batches that fit into memory."""

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, Int

from headspex.errors import UsageError, argument
from headspex.hooks.ablation import Ablation
from headspex.hooks.answers import Answers
from headspex.hooks.batching import Work

BATCH_TOKENS_CPU = 1_024  # fits the CPU's caches: 2,048 took a tenth longer, 4,096 two fifths
BATCH_TOKENS_GPU = 65_536


def tokens_of(device: torch.device) -> int:
    """Tokens (with padding) of one forward pass, to begin with."""
    return BATCH_TOKENS_CPU if device.type == "cpu" else BATCH_TOKENS_GPU


class Path(Protocol):
    """One way to score items: `headspex.hooks.plain` or `headspex.hooks.fast`."""

    def run(
        self, work: Work, items: Int[np.ndarray, " items"], ablation: Ablation, batch_tokens: int
    ) -> Iterator[tuple[Int[np.ndarray, " batch"], Answers]]:
        """Run some items of the work; yields each batch of items with its answers."""

    def forget(self, batch_tokens: int) -> None:
        """Empty the cache between calls; later batches of it hold `batch_tokens` tokens."""


class TokenBudget:
    """Tokens (with padding) of one forward pass; halved each time memory runs out."""

    def __init__(self, batch_tokens: int) -> None:
        self.batch_tokens = batch_tokens

    def halve(self) -> None:
        """Halve the budget.

        Raises:
            UsageError: a single prompt did not fit.
        """
        if self.batch_tokens == 1:
            raise UsageError(
                "a single prompt does not fit into memory beside the model; take a smaller dtype "
                f"({argument('dtype')} bfloat16), another device, or shorter prompts"
            )
        self.batch_tokens //= 2


def scores(
    path: Path,
    work: Work,
    ablation: Ablation,
    budget: TokenBudget,
    *,
    dtype: torch.dtype,
    progress: Callable[[int], None] | None = None,
) -> Float[torch.Tensor, "rows choices"]:
    """Log-likelihood of every choice of every row; 0 for choices that a question lacks.

    Several tokens are added up in `dtype`. If memory runs out, finished batches are kept and the
    rest continues in smaller batches.

    Raises:
        UsageError: a single prompt does not fit.
    """
    result = torch.zeros((len(work.masks), work.n_choices), dtype=dtype)
    left = np.bincount(work.rows, minlength=len(work.masks))  # items of each row
    pending = np.ones(len(work.rows), dtype=bool)
    while pending.any():
        try:
            rest = np.flatnonzero(pending)
            for items, found in path.run(work, rest, ablation, budget.batch_tokens):
                where = (found.rows, found.choices)
                result.index_put_(where, found.values.to(dtype), accumulate=True)
                pending[items] = False
                np.subtract.at(left, work.rows[items], 1)  # a row may stand in a batch twice
                if progress is not None:
                    progress(int((left == 0).sum()))
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            budget.halve()
            path.forget(budget.batch_tokens)
    return result


def out_of_memory(error: Exception) -> bool:
    """Whether an error means that memory ran out."""
    # On the CPU torch raises a plain RuntimeError.
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return known or "can't allocate memory" in str(error)
