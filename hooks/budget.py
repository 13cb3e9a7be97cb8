"""Work through a path in batches that fit into memory."""

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, Int

from headspex.errors import UsageError
from headspex.hooks.ablation import Ablation
from headspex.hooks.answers import Answers
from headspex.hooks.batching import Work


class Path(Protocol):
    """One way to score items: `headspex.hooks.plain` or `headspex.hooks.fast`."""

    def run(
        self, work: Work, items: Int[np.ndarray, " items"], ablation: Ablation, batch_tokens: int
    ) -> Iterator[tuple[Int[np.ndarray, " batch"], Answers]]:
        """Some items of the work, batch after batch, with their answers."""

    def forget(self, batch_tokens: int) -> None:
        """Free what is kept between calls; keep no more than this together from now on."""


class Budget:
    """Tokens (with padding) of one forward pass; less after memory ran out."""

    def __init__(self, batch_tokens: int) -> None:
        self.batch_tokens = batch_tokens

    def halve(self) -> None:
        """Half of it from now on.

        Raises:
            UsageError: a single prompt did not fit.
        """
        if self.batch_tokens == 1:
            raise UsageError(
                "a single prompt does not fit into memory beside the model; take a smaller dtype "
                "(--dtype bfloat16), another device, or shorter prompts"
            )
        self.batch_tokens //= 2


def scores(
    path: Path,
    work: Work,
    ablation: Ablation,
    budget: Budget,
    *,
    dtype: torch.dtype,
    progress: Callable[[int], None] | None = None,
) -> Float[torch.Tensor, "rows choices"]:
    """Log-likelihood of every choice of every row, -0 where a question has fewer choices.

    Where memory runs out, what is done stays done and the rest goes on in smaller batches.

    Raises:
        UsageError: a single prompt does not fit.
    """
    # Added up in the model's own type, as lm-eval adds the tokens of an answer.
    result = torch.zeros((len(work.keep), work.n_choices), dtype=dtype)
    left = np.bincount(work.rows, minlength=len(work.keep))  # items of each row
    pending = np.ones(len(work.rows), dtype=bool)
    while pending.any():
        try:
            rest = np.flatnonzero(pending)
            for items, found in path.run(work, rest, ablation, budget.batch_tokens):
                where = (found.rows, found.choices)
                result.index_put_(where, found.values, accumulate=True)
                pending[items] = False
                np.subtract.at(left, work.rows[items], 1)  # a row may stand in a batch twice
                if progress is not None:
                    progress(int((left == 0).sum()))
        except (RuntimeError, MemoryError) as error:
            if not _out_of_memory(error):
                raise
            budget.halve()
            path.forget(budget.batch_tokens)
    return result


def _out_of_memory(error: Exception) -> bool:
    # On the CPU torch raises no class of its own.
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return known or "can't allocate memory" in str(error)
