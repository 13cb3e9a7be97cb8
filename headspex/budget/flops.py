"""Cost of questions and masks in floating-point operations: counted, never timed.

A mask has a fixed cost and a cost per question. The fixed cost is the prompt prefix that its
questions share (usually worked examples) and the engine's work on one more mask. Layers below the
first switched layer are computed once in a run and not counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.special import gammaln

from headspex.hooks.inputs import Inputs

# Of fitting one more mask, per player: 0.15 ms for 48 players (between 8,000 and 32,000 masks), in
# which the same core does about 7 MFLOP of the shipped model.
ENGINE_FLOPS = 1.5e5


@dataclass(frozen=True, eq=False)
class MaskCosts:
    """FLOPs of a mask.

    Attributes:
        engine: cost of fitting it.
        question: mean cost of one more question.
        beginnings: cost of each shared prompt prefix.
        sharing: number of questions that share each prefix.
        n_questions: number of questions.
    """

    engine: float
    question: float
    beginnings: Float[np.ndarray, " beginnings"]
    sharing: Int[np.ndarray, " beginnings"]
    n_questions: int

    def of_mask(self, counts: Int[np.ndarray, " counts"]) -> Float[np.ndarray, " counts"]:
        """Expected FLOPs of a mask with `counts` questions drawn at random."""
        others = self.n_questions - self.sharing
        # Probability that none of the drawn questions has the prefix.
        ways = _log_choose(np.array(self.n_questions), counts)
        unused = np.exp(_log_choose(others[:, None], counts) - ways)
        return np.asarray(self.engine + counts * self.question + self.beginnings @ (1 - unused))

    def start(self) -> float:
        """Fixed cost of a mask, in questions."""
        return float(self.of_mask(np.array([1]))[0] / self.question - 1)


def mask_costs(config: Any, inputs: Inputs, *, first: int, n_players: int) -> MaskCosts:
    """The costs of a run.

    Args:
        config: of a Llama-like model in transformers.
        inputs: of the search questions.
        first: the first switched layer.
        n_players: number of switched heads.
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
    """FLOPs of the layers from `first` on, and of the logits at one position."""
    width = config.hidden_size
    heads = config.num_attention_heads
    size = getattr(config, "head_dim", None) or width // heads
    groups = getattr(config, "num_key_value_heads", None) or heads
    weights = width * size * 2 * (heads + groups) + 3 * width * config.intermediate_size
    # Two operations a weight; attention scores and weighted sum over half the square, per head.
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
