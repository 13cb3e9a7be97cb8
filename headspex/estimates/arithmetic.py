"""What the passes of a setup are in arithmetic and memory, counted."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from headspex.budget.flops import MaskCosts, mask_costs
from headspex.hooks.inputs import plan_inputs
from headspex.hooks.token_budget import tokens_of
from headspex.setup import Setup
from headspex.tasks import EncodedQuestion
from headspex.tasks.game import are_prompts

_ROWS, _COLUMNS = 256, 4_096  # of the product that is timed: large enough for a core's full speed
_TIMES = 5  # it is taken, so that a moment's other work does not count for all


@dataclass(frozen=True, eq=False)
class Arithmetic:
    """Floating-point operations of a setup.

    Attributes:
        masks: of masks and their questions.
        shares: whether what questions share is computed once a mask; prompts have no part in that.
        below: of the layers that masks do not reach, which are computed once a question.
        tokens: that a question has the model read, the mean over all.
    """

    masks: MaskCosts
    shares: bool
    below: float
    tokens: float

    @classmethod
    def of(cls, setup: Setup) -> Arithmetic:
        """Counted on the search questions."""
        model, plan = setup.model, setup.plan
        inputs = plan_inputs(setup.encoded[: plan.n_search], model.n_ctx)
        config = model.bridge.original_model.config
        own, whole = (
            mask_costs(config, inputs, first=first, n_players=plan.n_players)
            for first in (min(setup.players.layers), 0)
        )
        # The whole model reaches none but the last layer: held-out questions begin once more.
        n_questions = plan.n_search + 2 * plan.n_heldout
        begun = float((whole.beginnings - own.beginnings).sum())
        lengths = [tokens_read(one, model.n_ctx) for one in setup.encoded]
        below = 2 * begun + (whole.question - own.question) * n_questions
        if are_prompts(setup.encoded):  # a bridge runs all of each
            return cls(whole, False, 0.0, float(np.mean(lengths)))
        return cls(own, True, below, float(np.mean(lengths)))

    def of_pass(self, per_mask: int) -> float:
        """Of a question under a mask that is asked so many; all that there are, at most."""
        count = max(1, min(per_mask, self.masks.n_questions)) if self.shares else 1
        whole = float(self.masks.of_mask(np.array([count]))[0])
        return (whole - self.masks.engine) / count


def tokens_read(question: EncodedQuestion, n_ctx: int) -> int:
    """The prompt, once, and all but the last token of each answer or text."""
    return min(len(question.context), n_ctx) + sum(len(one) - 1 for one in question.continuations)


def product_seconds(model: Any) -> float:
    """Seconds of a floating-point operation, in a product with some of the model's weights."""
    import torch

    plain = model.bridge.original_model
    matrices = (p for p in plain.parameters() if p.ndim == 2 and p.is_floating_point())
    largest = max(matrices, key=lambda p: p.numel())
    weights = largest.detach()[:_COLUMNS]
    some = torch.ones(_ROWS, weights.shape[1], dtype=weights.dtype, device=weights.device)
    (some @ weights.T).sum().item()  # pays for what is set up
    begin = time.perf_counter()
    for _ in range(_TIMES):
        (some @ weights.T).sum().item()
    return float((time.perf_counter() - begin) / (2.0 * _TIMES * _ROWS * weights.numel()))


def memory_of(model: Any) -> int:
    """Bytes of the weights and of what a batch is on its way through a layer."""
    plain = model.bridge.original_model
    weights = list(plain.parameters())
    # Residual stream, attention inputs and the MLP's widest layer.
    width = 6 * plain.config.hidden_size + 2 * plain.config.intermediate_size
    batch = tokens_of(weights[0].device) * width * weights[0].element_size()
    return int(sum(p.nbytes for p in weights) + batch)
