"""Scoring of questions under masks, for every kind of question."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from jaxtyping import Float

from headspex.hooks.forward import Prepared, answer_log_probs
from headspex.hooks.prompts import PreparedPrompts
from headspex.tasks.game import EncodedPrompt, are_prompts
from headspex.tasks.prompts import EncodedQuestion


def prepare(model: Any, encoded: Sequence[EncodedQuestion]) -> Prepared | PreparedPrompts:
    """The model with all the questions it will be asked, for `measure`."""
    if are_prompts(encoded):
        return PreparedPrompts(model, cast("Sequence[EncodedPrompt]", encoded))
    return Prepared(model, encoded)


def measure(
    prepared: Prepared | PreparedPrompts,
    encoded: Sequence[EncodedQuestion],
    keep_masks: Any = None,
    **how: Any,
) -> Float[np.ndarray, "rows width"]:
    """Log-likelihoods of choices, or the value of a metric, one row per (question, mask) pair.

    Args:
        prepared: from `prepare`.
        encoded: one question per row.
        keep_masks: as in `answer_log_probs`.
        how: further arguments of `answer_log_probs`.

    Raises:
        UsageError: as `answer_log_probs` and `PreparedPrompts.values`.
    """
    if isinstance(prepared, PreparedPrompts):
        return prepared.values(cast("Sequence[EncodedPrompt]", encoded), keep_masks, **how)
    return answer_log_probs(prepared, encoded, keep_masks, **how)
