"""What a question under a mask costs, in floating-point operations: counted, never timed.

The cost of a mask is that of starting it and that of each question. Starting is computing the
beginning that its questions share (worked examples, usually) and what the engine does with one
more mask. Layers below the first one with a head off are computed once in a run and count nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.special import gammaln

from headspex.hooks.inputs import Inputs

# Of fitting one more mask, by players: 0.15 ms for 48 of them (between 8,000 and 32,000 masks), in
# which the same core does about 7 MFLOP of the shipped model.
ENGINE_FLOPS = 1.5e5


@dataclass(frozen=True, eq=False)
class MaskCosts:
    """FLOPs of a mask.

    Attributes:
        engine: of learning from it.
        question: of one more question, the mean over all.
        beginnings: of each beginning that questions share.
        sharing: how many questions share it.
        n_questions: of all.
    """

    engine: float
    question: float
    beginnings: Float[np.ndarray, " beginnings"]
    sharing: Int[np.ndarray, " beginnings"]
    n_questions: int

    def of_mask(self, counts: Int[np.ndarray, " counts"]) -> Float[np.ndarray, " counts"]:
        """Of a mask that is asked so many questions, drawn at random from all."""
        others = self.n_questions - self.sharing
        # A beginning is computed unless all questions are among those that do not share it.
        unused = np.exp(_log_choose(others[:, None], counts) -
                        _log_choose(np.array(self.n_questions), counts))  # fmt: skip
        return np.asarray(self.engine + counts * self.question + self.beginnings @ (1 - unused))

    def start(self) -> float:
        """Of a mask, in questions, beyond its first question."""
        return float(self.of_mask(np.array([1]))[0] / self.question - 1)


def mask_costs(config: Any, inputs: Inputs, *, first: int, n_players: int) -> MaskCosts:
    """The costs of a run.

    Args:
        config: of a Llama-like model in transformers.
        inputs: of the search questions.
        first: the first layer with heads that are switched.
        n_players: heads that are switched.
    """
    shared = {inputs.beginning(i) for i in range(len(inputs.passes))} - {()}
    sharing = [
        sum(any(inputs.beginning(i) == one for i in several) for several in inputs.of_question)
        for one in sorted(shared)
    ]
    own = [_forward(config, int(length), first) for length in inputs.own_lengths]
    return MaskCosts(
        engine=ENGINE_FLOPS * n_players,
        question=float(np.mean([sum(own[i] for i in several) for several in inputs.of_question])),
        beginnings=np.array([_forward(config, len(one), first) for one in sorted(shared)]),
        sharing=np.array(sharing, dtype=np.int64),
        n_questions=len(inputs.of_question),
    )


def _forward(config: Any, tokens: int, first: int) -> float:
    """Of the layers from `first` on, and the logits of one position."""
    width = config.hidden_size
    heads = config.num_attention_heads
    size = getattr(config, "head_dim", None) or width // heads
    groups = getattr(config, "num_key_value_heads", None) or heads
    weights = width * size * 2 * (heads + groups) + 3 * width * config.intermediate_size
    # Two operations a weight; scores and their sum over half of the square, for each head.
    layer = 2.0 * tokens * weights + 2.0 * tokens**2 * heads * size
    return float((config.num_hidden_layers - first) * layer + 2.0 * width * config.vocab_size)


def _log_choose(
    of: Int[np.ndarray, "..."], count: Int[np.ndarray, "..."]
) -> Float[np.ndarray, "..."]:
    """Log of the binomial coefficient; -inf where it is zero."""
    possible = count <= of
    top = np.where(possible, of, count)
    found = gammaln(top + 1) - gammaln(count + 1) - gammaln(top - count + 1)
    return np.asarray(np.where(possible, found, -np.inf))
